/** What an engine is made from, here or in a worker, to which it can be posted. */
export interface WasmEngine {
  readonly module: WebAssembly.Module;
  /** If more than one, the module is one with threads. */
  readonly threads: number;
  /** Where thread.js and worker.js lie, if `wasmUrl` said so. */
  readonly folder?: string | undefined;
  /** The text of worker.js, if the engine came in a bundle. */
  readonly worker?: string | undefined;
}
