import { checkOneOf } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { div, mul } from '../ops/binary.js';
import { gather, unpack } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import { checkSequences, Sequences } from './sequences.js';

/**
 * Reduces the rows of a sequence to one: its first or last, the mean of all its tokens, or of all rows but the first.
 */
export type PoolingMode = 'first' | 'last' | 'mean' | 'meanOfRest';

/**
 * One vector for each sequence, float32 [B, d], of its rows in `x`, float32 [N, d], those of `batch` end to end. Throws
 * ArgumentError, ShapeError, DTypeError.
 */
export function pool(x: Tensor, batch: Sequences, mode: PoolingMode): Tensor {
  checkOneOf('pool', 'mode', mode, ['first', 'last', 'mean', 'meanOfRest']);
  const { lengths, counts, longest, starts, ends, isToken } = checkSequences('pool', batch);
  if (mode === 'meanOfRest') return pool(...rest(x, batch), 'mean');
  if (mode !== 'mean') return gather(x, x.device.tensor(mode === 'first' ? starts : ends)); // [B, d]
  const mask = batch.tokenMask;
  const total = sum(unpack(mask ? mul(x, mask) : x, lengths, longest), { axis: 1 }); // [B, d]; zeros at padding add nothing
  const tokens = isToken?.map((row) => row.filter(Boolean).length) ?? counts;
  return div(total, x.device.tensor(tokens.map((count) => [count])));
}

/** All rows but the first of each sequence. Throws ShapeError if there is but one. */
function rest(x: Tensor, { counts, starts }: Sequences): [x: Tensor, batch: Sequences] {
  if (Math.min(...counts) < 2)
    throw new ShapeError('pool: a sequence has one row, expected more for a mean of the rest');
  const firsts = new Set(starts);
  const rows = Int32Array.from(Array.from({ length: x.shape[0] as number }, (_, i) => i).filter((i) => !firsts.has(i)));
  const shorter = counts.map((count) => count - 1);
  return [gather(x, x.device.tensor(rows)), Sequences.of(x.device, shorter)];
}
