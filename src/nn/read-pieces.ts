// Reads parameters from a file straight into the device's memory, piece by piece. Nothing is stored twice, and no read
// or copy blocks the event loop for long. The next part is read while the engine processes the current one.

import type { Device } from '../core/device.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import { yieldToEventLoop } from '../core/yield-to-event-loop.js';
import { transposeInto, widenInto } from '../ops/move.js';
import { layoutOf, type StatePiece } from './state-names.js';
import { writeStored } from './stored-layout.js';

/** Bytes of a part. This is a compromise: larger parts need more memory, smaller ones more waits. */
const PART = 8 << 20;
/** Minimum number of words of 16-bit values for a conversion, so that many small tensors are converted together. */
const STAGED = 1 << 18;

/** A tensor of a file. */
export interface StoredTensor {
  readonly shape: readonly number[];
  readonly dtype: string;
  /** Position in a file that must be read from front to back. Undefined if any order is possible. */
  readonly fileOffset?: number | undefined;
  /**
   * Yields the values in order, in parts whose length is a multiple of `multiple`. A part may lie in `buffer` and is
   * valid until the next one is requested. The engine of `device` unpacks packed blocks.
   */
  stream(buffer: Uint8Array, multiple: number, device: Device): AsyncIterable<Float32Array | Int32Array>;
  /** Yields stored F16 or BF16 values without conversion, in `buffer`. */
  streamHalves?(buffer: Uint8Array, multiple: number): AsyncIterable<Uint16Array>;
}

/** A piece of a parameter and its source. */
export interface PieceSource {
  readonly piece: StatePiece;
  readonly entry: StoredTensor;
}

/** Values of a tensor from index `start` on. */
interface Part extends PieceSource {
  readonly values: Float32Array | Int32Array | Uint16Array;
  readonly start: number;
}

/**
 * Reads all pieces. Rejects with an error of the file, or with the signal's reason; pieces that were not read yet then
 * stay unchanged.
 */
export async function readPieces(sources: readonly PieceSource[], signal?: AbortSignal): Promise<void> {
  const [first] = sources;
  if (first === undefined) return;
  const { device } = first.piece.tensor;
  const buffer = bufferFor(sources);
  const parts = partsOf(sources, buffer);
  const halves = new Halves(device, STAGED + buffer.length / 16 + 1);
  let next = parts.next();
  try {
    for (let part = await next; !part.done; part = await next) {
      await yieldToEventLoop(); // if the device is in a worker, this thread copies the values
      signal?.throwIfAborted();
      const { piece, values } = part.value;
      piece.tensor.assertUsable('load'); // the device may have been disposed of meanwhile
      if (!device.queue.idle) await device.flush(); // a write while commands are queued would be copied once more
      const isFull = values instanceof Uint16Array ? halves.add(part.value, values) : write(part.value, values);
      next = parts.next(); // its bytes may lie in the same buffer
      next.catch(() => {}); // awaited above, unless this part fails
      if (isFull) await halves.convert();
    }
    await halves.convert();
  } finally {
    halves.dispose();
    await parts.return(undefined);
  }
}

/** A buffer that holds whole rows of each piece. */
function bufferFor(sources: readonly PieceSource[]): Uint8Array {
  const rows = sources.map(({ piece }) => 8 * lastOf(layoutOf(piece)));
  const largest = Math.max(...sources.map(({ entry }) => 8 * entry.shape.reduce((size, n) => size * n, 1)));
  return new Uint8Array(Math.max(Math.min(PART, largest), ...rows));
}

/** Yields values in the order of the file. A part is valid until the next one is requested. */
async function* partsOf(sources: readonly PieceSource[], buffer: Uint8Array): AsyncGenerator<Part, undefined> {
  const inOrder = [...sources].sort((a, b) => (a.entry.fileOffset ?? 0) - (b.entry.fileOffset ?? 0));
  for (const source of inOrder) {
    const { piece, entry } = source;
    const multiple = piece.transposed ? lastOf(layoutOf(piece)) : 1;
    if (!isInPlace(piece)) {
      yield { ...source, values: await collected(entry, buffer, piece.tensor.device), start: 0 };
      continue;
    }
    const isHalves = entry.dtype === 'F16' || entry.dtype === 'BF16';
    const halves = isHalves ? entry.streamHalves?.(buffer, multiple) : undefined;
    const stream = halves ?? entry.stream(buffer, multiple, piece.tensor.device);
    let start = 0;
    for await (const values of stream) {
      yield { ...source, values, start };
      start += values.length;
    }
  }
  return undefined;
}

/** True if values fill the piece in order, false if they become columns. */
function isInPlace({ tensor, transposed, start, end, order, stacked = 1 }: StatePiece): boolean {
  if (stacked > 1) return false;
  const isWhole = start === 0 && end === (tensor.shape.at(-1) ?? 1);
  return order === null && (transposed || isWhole || tensor.shape.length === 1);
}

async function collected(entry: StoredTensor, buffer: Uint8Array, device: Device): Promise<Float32Array> {
  const all = new Float32Array(entry.shape.reduce((size, n) => size * n, 1));
  let offset = 0;
  for await (const values of entry.stream(buffer, 1, device)) {
    all.set(values, offset);
    offset += values.length;
  }
  return all;
}

/** Writes values to the parameter. Returns true if this queued commands. */
function write({ piece, start }: Part, values: Float32Array | Int32Array): boolean {
  const { tensor, transposed } = piece;
  if (!isInPlace(piece)) writeStored(piece, values as Float32Array);
  else if (transposed) {
    const cols = lastOf(layoutOf(piece));
    const rows = tensor.device.tensor(values, [values.length / cols, cols]);
    asColumns(rows, piece, start / cols);
    rows.dispose();
  } else {
    const floats = values instanceof Int32Array ? Float32Array.from(values) : values;
    tensor.device.upload(tensor.storage, tensor.offset + piece.start + start, floats);
  }
  return !tensor.device.queue.idle;
}

/** Writes rows of the transposed matrix as columns, from the piece's column `first` on. */
function asColumns(rows: Tensor, { tensor, start }: StatePiece, first: number): void {
  const columns = tensor.columns(start + first, start + first + (rows.shape[0] as number));
  transposeInto(rows, columns);
  columns.dispose();
}

/** Collects 16-bit floats until the engine converts them. */
class Halves {
  #words: Tensor | null = null;
  #used = 0;
  #waiting: (() => void)[] = [];

  /** `room`: size of the buffer in words, for waiting values and one more part. */
  constructor(
    private readonly device: Tensor['device'],
    private readonly room: number,
  ) {}

  /**
   * Copies values, so their buffer is free afterwards. Returns true if `convert` must run before more values are added.
   */
  add(part: Part, values: Uint16Array): boolean {
    const { device } = this;
    const count = Math.ceil(values.length / 2);
    this.#words ??= device.unscoped(() => device.empty([Math.ceil(this.room)], 'int32'));
    const words = this.#words.columns(this.#used, this.#used + count);
    device.upload(words.storage, words.offset, new Int32Array(values.buffer, values.byteOffset, count), true);
    this.#used += count;
    this.#waiting.push(() => {
      widened(part, words, values.length);
      words.dispose();
    });
    return this.#used >= STAGED;
  }

  /** Converts the waiting values. */
  async convert(): Promise<void> {
    for (const emit of this.#waiting.splice(0)) emit();
    this.#used = 0;
    if (!this.device.queue.idle) await this.device.flush();
  }

  dispose(): void {
    this.#words?.dispose();
  }
}

/** Converts `count` 16-bit values in `words` and writes them to the part's parameter. */
function widened({ piece, entry, start }: Part, words: Tensor, count: number): void {
  const { tensor, transposed } = piece;
  const { device } = tensor;
  const isBrain = entry.dtype === 'BF16';
  device.unscoped(() => {
    const cols = lastOf(layoutOf(piece));
    const target = transposed ? device.empty([count / cols, cols]) : flat(tensor, piece.start + start, count);
    widenInto(words, target, isBrain);
    if (transposed) asColumns(target, piece, start / cols);
    target.dispose();
  });
}

/** Returns a flat view of `count` values from index `start`, of a contiguous tensor. */
function flat(tensor: Tensor, start: number, count: number): Tensor {
  const all = tensor.reshape(tensor.size);
  const some = all.columns(start, start + count);
  all.dispose();
  return some;
}
