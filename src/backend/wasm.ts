import { afterEvents } from './after-events.js';
import type { Backend, CommandFailure, Manifest, WasmEngineOptions } from './backend.js';
import { commandWords, opcodeAt } from './command.js';
import { DeviceError } from './errors.js';
import type { WasmEngine } from './wasm-engine.js';
import { type ModuleSource, moduleOf, moduleSync, prepareFiles } from './wasm-load.js';
import { wasmEngine, wasmIsas } from './wasm-modules.js';
import { type PoolThread, startThreads } from './wasm-threads.js';

/** The exports of native/wasm.cc. Pointers are signed numbers; pointers beyond 2 GiB are negative. */
interface Exports {
  /** Further exports, which the parts import. */
  readonly [name: string]: WebAssembly.ExportValue;
  readonly __indirect_function_table: WebAssembly.Table;
  readonly __stack_pointer: WebAssembly.Global;
  _initialize(): void;
  create(threads: number, sleeps: boolean): number;
  stackOf(thread: number): number;
  dismiss(): void;
  add(part: number): void;
  manifest(): number;
  commands(words: number): number;
  run(words: number): number;
  grow(bytes: number): number;
  heap(): number;
  heapBytes(): number;
}

interface PartExports {
  readonly __stack_pointer: WebAssembly.Global;
  /** Returns a pointer for add(). */
  part(): number;
}

/** Number of words reserved after the heap for command lists. Longer lists run in pieces. */
const LIST_ROOM = 1 << 21;

/** Size of the function table: the ranges of 1024 that wasm/build.mjs gives to the core and to four parts. */
const TABLE_SIZE = 5 * 1024;
/** Bytes of a stack that are reserved for the callers of a part's kernels. The kernels have the rest. */
const CALLERS_STACK = 32768;

/** One instance of the module: a device whose heap is the end of the instance's memory. */
class WasmBackend implements Backend {
  readonly kind = 'wasm';
  readonly manifest: Manifest;
  readonly #heap: number;
  /** Null after close(), so that the memory is released even if the device is still referenced. */
  #instance: { readonly exports: Exports; readonly memory: WebAssembly.Memory } | null;
  /** Runs that have not started yet. */
  readonly #waiting: (() => void)[] = [];
  /** Number of runs that wait for parts to load. */
  #loading = 0;
  readonly #parts: Readonly<Record<string, ModuleSource>>;
  readonly #missing: Set<string>;
  #threads: readonly PoolThread[] = [];

  constructor(exports: Exports, memory: WebAssembly.Memory, { threads, parts }: WasmEngine, maxBytes: number) {
    this.#instance = { exports, memory };
    this.#parts = parts;
    this.#missing = new Set(Object.keys(parts));
    exports._initialize();
    if (!exports.create(threads, maySleep(memory)) || !this.grow(0))
      throw new DeviceError('createDevice: out of memory for a device');
    this.#heap = exports.heap() >>> 0;
    this.manifest = { ...(JSON.parse(this.#text(exports.manifest())) as Manifest), isas: wasmIsas, maxBytes };
  }

  /** Gives the threads of the pool what they run on, without waiting until they are up. */
  start(module: WebAssembly.Module, threads: readonly PoolThread[]): void {
    const { exports, memory } = this.#open();
    this.#threads = threads;
    for (const [i, thread] of threads.entries()) thread.post({ module, memory, stack: exports.stackOf(i + 1) });
  }

  run(words: Uint32Array, count: number): CommandFailure | null {
    this.#runWaiting();
    return this.#run(words.subarray(0, count));
  }

  /** Runs on this thread, too, but after the pending events of the event loop. */
  runAsync(words: Uint32Array, count: number): Promise<CommandFailure | null> {
    this.#open();
    const list = words.slice(0, count);
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(this.#run(list));
        } catch (error) {
          reject(error);
        }
      });
      this.#whenLoaded(list);
    });
  }

  /** Loads the parts that a list needs, then runs the waiting lists. If loading fails, the run reports the failure. */
  async #whenLoaded(list: Uint32Array): Promise<void> {
    const parts = this.#partsOf(list).map((part) => moduleOf(this.#parts[part] as ModuleSource, this.#isShared));
    if (parts.length > 0) {
      this.#loading++;
      await Promise.allSettled(parts);
      this.#loading--;
    }
    afterEvents(() => {
      if (this.#loading === 0) this.#runWaiting();
    });
  }

  /** Never uses the words reserved for command lists, so that a device that cannot grow can still compute. */
  grow(bytes: number): boolean {
    const { exports } = this.#open();
    const words = LIST_ROOM + (bytes - (exports.heapBytes() >>> 0)) / 4;
    return bytes <= 2 ** 32 && exports.commands(words) !== 0 && exports.grow(bytes) !== 0;
  }

  read(byteOffset: number, target: ArrayBufferView): void {
    bytesOf(target).set(this.#range(byteOffset, target.byteLength));
  }

  write(byteOffset: number, source: ArrayBufferView): void {
    this.#range(byteOffset, source.byteLength).set(bytesOf(source));
  }

  close(): void {
    if (this.#instance !== null) this.#runWaiting();
    this.#instance = null;
    for (const thread of this.#threads) thread.terminate();
    this.#threads = [];
  }

  #open() {
    if (this.#instance === null) throw new DeviceError('the engine is closed');
    return this.#instance;
  }

  get #isShared(): boolean {
    return this.manifest.threads > 1;
  }

  /** Returns the parts that these commands need and that are not loaded. */
  #partsOf(words: Uint32Array): string[] {
    const parts = new Set<string>();
    for (
      let position = 0;
      this.#missing.size > 0 && position < words.length;
      position += commandWords(words, position)
    ) {
      const part = this.manifest.ops[opcodeAt(words, position)]?.part;
      if (part !== undefined && this.#missing.has(part)) parts.add(part);
    }
    return [...parts];
  }

  /** Adds the kernels of a part. The other threads leave the pool until they have added them, too. */
  #add(part: string): void {
    const { exports, memory } = this.#open();
    const module = moduleSync(this.#parts[part] as ModuleSource, this.#isShared);
    const { __indirect_function_table: table, __stack_pointer: stack } = exports;
    if (table.length < TABLE_SIZE) table.grow(TABLE_SIZE - table.length);
    const added = new WebAssembly.Instance(module, { env: { ...exports, memory } }).exports as unknown as PartExports;
    added.__stack_pointer.value = stack.value - CALLERS_STACK;
    exports.dismiss();
    exports.add(added.part());
    this.#missing.delete(part);
    const dismissals = Object.keys(this.#parts).length - this.#missing.size;
    const message = { part: module, tableSize: TABLE_SIZE, callersStack: CALLERS_STACK, dismissals };
    for (const thread of this.#threads) thread.post(message);
  }

  #runWaiting(): void {
    for (const run of this.#waiting.splice(0)) run();
  }

  #run(words: Uint32Array): CommandFailure | null {
    if (words.length > LIST_ROOM) {
      let [position, commands] = [0, 0];
      for (; position < LIST_ROOM / 2; commands++) position += commandWords(words, position);
      const failure = this.#run(words.subarray(0, position));
      if (failure !== null) return failure;
      const later = this.#run(words.subarray(position));
      return later && { ...later, index: commands + later.index };
    }
    const { exports, memory } = this.#open();
    if (words.length === 0) return null;
    for (const part of this.#partsOf(words)) this.#add(part);
    new Uint32Array(memory.buffer, exports.commands(words.length) >>> 0, words.length).set(words);
    const failure = exports.run(words.length) >>> 0;
    if (failure === 0) return null;
    const [index, name, reason] = new Uint32Array(memory.buffer, failure, 3) as unknown as [number, number, number];
    return { index, name: this.#text(name), reason: this.#text(reason) };
  }

  #range(byteOffset: number, length: number): Uint8Array {
    const { exports, memory } = this.#open();
    if (!(byteOffset >= 0 && byteOffset + length <= exports.heapBytes() >>> 0)) {
      throw new RangeError('the range is outside the heap');
    }
    return new Uint8Array(memory.buffer, this.#heap + byteOffset, length);
  }

  /** Reads the zero-terminated ASCII text at a pointer. */
  #text(pointer: number): string {
    const bytes = new Uint8Array(this.#open().memory.buffer);
    return String.fromCharCode(...bytes.subarray(pointer, bytes.indexOf(0, pointer)));
  }
}

/** True if this thread may block while it waits for other threads. Only the main thread of a page may not. */
function maySleep({ buffer }: WebAssembly.Memory): boolean {
  try {
    Atomics.wait(new Int32Array(buffer), 0, 0, 0); // returns at once, or throws
    return true;
  } catch {
    return false;
  }
}

export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** Makes a backend on this thread from an engine. Starts the threads of its pool if none are given. */
export async function openEngine(engine: WasmEngine, pool?: readonly PoolThread[]): Promise<Backend> {
  const { module, threads } = engine;
  let memory: WebAssembly.Memory | undefined;
  let instance: WebAssembly.Instance;
  let maximum = 65536;
  try {
    // Shared memory reserves all its addresses at once. If that fails, as on phones, a smaller range is tried.
    while (memory === undefined) {
      try {
        memory = new WebAssembly.Memory({ initial: 16, maximum, shared: threads > 1 });
      } catch (error) {
        if (maximum <= 4096) throw error;
        maximum /= 2;
      }
    }
    instance = await WebAssembly.instantiate(module, { env: { memory } });
    await prepareFiles();
  } catch (error) {
    throw new DeviceError(
      `createDevice: the WebAssembly engine does not start: ${(error as Error).message}. ` +
        'Each device takes up to 4 GiB of addresses: dispose of unused devices',
      { cause: error },
    );
  }
  const exports = instance.exports as unknown as Exports;
  // A page of memory has 65,536 bytes. A sixteenth is reserved for the engine itself and for command lists.
  const maxBytes = maximum * 61440;
  const backend = new WasmBackend(exports, memory, engine, maxBytes);
  try {
    backend.start(module, pool ?? (await startThreads(engine)));
  } catch (error) {
    backend.close();
    throw error;
  }
  return backend;
}

/**
 * Makes a WebAssembly engine. Throws DeviceError if the runtime lacks the instruction set or the module does not load.
 */
export async function createWasmBackend(options: WasmEngineOptions): Promise<Backend> {
  return openEngine(await wasmEngine(options));
}
