// A worker that computes for a device on another thread: an engine in WebAssembly, driven by messages.

import type { Backend, CommandFailure } from './backend.js';
import { dataOf } from './error-data.js';
import { OutOfMemoryError } from './errors.js';
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

/** Bytes that the device takes for granted, and those that there are. */
let [wanted, have] = [0, 0];

/** The device asks for more than it needs at first: what there is of that may be enough. */
function grow(bytes: number): void {
  wanted = bytes;
  for (let more = wanted - have; have < wanted && more >= 64; more /= 2) {
    if (engine.grow(have + more)) have += more;
  }
}

function run(words: Uint32Array): CommandFailure | null {
  if (broken !== undefined) throw broken;
  const failure = engine.run(words, words.length);
  if (failure === null || have === wanted || !reachesBeyond(words, failure.index)) return failure;
  broken = shortage();
  throw broken;
}

/** True if the command at position `index` has an operand beyond the end of the heap. */
function reachesBeyond(words: Uint32Array, index: number): boolean {
  let at = 0;
  for (let i = 0; i < index; i++) at += (words[at] as number) >>> 16;
  const op = engine.manifest.ops[(words[at] as number) & 0xffff];
  at++;
  for (const { kind, fields } of op?.operands ?? []) {
    const isTensor = /in|out/.test(kind);
    if (isTensor && ((words[at] as number) + (words[at + 1] as number)) * 4 > have) return true;
    at += isTensor ? 2 : (fields?.length ?? 1);
  }
  return false;
}

/** Why nothing more is computed: tensors would be missing whose values others depend on. */
function shortage(): OutOfMemoryError {
  const [asked, given] = [wanted, have].map((bytes) => `${Math.floor(bytes / 2 ** 20)} MiB`);
  return new OutOfMemoryError(
    `the memory of the device's worker cannot grow to ${asked}, as the system gives ${given}, but tensors lie there. ` +
      'Dispose of the device, and use a smaller model or smaller batches with another',
  );
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
        grow(request.bytes);
    }
  } catch (error) {
    if (request.do === 'write' || request.do === 'grow')
      broken ??= have < wanted ? shortage() : (error as Error); // which nobody waits for
    else port.postMessage({ error: dataOf(error as Error) }, []);
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
