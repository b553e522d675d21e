// A decoder's memory between steps. Nothing here is differentiated: training sees whole sequences.

import {
  checkDevice,
  checkDType,
  checkDTypes,
  checkNumber,
  checkShape,
  describeShape,
  isWhole,
  matrixOf,
} from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';

/** The most sequences that can change places in a cache. */
export function maxCacheRows(device: Device): number {
  return device.constant('cacheReorder.mostRows');
}

function shapeOfCache(op: string, cache: Tensor): readonly [rows: number, slots: number, cols: number] {
  if (cache.shape.length !== 3 || !cache.isContiguous) {
    throw new ShapeError(`${op}: cache is ${describeShape(cache.shape)}, expected [rows, slots, cols], contiguous`);
  }
  return cache.shape as readonly [number, number, number];
}

/**
 * Writes row r of `x` into slot `positions[r]` of sequence r: `cache[r, positions[r]] = x[r]`.
 *
 * `cache` is float32 [rows, slots, cols], `x` float32 [rows, cols], `positions` int32 [rows]. A position outside the
 * cache fails the run.
 */
export function cacheAppend(cache: Tensor, x: Tensor, positions: Tensor): void {
  const device = checkDevice('cacheAppend', { cache, x, positions });
  const [rows, slots, cols] = shapeOfCache('cacheAppend', cache);
  checkDTypes('cacheAppend', { cache, x }, 'float32');
  checkDType('cacheAppend', 'positions', positions, 'int32');
  checkShape('cacheAppend', 'x', x, [rows, cols]);
  checkShape('cacheAppend', 'positions', positions, [rows]);
  device.emit('cacheAppend', { cache, x, positions, rows, slots, cols, xStride: matrixOf(x).stride });
}

/**
 * Fills a cache from packed rows: the `lengths[r]` rows of sequence r go to its first slots, zeros to the others.
 *
 * `cache` is float32 [rows, slots, cols], `x` float32 [sum of lengths, cols], `lengths` int32 [rows]. A sequence longer
 * than the cache fails the run.
 */
export function cacheFill(cache: Tensor, x: Tensor, lengths: Tensor): void {
  const device = checkDevice('cacheFill', { cache, x, lengths });
  const [batch, time, cols] = shapeOfCache('cacheFill', cache);
  checkDTypes('cacheFill', { cache, x }, 'float32');
  checkDType('cacheFill', 'lengths', lengths, 'int32');
  const { rows: total, stride } = matrixOf(x);
  checkShape('cacheFill', 'x', x, [total, cols]);
  checkShape('cacheFill', 'lengths', lengths, [batch]);
  const sizes = { batch, time, cols, total, paddedStride: cols, packedStride: stride };
  device.emit('repack', { padded: cache, packed: x, lengths, ...sizes, packing: false, accumulate: 0 });
}

/**
 * Writes rows that follow each other into one sequence: `cache[row, slot + t] = x[t]`.
 *
 * `cache` is float32 [rows, slots, cols], `x` float32 [T, cols]. Throws ArgumentError for a row or slots that are not
 * there.
 */
export function cacheWrite(cache: Tensor, x: Tensor, { row, slot }: { row: number; slot: number }): void {
  const device = checkDevice('cacheWrite', { cache, x });
  const [rows, slots, cols] = shapeOfCache('cacheWrite', cache);
  checkDTypes('cacheWrite', { cache, x }, 'float32');
  const { rows: count, stride } = matrixOf(x);
  checkShape('cacheWrite', 'x', x, [count, cols]);
  checkNumber('cacheWrite', 'row', row, (n) => isWhole(n) && n < rows, `0 to ${rows - 1}`);
  checkNumber('cacheWrite', 'slot', slot, (n) => isWhole(n) && n + count <= slots, `0 to ${slots - count}`);
  const y = cache
    .rows(row, row + 1)
    .reshape(slots, cols)
    .rows(slot, slot + count);
  device.emit('copy', { x, y, rows: count, cols, xStride: stride, yStride: cols, accumulate: 0 });
}

/**
 * Lets every sequence r go on from what was sequence `order[r]`, in place: `cache[r, s] = cache[order[r], s]` for
 * s < lengths[r], all at once. Beam search, where some beams split and others end.
 *
 * `cache` is float32 [rows, slots, cols], `order` and `lengths` int32 [rows]; at most `maxCacheRows` rows.
 */
export function cacheReorder(cache: Tensor, order: Tensor, lengths: Tensor): void {
  const device = checkDevice('cacheReorder', { cache, order, lengths });
  const [rows, slots, cols] = shapeOfCache('cacheReorder', cache);
  const most = maxCacheRows(device);
  if (rows > most)
    throw new ArgumentError(`cacheReorder: the cache has ${rows} rows, at most ${most} can change places`);
  checkDType('cacheReorder', 'cache', cache, 'float32');
  checkDTypes('cacheReorder', { order, lengths }, 'int32');
  checkShape('cacheReorder', 'order', order, [rows]);
  checkShape('cacheReorder', 'lengths', lengths, [rows]);
  device.emit('cacheReorder', { cache, order, lengths, rows, slots, cols });
}

/** Adds 1 to every element of an int32 tensor, in place. */
export function advance(x: Tensor): void {
  const device = checkDevice('advance', { x });
  checkDType('advance', 'x', x, 'int32');
  if (!x.isContiguous) throw new ShapeError('advance: x is a view with gaps; advance what it is a view of');
  device.emit('advance', { x, count: x.size });
}
