import type { ModuleSource } from './wasm-load.js';

/** The parts of an engine, for this thread or for a worker, to which they can be posted. */
export interface WasmEngine {
  readonly module: WebAssembly.Module;
  /** If more than one, the modules share their memory with threads. */
  readonly threads: number;
  /** The kernels that are not in the module, by the names of parts in the manifest. Loaded when a command needs them. */
  readonly parts: Readonly<Record<string, ModuleSource>>;
  /** The folder of thread.js and worker.js, if `wasmUrl` is given. */
  readonly folder?: string | undefined;
  /** The text of worker.js, if the engine came in a bundle. */
  readonly worker?: string | undefined;
}
