import { checkOneOf } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { div } from '../ops/binary.js';
import { gather, unpack } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import { checkSequences, type Sequences } from './sequences.js';

/** How the rows of a sequence become one: its first or last, or the mean of all. */
export type PoolingMode = 'first' | 'last' | 'mean';

/**
 * One vector for each sequence, float32 [B, d], of its rows in `x`, float32 [N, d], those of `batch` end to end. Throws
 * ArgumentError, ShapeError, DTypeError.
 */
export function pool(x: Tensor, batch: Sequences, mode: PoolingMode): Tensor {
  checkOneOf('pool', 'mode', mode, ['first', 'last', 'mean']);
  const { lengths, counts, longest, starts, ends } = checkSequences('pool', batch);
  if (mode !== 'mean') return gather(x, x.device.tensor(mode === 'first' ? starts : ends));
  const total = sum(unpack(x, lengths, longest), { axis: 1 }); // zeros at padding add nothing
  return div(total, x.device.tensor(counts.map((count) => [count])));
}
