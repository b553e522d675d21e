// Parameters read from a file straight into the device's memory, a piece at a time: nothing is held twice, and no read
// or copy blocks the event loop for long.

import { lastOf, type Tensor } from '../core/tensor.js';
import { transposeInto } from '../ops/move.js';

/** Bytes for a piece, which has half a million to a million values: few enough waits, and no memory to speak of. */
const PIECE = 8 << 20;

/** A tensor of a file. */
export interface StoredTensor {
  readonly shape: readonly number[];
  readonly dtype: string;
  /**
   * Its values in order, a multiple of so many at a time; a piece may lie in `buffer` until the next one is asked for.
   */
  stream(buffer: Uint8Array, multiple: number): AsyncIterable<Float32Array | Int32Array>;
}

/** A parameter and what it is to be; `transposed` if a matrix comes as its transpose. */
interface Reading {
  readonly tensor: Tensor;
  readonly transposed: boolean;
  readonly entry: StoredTensor;
}

/**
 * Reads all of them. If that fails, with an error of the file or the signal's reason, those not reached are as they
 * were.
 */
export async function readParameters(readings: readonly Reading[], signal?: AbortSignal): Promise<void> {
  const row = ({ entry }: Reading) => lastOf(entry.shape);
  const buffer = new Uint8Array(Math.max(PIECE, ...readings.map((reading) => 8 * row(reading))));
  for (const reading of readings) {
    const { tensor, transposed, entry } = reading;
    const { device } = tensor;
    if (!device.queue.idle) await device.flush(); // what is written while commands wait is copied once more
    let done = 0;
    for await (const values of entry.stream(buffer, transposed ? row(reading) : 1)) {
      signal?.throwIfAborted();
      tensor.assertUsable('load'); // the device may have gone meanwhile
      if (transposed) await writeColumns(tensor, done / row(reading), values as Float32Array, row(reading));
      else device.upload(tensor.storage, tensor.offset + done, values);
      done += values.length;
    }
  }
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
