import type { ModuleSource } from './wasm-load.js';

/** The parts from which an engine is made. They can be posted to a worker. */
export interface WasmEngine {
  readonly module: WebAssembly.Module;
  /** Number of threads. If more than one, the memory of the modules is shared. */
  readonly threads: number;
  /** Modules with further kernels, by the names of parts in the manifest. They are loaded when a command needs them. */
  readonly parts: Readonly<Record<string, ModuleSource>>;
  /** The folder of thread.js and worker.js, if `wasmUrl` is given. */
  readonly folder?: string | undefined;
  /** The text of worker.js, if the engine came in a bundle. */
  readonly worker?: string | undefined;
}
