/** The part of autocannon that bench/soak.ts uses. The package has no types. */
declare module 'autocannon' {
  interface Options {
    readonly url: string;
    readonly connections: number;
    /** Maximum seconds of the run (`duration`) and of an answer (`timeout`). */
    readonly duration: number;
    readonly timeout: number;
    readonly requests: readonly object[];
  }
  interface Result {
    readonly errors: number;
    readonly timeouts: number;
    readonly non2xx: number;
    readonly '2xx': number;
    /** In milliseconds. */
    readonly latency: { readonly p50: number };
  }
  export default function autocannon(options: Options): Promise<Result>;
}
