import { checkOneOf } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { div, mul } from '../ops/binary.js';
import { gather, unpack } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import { checkSequences, Sequences } from './sequences.js';

/**
 * The vector that represents a sequence: its first or last row, the mean of all rows, or the mean of all except the
 * first.
 */
export type PoolingMode = 'first' | 'last' | 'mean' | 'meanOfRest';

/**
 * Returns one vector per sequence, float32 [B, d]. `x` is float32 [N, d], the rows of `batch` end to end. Throws
 * ArgumentError, ShapeError, DTypeError.
 */
export function pool(x: Tensor, batch: Sequences, mode: PoolingMode): Tensor {
  checkOneOf('pool', 'mode', mode, ['first', 'last', 'mean', 'meanOfRest']);
  const { lengths, counts, longest, starts, ends, isToken } = checkSequences('pool', batch);
  if (mode === 'meanOfRest') return pool(...withoutFirst(x, batch), 'mean');
  if (mode !== 'mean') return gather(x, x.device.tensor(mode === 'first' ? starts : ends)); // [B, d]
  const mask = batch.tokenMask;
  // Zeros at padding add nothing to the sum.
  const total = sum(unpack(mask ? mul(x, mask) : x, lengths, longest), { axis: 1 }); // [B, d]
  const tokens = isToken?.map((row) => row.filter(Boolean).length) ?? counts;
  return div(total, x.device.tensor(tokens.map((count) => [count])));
}

/** Returns all rows except the first of each sequence. Throws ShapeError if a sequence has only one. */
function withoutFirst(x: Tensor, { counts, starts }: Sequences): [x: Tensor, batch: Sequences] {
  if (Math.min(...counts) < 2)
    throw new ShapeError('pool: a sequence has one row, expected more for a mean of the rest');
  const firsts = new Set(starts);
  const rows = Int32Array.from(Array.from({ length: x.shape[0] as number }, (_, i) => i).filter((i) => !firsts.has(i)));
  const shorter = counts.map((count) => count - 1);
  return [gather(x, x.device.tensor(rows)), Sequences.of(x.device, shorter)];
}
