// Selection of the next tokens on the device that holds their scores. There are no gradients.

import {
  checkDevice,
  checkDType,
  checkDTypes,
  checkNumber,
  checkShape,
  describeShape,
  matrixOf,
} from '../core/check.js';
import type { Device } from '../core/device.js';
import { ShapeError } from '../core/errors.js';
import type { Scalar } from '../core/operand.js';
import type { Tensor } from '../core/tensor.js';

/** The maximum number of tokens that `topKInto` finds for each row. */
export function maxTopK(device: Device): number {
  return device.constant('topK.max');
}

/** The best tokens of each row, best first, with slots for several steps. */
export interface BestTokens {
  /** float32 and int32 [slots, rows, k]. */
  readonly values: Tensor;
  readonly ids: Tensor;
  /** float32 [slots, rows, 2]: the sum of the two is log Σ e^x over the row. */
  readonly logSums: Tensor;
}

interface TopKIntoOptions {
  /** The slot of `best` to write. Default: 0. */
  slot?: number | Scalar | undefined;
  /** int32: tokens to skip. Only the first `forbiddenCount` entries count. */
  forbidden?: Tensor | null | undefined;
  forbiddenCount?: number | Scalar | undefined;
}

function shapeOfBest(op: string, values: Tensor): readonly [slots: number, rows: number, k: number] {
  if (values.shape.length !== 3 || !values.isContiguous)
    throw new ShapeError(`${op}: best is ${describeShape(values.shape)}, expected [slots, rows, k], contiguous`);
  return values.shape as readonly [number, number, number];
}

/**
 * Finds the k greatest elements of each row of `x`, float32 [rows, cols], and the row's log Σ e^x. The first of equal
 * elements comes first. `best` may have been made for more rows. If fewer than k elements are above −∞ and not
 * forbidden, the remaining values are −∞ and their ids 0.
 */
export function topKInto(
  x: Tensor,
  best: BestTokens,
  { slot = 0, forbidden = null, forbiddenCount = 0 }: TopKIntoOptions = {},
): void {
  const { values, ids, logSums } = best;
  const device = checkDevice('topKInto', { x, values, ids, logSums }, { forbidden });
  const [slots, max, k] = shapeOfBest('topKInto', values);
  const { rows, cols, stride } = matrixOf(x);
  checkDType('topKInto', 'x', x, 'float32');
  checkDType('topKInto', 'values', values, 'float32');
  checkDType('topKInto', 'ids', ids, 'int32');
  checkShape('topKInto', 'ids', ids, values.shape);
  checkShape('topKInto', 'logSums', logSums, [slots, max, 2]);
  if (forbidden) checkDType('topKInto', 'forbidden', forbidden, 'int32');
  const limit = maxTopK(device);
  const isAllowed = (n: number) => n >= 1 && n <= Math.min(limit, cols);
  checkNumber('topKInto', 'k', k, isAllowed, `from 1 to ${limit} and the columns, ${cols}`);
  if (rows > max) throw new ShapeError(`topKInto: x is ${describeShape(x.shape)}, but best has room for ${max} rows`);
  device.emit('topK', { x, forbidden, values, ids, logSums, rows, cols, stride, k, slot, forbiddenCount });
}

/**
 * Makes the best token of each row the decoder's next input: `tokens[r] = ids[slot, r]`, with k = 1 in `best`. Sets
 * `finished[r] = 1` if the token is one of `stops`. Once every row is finished, the run ends and skips all later
 * commands, so queue none that must run.
 *
 * `tokens` is int32 [rows]; `finished` and `stops` are int32. `finished` is at least as long as `tokens`; `stops` may
 * be absent.
 */
export function takeTokens(
  { ids }: BestTokens,
  tokens: Tensor,
  finished: Tensor,
  { slot = 0, stops = null }: { slot?: number | Scalar | undefined; stops?: Tensor | null | undefined } = {},
): void {
  const device = checkDevice('takeTokens', { ids, tokens, finished }, { stops });
  const [, max, k] = shapeOfBest('takeTokens', ids);
  const rows = tokens.size;
  checkDTypes('takeTokens', { ids, tokens, finished, stops }, 'int32');
  checkShape('takeTokens', 'tokens', tokens, [rows]);
  checkNumber('takeTokens', 'k', k, (n) => n === 1, 'the one best');
  if (rows > Math.min(max, finished.size)) {
    throw new ShapeError(
      `takeTokens: there are ${rows} tokens, but best has ${max} rows and finished ${finished.size}`,
    );
  }
  device.emit('takeTokens', { ids, stops, tokens, finished, rows, slot, stopCount: stops?.size ?? 0 });
}
