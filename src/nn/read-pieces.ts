// Parameters read from a file straight into the device's memory, a piece at a time: nothing is held twice, and no read
// or copy blocks the event loop for long.

import { lastOf, type Tensor } from '../core/tensor.js';
import { transposeInto } from '../ops/move.js';
import type { StatePiece } from './state-names.js';
import { spread } from './stored-layout.js';

/** Bytes for a piece, which has half a million to a million values: few enough waits, and no memory to speak of. */
const PIECE = 8 << 20;

/** A tensor of a file. */
export interface StoredTensor {
  readonly shape: readonly number[];
  readonly dtype: string;
  /** Where it lies in a file that is read from front to back; undefined where any order will do. */
  readonly place?: number | undefined;
  /**
   * Its values in order, a multiple of so many at a time; a piece may lie in `buffer` until the next one is asked for.
   */
  stream(buffer: Uint8Array, multiple: number): AsyncIterable<Float32Array | Int32Array>;
}

/** A piece of a parameter and what it is to be. */
export interface Reading {
  readonly piece: StatePiece;
  readonly entry: StoredTensor;
}

/**
 * Reads all of them. If that fails, with an error of the file or the signal's reason, those not reached are as they
 * were.
 */
export async function readPieces(readings: readonly Reading[], signal?: AbortSignal): Promise<void> {
  if (readings.length === 0) return;
  const rows = readings.map(({ entry }) => 8 * lastOf(entry.shape));
  const largest = Math.max(...readings.map(({ entry }) => 8 * entry.shape.reduce((size, n) => size * n, 1)));
  const buffer = new Uint8Array(Math.max(Math.min(PIECE, largest), ...rows));
  const inOrder = [...readings].sort((a, b) => (a.entry.place ?? 0) - (b.entry.place ?? 0));
  for (const reading of inOrder) {
    const { device } = reading.piece.tensor;
    if (!device.queue.idle) await device.flush(); // what is written while commands wait is copied once more
    await readPiece(reading, buffer, signal);
  }
}

async function readPiece({ piece, entry }: Reading, buffer: Uint8Array, signal?: AbortSignal): Promise<void> {
  const { tensor, transposed, start, order } = piece;
  const whole = start === 0 && piece.end === (tensor.shape.at(-1) ?? 1);
  const cols = lastOf(entry.shape);
  const inPlace = order === null && (transposed || whole || tensor.shape.length === 1);
  const collected: (Float32Array | Int32Array)[] = [];
  let done = 0;
  for await (const values of entry.stream(buffer, transposed ? cols : 1)) {
    signal?.throwIfAborted();
    tensor.assertUsable('load'); // the device may have gone meanwhile
    if (!inPlace) collected.push(values.slice());
    else if (transposed) await writeColumns(tensor, start + done / cols, values as Float32Array, cols);
    else tensor.device.upload(tensor.storage, tensor.offset + start + done, values);
    done += values.length;
  }
  if (!inPlace) spread(piece, joined(collected, done));
}

function joined(parts: readonly (Float32Array | Int32Array)[], length: number): Float32Array {
  const all = new Float32Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Rows of the transpose, which has `cols` columns, become columns from `first` on. */
async function writeColumns(target: Tensor, first: number, values: Float32Array, cols: number): Promise<void> {
  const { device } = target;
  const rows = device.tensor(values, [values.length / cols, cols]);
  const columns = target.columns(first, first + values.length / cols);
  transposeInto(rows, columns);
  columns.dispose();
  rows.dispose();
  await device.flush();
}
