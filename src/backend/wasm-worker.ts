import { type Backend, type CommandFailure, MAX_THREADS, type Manifest, type WasmEngineOptions } from './backend.js';
import { errorOf } from './error-data.js';
import { DeviceError, type SimdformerError } from './errors.js';
import { isNode, siblingUrl } from './node.js';
import { bytesOf } from './wasm.js';
import type { WasmEngine } from './wasm-engine.js';
import { wasmEngine } from './wasm-modules.js';
import { connect, startThreads } from './wasm-threads.js';
import type { Answer, Answers, Request } from './worker-protocol.js';
import { type RunningWorker, scriptUrl, startWorker } from './workers.js';

/** Maximum number of bytes in a message. */
const PIECE = 2 ** 28;

interface Asked {
  resolve(result: never): void;
  reject(error: SimdformerError): void;
}

/** The local end of an engine in a worker. It sends requests in order, but cannot block until they are answered. */
class WorkerBackend implements Backend {
  readonly kind = 'wasm';
  declare readonly manifest: Manifest;
  #worker: RunningWorker | null = null;
  /** The threads that compute with the worker. They start here, because Firefox can hang if a worker starts workers. */
  #threads: readonly RunningWorker[] = [];
  /** Requests that are not answered yet, in order. */
  readonly #pending: Asked[] = [];
  #lost: DeviceError | null = null;

  /** Starts the worker and its engine. */
  async open(options: WasmEngineOptions): Promise<this> {
    const engine = await wasmEngine({ ...options, threads: options.threads ?? besidePage() });
    this.#worker = await startWorker(
      ...workerOf(engine),
      (answer) => this.#receive(answer as Answer),
      (error) => this.#fail(error),
    );
    try {
      this.#threads = await startThreads(engine);
      const threads = connect(this.#threads);
      Object.assign(this, { manifest: await this.#request<'open'>({ do: 'open', engine, threads }, threads) });
    } catch (error) {
      this.close();
      throw error;
    }
    return this;
  }

  run(): never {
    throw new DeviceError(
      'this device computes in a worker, so blocking calls are not possible: ' +
        'read with await tensor.data(), run with await device.flush()',
    );
  }

  runAsync(words: Uint32Array, count: number): Promise<CommandFailure | null> {
    const copy = words.slice(0, count);
    return this.#request<'run'>({ do: 'run', words: copy }, [copy.buffer]);
  }

  /**
   * Assumes success up to the maximum size of a memory. If the worker's memory cannot grow, the commands that use it
   * fail.
   */
  grow(bytes: number): boolean {
    if (bytes > (this.manifest.maxBytes as number)) return false;
    this.#send({ do: 'grow', bytes });
    return true;
  }

  read(): never {
    return this.run();
  }

  async readAsync(byteOffset: number, target: ArrayBufferView): Promise<void> {
    const reads = piecesOf(target).map(async ([offset, part]) => {
      part.set(await this.#request<'read'>({ do: 'read', byteOffset: byteOffset + offset, length: part.length }));
    });
    await Promise.all(reads);
  }

  write(byteOffset: number, source: ArrayBufferView): void {
    for (const [offset, part] of piecesOf(source)) {
      const bytes = part.slice();
      this.#send({ do: 'write', byteOffset: byteOffset + offset, bytes }, [bytes.buffer]);
    }
  }

  close(): void {
    this.#fail(new DeviceError('the device has already been disposed'));
  }

  #send(request: Request, transfer: Transferable[] = []): void {
    if (this.#worker === null) throw this.#lost ?? new DeviceError('the engine is closed');
    this.#worker.post(request, transfer);
  }

  #request<Kind extends keyof Answers>(
    request: Request & { do: Kind },
    transfer: Transferable[] = [],
  ): Promise<Answers[Kind]> {
    return new Promise((resolve, reject) => {
      this.#send(request, transfer);
      this.#pending.push({ resolve, reject });
      this.#worker?.keepAlive(true);
    });
  }

  #receive(answer: Answer): void {
    const pending = this.#pending.shift();
    if (this.#pending.length === 0) this.#worker?.keepAlive(false);
    if ('error' in answer) pending?.reject(errorOf(answer.error));
    else pending?.resolve(answer.result as never);
  }

  #fail(error: DeviceError): void {
    this.#lost = error;
    this.#worker?.terminate();
    this.#worker = null;
    for (const thread of this.#threads) thread.terminate();
    this.#threads = [];
    for (const { reject } of this.#pending.splice(0)) reject(error);
  }
}

/** Splits an array into parts that can be posted, with their positions. Some browsers cannot post 2 GiB at once. */
function piecesOf(view: ArrayBufferView): [at: number, part: Uint8Array][] {
  const bytes = bytesOf(view);
  const pieces: [number, Uint8Array][] = [];
  for (let offset = 0; offset < bytes.length; offset += PIECE)
    pieces.push([offset, bytes.subarray(offset, offset + PIECE)]);
  return pieces;
}

/** Returns all cores but one, so that the page can draw. Returns undefined (the default) in Node, which has no page. */
function besidePage(): number | undefined {
  if (isNode) return undefined;
  return Math.max(1, Math.min((globalThis.navigator?.hardwareConcurrency ?? 1) - 1, MAX_THREADS));
}

/** Makes a WebAssembly engine in its own worker, so that this thread stays free. */
export function createWorkerBackend(options: WasmEngineOptions): Promise<Backend> {
  return new WorkerBackend().open(options);
}

/** Returns the URL of the worker's module, and the function that starts it in browsers. */
function workerOf({ folder, worker: text }: WasmEngine): [url: URL, inBrowser: () => Worker] {
  if (text !== undefined) {
    // A classic script, because Chromium starts no module workers in pages that were opened as files. A bundled engine
    // has no threads, so it needs no other files.
    const script = new URL(scriptUrl(text.replaceAll('import.meta.url', 'location.href')));
    return [script, () => new Worker(script)];
  }
  if (folder === undefined) {
    const literal = () => new Worker(new URL('../../wasm/dist/worker.js', import.meta.url), { type: 'module' });
    return [siblingUrl(import.meta.url, '../../wasm/dist/worker.js'), literal];
  }
  const url = new URL('worker.js', folder);
  return [url, () => new Worker(url, { type: 'module' })];
}
