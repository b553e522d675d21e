// A worker that computes for a device on another thread: an engine in WebAssembly, driven by messages.
import type { Backend, CommandFailure } from './backend.js';
import { isNode, nodeModule } from './node.js';
import { openEngine } from './wasm.js';
import type { Answer, Answers, Request } from './worker-protocol.js';

interface Port {
  onmessage: ((event: { data: Request }) => void) | null;
  postMessage(answer: Answer, transfer: Transferable[]): void;
}

let engine: Backend;
/** Set when what the device took for granted, to grow or write, failed: nothing can be computed any more. */
let broken: Error | undefined;

function run(words: Uint32Array): CommandFailure | null {
  if (broken !== undefined) throw broken;
  return engine.run(words, words.length);
}

function read(byteOffset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  engine.read(byteOffset, bytes);
  return bytes;
}

async function handle(port: Port, request: Request): Promise<void> {
  const answer = (result: Answers[keyof Answers], transfer: Transferable[] = []) =>
    port.postMessage({ result }, transfer);
  try {
    switch (request.do) {
      case 'open':
        engine = await openEngine(request.engine);
        return answer(engine.manifest);
      case 'run':
        return answer(run(request.words));
      case 'read': {
        const bytes = read(request.byteOffset, request.length);
        return answer(bytes, [bytes.buffer as ArrayBuffer]);
      }
      case 'write':
        if (broken === undefined) engine.write(request.byteOffset, request.bytes);
        return;
      case 'grow':
        if (!engine.grow(request.bytes))
          broken = new Error(`the worker's memory cannot grow to ${request.bytes} bytes`);
    }
  } catch (error) {
    if (request.do === 'write' || request.do === 'grow')
      broken = error as Error; // which nobody waits for
    else port.postMessage({ error: (error as Error).message }, []);
  }
}

function listen(port: Port): void {
  port.onmessage = ({ data }) => handle(port, data);
}

// No top-level await: bundlers may make a classic script of this.
if (isNode) {
  nodeModule<typeof import('node:worker_threads')>('worker_threads').then(({ parentPort }) =>
    listen(parentPort as unknown as Port),
  );
} else {
  listen(globalThis as unknown as Port);
}
