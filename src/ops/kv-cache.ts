// The key–value cache: a decoder's memory between steps. There are no gradients, because training processes whole
// sequences.

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
import { isRange, lastOf, type Shape, Tensor } from '../core/tensor.js';

/** The maximum number of sequences that can be reordered in a cache. */
export function maxCacheRows(device: Device): number {
  return device.constant('cacheReorder.maxRows');
}

function shapeOfCache(op: string, cache: Tensor): readonly [rows: number, slots: number, cols: number] {
  if (cache.shape.length !== 3 || !cache.isContiguous) {
    throw new ShapeError(`${op}: cache is ${describeShape(cache.shape)}, expected [rows, slots, cols], contiguous`);
  }
  return cache.shape as readonly [number, number, number];
}

/** Types of cached keys and values. */
export const CACHE_TYPES = ['float32', 'float16', 'int8'] as const;

/**
 * float32, float16 and int8 take 4, 2 and 1 bytes for each feature. int8 has a scale of 2 bytes for each 32 features of
 * a head.
 */
export type CacheType = (typeof CACHE_TYPES)[number];

/** The format of a cache's rows. */
export interface CacheFormat {
  readonly type: CacheType;
  /** Number of features of a head. Each head begins at a word boundary. */
  readonly headSize: number;
}

/** Returns the number of words of a head in a cache. Tensors with packed heads are int32. */
export function cacheWords(device: Device, { type, headSize }: CacheFormat): number {
  if (type === 'float32') return headSize;
  const [pad, group] = ['pad', 'group'].map((name) => device.constant(`cache.${name}`)) as [number, number];
  const cells = Math.ceil(headSize / pad) * pad;
  return type === 'float16' ? cells / 2 : Math.ceil((cells + 2 * Math.ceil(cells / group)) / 4);
}

/**
 * Checks that rows of `x` fit into `cache`, and emits the command that writes row r into slot `positions[r]`. If
 * `positions` is null, it writes into the first slot.
 */
function put(op: string, cache: Tensor, x: Tensor, positions: Tensor | null, format: CacheFormat | null): void {
  const { device } = cache;
  const [rows, slots, words] = cache.shape as readonly [number, number, number];
  const { rows: count, cols, stride } = matrixOf(x);
  const { type, headSize } = format ?? { type: 'float32', headSize: Math.max(cols, 1) };
  checkDType(op, 'x', x, format ? 'float32' : cache.dtype);
  checkDType(op, 'cache', cache, type === 'float32' ? x.dtype : 'int32');
  const heads = words / (format ? cacheWords(device, format) : headSize);
  checkShape(op, 'x', x, [rows, heads * headSize]);
  const cells = device.constant(`cache.${type}`);
  device.emit('cacheAppend', { cache, x, positions, rows: count, slots, cols, xStride: stride, cells, head: headSize });
}

/**
 * Writes row r of `x` into slot `positions[r]` of sequence r: `cache[r, positions[r]] = x[r]`.
 *
 * `cache` is float32 [rows, slots, cols], `x` float32 [rows, cols], `positions` int32 [rows]. With a packed `format`
 * the cache is int32 [rows, slots, heads · cacheWords] of the same features. A position outside the cache fails the
 * run.
 */
export function cacheAppend(cache: Tensor, x: Tensor, positions: Tensor, format: CacheFormat | null = null): void {
  checkDevice('cacheAppend', { cache, x, positions });
  const [rows] = shapeOfCache('cacheAppend', cache);
  checkDType('cacheAppend', 'positions', positions, 'int32');
  checkShape('cacheAppend', 'positions', positions, [rows]);
  put('cacheAppend', cache, x, positions, format);
}

/**
 * Fills a cache from packed rows: the `lengths[r]` rows of sequence r go to its first slots, zeros to the others.
 *
 * `cache` is float32 [rows, slots, cols], `x` float32 [sum of lengths, cols], `lengths` int32 [rows]; a packed `format`
 * is as in `cacheAppend`. A sequence longer than the cache fails the run.
 */
export function cacheFill(cache: Tensor, x: Tensor, lengths: Tensor, format: CacheFormat | null = null): void {
  const device = checkDevice('cacheFill', { cache, x, lengths });
  const [batch, time, cols] = shapeOfCache('cacheFill', cache);
  checkDType('cacheFill', 'lengths', lengths, 'int32');
  checkShape('cacheFill', 'lengths', lengths, [batch]);
  const { rows: total } = matrixOf(x);
  device.scope(() => {
    const packed = format && format.type !== 'float32' ? device.empty([total, 1, cols], 'int32') : x;
    if (packed !== x) put('cacheFill', packed, x, null, format);
    const rows = packed.reshape(total, -1);
    checkDType('cacheFill', 'x', rows, cache.dtype);
    checkShape('cacheFill', 'x', rows, [total, cols]);
    const sizes = { batch, time, cols, total, paddedStride: cols, packedStride: matrixOf(rows).stride };
    device.emit('repack', { padded: cache, packed: rows, lengths, ...sizes, packing: false, accumulate: 0 });
  });
}

/**
 * Writes consecutive rows into one sequence: `cache[row, slot + t] = x[t]`.
 *
 * `cache` is float32 [rows, slots, cols], `x` float32 [T, cols]; a packed `format` is as in `cacheAppend`. Without a
 * format, both may be words of the same format. Throws ArgumentError for a row or slots outside the cache.
 */
export function cacheWrite(
  cache: Tensor,
  x: Tensor,
  { row, slot }: { row: number; slot: number },
  format: CacheFormat | null = null,
): void {
  checkDevice('cacheWrite', { cache, x });
  const [rows, slots, cols] = shapeOfCache('cacheWrite', cache);
  const { rows: count } = matrixOf(x);
  checkNumber('cacheWrite', 'row', row, (n) => isWhole(n) && n < rows, `0 to ${rows - 1}`);
  checkNumber('cacheWrite', 'slot', slot, (n) => isWhole(n) && n + count <= slots, `0 to ${slots - count}`);
  put('cacheWrite', slotsOf(cache, row, slot, [count, 1, cols]), x, null, format);
}

/** A view of consecutive slots of one row of a cache, from slot `first`. One view, because each step makes hundreds. */
function slotsOf(cache: Tensor, row: number, first: number, shape: Shape): Tensor {
  const [, slots, cols] = cache.shape as readonly [number, number, number];
  const within = cache.within + (row * slots + first) * cols;
  return new Tensor(cache.device, shape, cache.dtype, cache.storage, within, cols, cache.root);
}

/** Copies slots first … end − 1 of row `from` of one cache to row `to` of another. */
export function cacheCopy(
  cache: Tensor,
  to: number,
  source: Tensor,
  from: number,
  [first, end]: readonly [first: number, end: number],
): void {
  const [rows, slots, cols] = shapeOfCache('cacheCopy', source);
  checkNumber('cacheCopy', 'from', from, (n) => isWhole(n) && n < rows, `0 to ${rows - 1}`);
  if (!isRange(first, end, slots)) throw new ArgumentError(`cacheCopy: slots ${first} to ${end} of ${slots}`);
  cacheWrite(cache, slotsOf(source, from, first, [end - first, cols]), { row: to, slot: first });
}

/**
 * Replaces every sequence r by sequence `order[r]`, in place and all at once: `cache[r, s] = cache[order[r], s]` for s
 * < lengths[r]. Beam search needs this, because some beams split and others end.
 *
 * `cache` is [rows, slots, cols], packed or not, `order` and `lengths` int32 [rows]; at most `maxCacheRows` rows.
 */
export function cacheReorder(cache: Tensor, order: Tensor, lengths: Tensor): void {
  const device = checkDevice('cacheReorder', { cache, order, lengths });
  const [rows, slots, cols] = shapeOfCache('cacheReorder', cache);
  const max = maxCacheRows(device);
  if (rows > max) throw new ArgumentError(`cacheReorder: the cache has ${rows} rows, expected at most ${max}`);
  checkDTypes('cacheReorder', { order, lengths }, 'int32');
  checkShape('cacheReorder', 'order', order, [rows]);
  checkShape('cacheReorder', 'lengths', lengths, [rows]);
  device.emit('cacheReorder', { cache, order, lengths, rows, slots, cols });
}

/** Sets all elements of a contiguous tensor to 0. */
export function clear(y: Tensor): void {
  const cols = lastOf(y.shape);
  y.device.emit('fill', { y, rows: y.size / cols, cols, stride: cols, value: 0 });
}

/** Adds 1 to every element of an int32 tensor, in place. */
export function advance(x: Tensor): void {
  const device = checkDevice('advance', { x });
  checkDType('advance', 'x', x, 'int32');
  if (!x.isContiguous) throw new ShapeError('advance: x is a view with gaps, expected a contiguous tensor');
  device.emit('advance', { x, count: x.size });
}
