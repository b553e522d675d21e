// Lengths of items: the number of rows of each item that take part in attention.

import { checkDType, checkIntegers, checkNumber, checkShape, isWhole } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ShapeError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import type { Lengths } from './attention-options.js';
import { contiguous } from './contiguous.js';

/** Returns the lengths if they are a tensor. Throws ArgumentError for values that cannot be lengths. */
export function lengthsTensor(op: string, name: string, lengths: Lengths | null | undefined): Tensor | null {
  if (lengths instanceof Tensor) return lengths;
  if (lengths !== null && lengths !== undefined) checkIntegers(op, name, lengths);
  return null;
}

export const lengthCount = (lengths: Lengths) => (lengths instanceof Tensor ? lengths.size : lengths.length);

/** The rows to which lengths refer. */
interface Rows {
  readonly batch: number;
  /** Number of rows of each item if padded, of all items if packed. */
  readonly rows: number;
  readonly packed: boolean;
}

export interface CheckedLengths {
  readonly tensor: Tensor | null;
  /** Length of the longest item, or an upper bound. */
  readonly longest: number;
}

export function checkLengths(
  op: string,
  name: string,
  device: Device,
  lengths: Lengths | null,
  { batch, rows, packed }: Rows,
): CheckedLengths {
  if (lengths === null) return { tensor: null, longest: rows };
  if (lengths instanceof Tensor) {
    checkDType(op, name, lengths, 'int32');
    checkShape(op, name, lengths, [batch]);
    return { tensor: contiguous(lengths), longest: rows };
  }
  if (lengths.length !== batch) throw new ShapeError(`${op}: ${name} has ${lengths.length} entries, expected ${batch}`);
  let longest = 0;
  let total = 0;
  for (const length of lengths) {
    checkNumber(op, `a length in ${name}`, length, (n) => isWhole(n) && n <= rows, `0 to ${rows}`);
    longest = Math.max(longest, length);
    total += length;
  }
  if (packed && total !== rows) throw new ShapeError(`${op}: ${name} adds up to ${total}, but there are ${rows} rows`);
  return { tensor: device.tensor(Int32Array.from(lengths)), longest };
}
