import { DeviceError } from '../core/errors.js';
import type { Backend, BackendOptions, CommandFailure, Manifest } from './backend.js';
import { type WasmIsa, wasmIsas, wasmModule } from './wasm-modules.js';

/** What native/wasm.cc exports. Pointers are signed: those beyond 2 GiB come as negative numbers. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  create(threads: number): number;
  manifest(): number;
  commands(words: number): number;
  run(words: number): number;
  grow(bytes: number): number;
  heap(): number;
  heapBytes(): number;
}

interface Waiting {
  words: Uint32Array;
  resolve(failure: CommandFailure | null): void;
  reject(error: unknown): void;
}

/** One instance of the module: a device whose heap is the end of the instance's memory. */
class WasmBackend implements Backend {
  readonly kind = 'wasm';
  readonly manifest: Manifest;
  readonly #heap: number;
  #exports: Exports | null;
  readonly #waiting: Waiting[] = [];

  constructor(exports: Exports) {
    this.#exports = exports;
    exports._initialize();
    if (!exports.create(1)) throw new DeviceError('createDevice: out of memory for a device');
    this.manifest = { ...(JSON.parse(this.#text(exports.manifest())) as Manifest), isas: wasmIsas };
    this.#heap = exports.heap() >>> 0;
  }

  run(words: Uint32Array, count: number): CommandFailure | null {
    this.#runWaiting();
    return this.#run(words.subarray(0, count));
  }

  /** On this thread all the same, but after whatever else the event loop has to do. */
  runAsync(words: Uint32Array, count: number): Promise<CommandFailure | null> {
    this.#open();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ words: words.slice(0, count), resolve, reject });
      afterEvents(() => this.#runWaiting());
    });
  }

  grow(bytes: number): boolean {
    return bytes <= 2 ** 32 && this.#open().grow(bytes) !== 0;
  }

  read(byteOffset: number, target: ArrayBufferView): void {
    bytesOf(target).set(this.#range(byteOffset, target.byteLength));
  }

  write(byteOffset: number, source: ArrayBufferView): void {
    this.#range(byteOffset, source.byteLength).set(bytesOf(source));
  }

  close(): void {
    if (this.#exports !== null) this.#runWaiting();
    this.#exports = null;
  }

  #open(): Exports {
    if (this.#exports === null) throw new DeviceError('the engine is closed');
    return this.#exports;
  }

  #runWaiting(): void {
    for (const { words, resolve, reject } of this.#waiting.splice(0)) {
      try {
        resolve(this.#run(words));
      } catch (error) {
        reject(error);
      }
    }
  }

  #run(words: Uint32Array): CommandFailure | null {
    const exports = this.#open();
    if (words.length === 0) return null;
    const list = exports.commands(words.length) >>> 0;
    if (list === 0) throw new DeviceError(`out of memory for a command list of ${words.length} words`);
    new Uint32Array(exports.memory.buffer, list, words.length).set(words);
    const failure = exports.run(words.length) >>> 0;
    if (failure === 0) return null;
    const [index, name, reason] = new Uint32Array(exports.memory.buffer, failure, 3) as unknown as [
      number,
      number,
      number,
    ];
    return { index, name: this.#text(name), reason: this.#text(reason) };
  }

  #range(byteOffset: number, length: number): Uint8Array {
    const exports = this.#open();
    if (!(byteOffset >= 0 && byteOffset + length <= exports.heapBytes() >>> 0)) {
      throw new RangeError('the range is outside the heap');
    }
    return new Uint8Array(exports.memory.buffer, this.#heap + byteOffset, length);
  }

  /** The ASCII text at a pointer, up to its zero. */
  #text(pointer: number): string {
    const memory = new Uint8Array(this.#open().memory.buffer);
    let text = '';
    for (let at = pointer; memory[at] !== 0; at++) text += String.fromCharCode(memory[at] as number);
    return text;
  }
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** Calls `fn` once the events that wait already have been handled. Timers would wait for milliseconds. */
const afterEvents: (fn: () => void) => void =
  typeof setImmediate === 'function'
    ? setImmediate
    : (fn) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => {
          port1.close();
          fn();
        };
        port2.postMessage(null);
      };

/** An engine in WebAssembly. Throws DeviceError if the runtime lacks the instruction set or the module does not load. */
export async function createWasmBackend(options: BackendOptions): Promise<Backend> {
  const isa = options.isa ?? wasmIsas[0];
  if (!wasmIsas.includes(isa as WasmIsa)) {
    const have = wasmIsas.length > 0 ? wasmIsas.join(' ') : 'none: its WebAssembly has no SIMD';
    throw new DeviceError(`createDevice: isa is '${isa}', but this runtime has these instruction sets: ${have}`);
  }
  const instance = await WebAssembly.instantiate(await wasmModule(isa as WasmIsa));
  return new WasmBackend(instance.exports as unknown as Exports);
}
