// A worker that computes for a device on another thread: an engine in WebAssembly, driven by messages.

import type { Backend, CommandFailure } from './backend.js';
import { commandWords, isTensorKind, opcodeAt } from './command.js';
import { dataOf } from './error-data.js';
import { OutOfMemoryError } from './errors.js';
import { isNode, nodeModule } from './node.js';
import { openEngine } from './wasm.js';
import { threadAt } from './wasm-threads.js';
import type { Answer, Answers, Request } from './worker-protocol.js';

interface Port {
  onmessage: ((event: { data: Request }) => void) | null;
  postMessage(answer: Answer, transfer: Transferable[]): void;
}

let engine: Backend;
/** Set when a `grow` or `write` failed whose success the device had assumed. All later requests then fail. */
let broken: Error | undefined;

/** Bytes of the heap that the device assumes, and bytes that exist. */
let [wanted, have] = [0, 0];

/** Grows the heap as far as possible. The device asks for more than it needs at first, so less may be enough. */
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

/** True if command number `index` has an operand beyond the end of the heap. */
function reachesBeyond(words: Uint32Array, index: number): boolean {
  let position = 0;
  for (let i = 0; i < index; i++) position += commandWords(words, position);
  const op = engine.manifest.ops[opcodeAt(words, position)];
  position++;
  for (const { kind, fields } of op?.operands ?? []) {
    const isTensor = isTensorKind(kind);
    if (isTensor && ((words[position] as number) + (words[position + 1] as number)) * 4 > have) return true;
    position += isTensor ? 2 : (fields?.length ?? 1);
  }
  return false;
}

/** Returns the error for a heap that is too small: some tensors have no memory, so their values are missing. */
function shortage(): OutOfMemoryError {
  const [requested, granted] = [wanted, have].map((bytes) => `${Math.floor(bytes / 2 ** 20)} MiB`);
  return new OutOfMemoryError(
    `the memory of the device's worker cannot grow to ${requested}: the system gives only ${granted}. ` +
      'Dispose of the device, and use a smaller model or smaller batches on a new one',
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
        engine = await openEngine(request.engine, request.threads.map(threadAt));
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
      broken ??= have < wanted ? shortage() : (error as Error); // no reply is expected, so later requests report it
    else port.postMessage({ error: dataOf(error as Error) }, []);
  }
}

function listen(port: Port): void {
  port.onmessage = ({ data }) => handle(port, data);
}

// No top-level await, because bundlers may convert this module to a classic script.
if (isNode) {
  nodeModule<typeof import('node:worker_threads')>('worker_threads').then(({ parentPort }) =>
    listen(parentPort as unknown as Port),
  );
} else {
  listen(globalThis as unknown as Port);
}
