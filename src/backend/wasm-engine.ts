/** The parts of an engine, for this thread or for a worker, to which they can be posted. */
export interface WasmEngine {
  readonly module: WebAssembly.Module;
  /** If more than one, the module is one with threads. */
  readonly threads: number;
  /** The folder of thread.js and worker.js, if `wasmUrl` is given. */
  readonly folder?: string | undefined;
  /** The text of worker.js, if the engine came in a bundle. */
  readonly worker?: string | undefined;
}
