// Starts the threads of a WebAssembly device: workers that run wasm/thread.js on the device's memory.

import { MAX_THREADS } from './backend.js';
import type { DeviceError } from './errors.js';
import { isNode, nodeModule, siblingUrl } from './node.js';
import type { WasmEngine } from './wasm-engine.js';
import { hasWorkers, type RunningWorker, startWorker } from './workers.js';

/** Returns the reason why memory cannot be shared with workers here, and a remedy. Returns null if it can be shared. */
function whyNotShared(): string | null {
  if (!hasWorkers) return 'this runtime has no workers';
  if (isNode && process.permission?.has('worker') === false) return 'the process may start no workers (--allow-worker)';
  if (typeof SharedArrayBuffer !== 'undefined' && globalThis.crossOriginIsolated !== false) return null;
  return (
    'the page is not cross-origin isolated. Serve it with the headers Cross-Origin-Opener-Policy: same-origin and ' +
    'Cross-Origin-Embedder-Policy: require-corp'
  );
}

const warnings = new Set<string>();

export function warnOnce(how: string, why: string): void {
  if (!warnings.has(how)) console.warn(`simdformer computes ${how}: ${why}.`);
  warnings.add(how);
}

/**
 * Returns the number of threads of a device: the requested number, or the number of processors. It is 1 if threads are
 * not available.
 */
export async function threadsHere(requested: number | undefined): Promise<number> {
  const wanted = requested ?? Math.min(await parallelism(), MAX_THREADS);
  const reason = whyNotShared();
  if (wanted === 1 || reason === null) return wanted;
  warnOnce('on one thread', reason);
  return 1;
}

async function parallelism(): Promise<number> {
  if (isNode) return (await nodeModule<typeof import('node:os')>('os')).availableParallelism();
  return globalThis.navigator?.hardwareConcurrency ?? 1;
}

/** A thread of a device's pool, as the engine sees it. */
export interface PoolThread {
  post(message: unknown): void;
  terminate(): void;
}

/**
 * Starts the threads of an engine, beside the one that runs it. A thread joins the pool when it is ready, after some
 * 30 ms in Node. Until then, or if it does not load, the other threads do its work. If a worker cannot be created, this
 * function ends the others and throws.
 */
export async function startThreads({ threads, folder }: WasmEngine): Promise<RunningWorker[]> {
  const workers: RunningWorker[] = [];
  const lost = ({ message }: DeviceError) => warnOnce('on fewer threads', message);
  const started = await Promise.allSettled(
    Array.from({ length: threads - 1 }, async () => {
      workers.push(await startWorker(...scriptIn(folder), () => {}, lost));
    }),
  );
  const failed = started.find((result) => result.status === 'rejected');
  if (failed === undefined) return workers;
  for (const worker of workers) worker.terminate();
  throw failed.reason;
}

/** Gives each thread a channel. Returns the other ends of the channels, for the worker that runs the engine. */
export function connect(threads: readonly RunningWorker[]): MessagePort[] {
  return threads.map((thread) => {
    const { port1, port2 } = new MessageChannel();
    thread.post({ port: port1 }, [port1]);
    return port2;
  });
}

/** Returns the thread at the other end of a channel. Who started the thread ends it. */
export function threadAt(port: MessagePort): PoolThread {
  return { post: (message) => port.postMessage(message), terminate: () => port.close() };
}

/** Returns the URL of thread.js, and the function that starts it in browsers. */
function scriptIn(folder?: string): [url: URL, inBrowser: () => Worker] {
  if (folder === undefined) {
    const literal = () => new Worker(new URL('../../wasm/dist/thread.js', import.meta.url), { type: 'module' });
    return [siblingUrl(import.meta.url, '../../wasm/dist/thread.js'), literal];
  }
  const url = new URL('thread.js', folder);
  return [url, () => new Worker(url, { type: 'module' })];
}
