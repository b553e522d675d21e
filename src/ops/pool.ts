// Pooling: the maximum or the mean of each window.

import {
  checkDevice,
  checkDTypes,
  checkNumber,
  checkOptions,
  describeShape,
  isCount,
  oneOrTwo,
} from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { sizeOf, type Tensor } from '../core/tensor.js';
import { topk } from './axis.js';
import { mul } from './binary.js';
import { contiguous } from './contiguous.js';
import { dimensionsOf, integerRules, type Pair, pairOf, patchesOf, type Steps } from './conv.js';
import { resample } from './interpolate.js';
import { pad } from './pad.js';
import { mean, sum } from './reduce.js';

interface PoolOptions<Size> {
  /** Distance between neighbouring windows. Default: the size of a window. */
  stride?: Size | undefined;
  /** Size of the border on each side of the input, at most half a window. Default: 0. */
  padding?: Size | undefined;
  /**
   * True if windows may extend beyond the border. The number of windows is then rounded up instead of down. Default:
   * false.
   */
  ceilMode?: boolean | undefined;
  /** True for x and result as [B, T, C] or [B, H, W, C]. Default: false. */
  channelsLast?: boolean | undefined;
}

/** Options of max pooling. `Size` is a number, or one number per dimension. */
export interface MaxPoolOptions<Size> extends PoolOptions<Size> {
  /** Distance between neighbouring elements of a window. Default: 1. */
  dilation?: Size | undefined;
}

/** Options of average pooling. `Size` is a number, or one number per dimension. */
export interface AvgPoolOptions<Size> extends PoolOptions<Size> {
  /** True if zeros of the border count as elements. Default: true. */
  countIncludePad?: boolean | undefined;
}

export type MaxPool1dOptions = MaxPoolOptions<number>;
export type MaxPool2dOptions = MaxPoolOptions<Steps>;
export type AvgPool1dOptions = AvgPoolOptions<number>;
export type AvgPool2dOptions = AvgPoolOptions<Steps>;

/**
 * The maximum of each window of a sequence, as torch.nn.functional.max_pool1d. `x`: float32 [B, C, T], or [B, T, C]
 * with `channelsLast`. The first of equal elements receives the gradient; NaN counts as the greatest. Throws
 * ShapeError, DTypeError, ArgumentError.
 */
export function maxPool1d(x: Tensor, kernel: number, options: MaxPool1dOptions = {}): Tensor {
  return maxPool('maxPool1d', 1, x, kernel, options);
}

/** `maxPool1d` in two dimensions. `x`: float32 [B, C, H, W], or [B, H, W, C] with `channelsLast`. */
export function maxPool2d(x: Tensor, kernel: Steps, options: MaxPool2dOptions = {}): Tensor {
  return maxPool('maxPool2d', 2, x, kernel, options);
}

/**
 * The mean of each window of a sequence, as torch.nn.functional.avg_pool1d. `x`: float32 [B, C, T], or [B, T, C] with
 * `channelsLast`. Throws ShapeError, DTypeError, ArgumentError.
 */
export function avgPool1d(x: Tensor, kernel: number, options: AvgPool1dOptions = {}): Tensor {
  return avgPool('avgPool1d', 1, x, kernel, options);
}

/** `avgPool1d` in two dimensions. `x`: float32 [B, C, H, W], or [B, H, W, C] with `channelsLast`. */
export function avgPool2d(x: Tensor, kernel: Steps, options: AvgPool2dOptions = {}): Tensor {
  return avgPool('avgPool2d', 2, x, kernel, options);
}

/**
 * Means of windows that divide a sequence into `size` parts, as torch.nn.functional.adaptive_avg_pool1d. `x`: float32
 * [B, C, T], or [B, T, C] with `channelsLast`; the result has `size` elements instead of T. Throws ShapeError,
 * DTypeError, ArgumentError.
 */
export function adaptiveAvgPool1d(
  x: Tensor,
  size: number,
  options: { channelsLast?: boolean | undefined } = {},
): Tensor {
  return adaptive('adaptiveAvgPool1d', 1, x, size, options);
}

/** `adaptiveAvgPool1d` in two dimensions. `x`: float32 [B, C, H, W]; `size`: a number for both, or [height, width]. */
export function adaptiveAvgPool2d(
  x: Tensor,
  size: Steps,
  options: { channelsLast?: boolean | undefined } = {},
): Tensor {
  return adaptive('adaptiveAvgPool2d', 2, x, size, options);
}

/** The windows of a pooling, by height and width. Sequences are images of height 1. */
interface Windows {
  readonly batch: number;
  readonly channels: number;
  readonly channelsLast: boolean;
  readonly rank: 1 | 2;
  readonly input: Pair;
  readonly output: Pair;
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
}

function kindsFor(rank: 1 | 2) {
  const { count, whole } = integerRules(rank === 1 ? (rule) => rule : oneOrTwo);
  return {
    count,
    kinds: { stride: count, padding: whole, ceilMode: 'boolean', channelsLast: 'boolean' } as const,
  };
}

function maxPool(op: string, rank: 1 | 2, x: Tensor, kernel: Steps, options: MaxPool2dOptions): Tensor {
  const { count, kinds } = kindsFor(rank);
  checkOptions(op, options, { ...kinds, dilation: count });
  const device = checkInput(op, x, kernel, count);
  const windows = measure(op, rank, x, kernel, options, options.dilation ?? 1);
  return device.scope(() => {
    const { patches, axis } = windowsOf(device, x, windows, Number.NEGATIVE_INFINITY);
    return topk(patches, 1, { axis }).values.reshape(shapeOf(windows));
  });
}

function avgPool(op: string, rank: 1 | 2, x: Tensor, kernel: Steps, options: AvgPool2dOptions): Tensor {
  const { count, kinds } = kindsFor(rank);
  const { countIncludePad = true } = checkOptions(op, options, { ...kinds, countIncludePad: 'boolean' });
  const device = checkInput(op, x, kernel, count);
  const windows = measure(op, rank, x, kernel, options, 1);
  return device.scope(() => {
    const { patches, axis } = windowsOf(device, x, windows, 0);
    const counts = countsOf(windows, countIncludePad);
    if (counts.every((size) => size === sizeOf(windows.kernel)))
      return mean(patches, { axis }).reshape(shapeOf(windows));
    const factors = device.tensor(
      counts.map((size) => 1 / size),
      windows.channelsLast ? [1, counts.length, 1] : [counts.length],
    );
    const sums = sum(patches, { axis }).reshape(
      windows.batch,
      ...(windows.channelsLast ? [-1, windows.channels] : [windows.channels, -1]),
    );
    return mul(sums, factors).reshape(shapeOf(windows));
  });
}

function checkInput(op: string, x: Tensor, kernel: Steps, rule: ReturnType<typeof kindsFor>['count']): Device {
  const device = checkDevice(op, { x });
  checkDTypes(op, { x }, 'float32');
  checkOptions(op, { kernel }, { kernel: rule });
  return device;
}

function measure(
  op: string,
  rank: 1 | 2,
  x: Tensor,
  kernel: Steps,
  { stride = kernel, padding = 0, ceilMode = false, channelsLast = false }: PoolOptions<Steps>,
  dilation: Steps,
): Windows {
  const { batch, channels, input } = checkedDimensions(op, rank, x, channelsLast);
  const [kernels, strides] = [pairOf(rank, kernel, 1), pairOf(rank, stride, 1)];
  const [paddings, dilations] = [pairOf(rank, padding, 0), pairOf(rank, dilation, 1)];
  const output = input.map((size, d) => {
    const [step, border] = [strides[d] as number, paddings[d] as number];
    const extent = (dilations[d] as number) * ((kernels[d] as number) - 1) + 1;
    if (2 * border > extent) throw new ArgumentError(`${op}: padding is ${border}, expected at most half of ${extent}`);
    const room = size + 2 * border - extent;
    if (room < 0) throw new ShapeError(`${op}: x is ${describeShape(x.shape)}, smaller than a window of ${extent}`);
    const count = (ceilMode ? Math.ceil(room / step) : Math.floor(room / step)) + 1;
    // The last window must begin inside the input or the border before it.
    return ceilMode && (count - 1) * step >= size + border ? count - 1 : count;
  }) as unknown as Pair;
  return {
    batch,
    channels,
    channelsLast,
    rank,
    input,
    output,
    kernel: kernels,
    stride: strides,
    padding: paddings,
    dilation: dilations,
  };
}

function checkedDimensions(op: string, rank: 1 | 2, x: Tensor, channelsLast: boolean) {
  if (x.shape.length !== rank + 2) {
    const space = rank === 1 ? 'T' : 'H, W';
    const expected = channelsLast ? `[B, ${space}, C]` : `[B, C, ${space}]`;
    throw new ShapeError(`${op}: x is ${describeShape(x.shape)}, expected ${expected}`);
  }
  return dimensionsOf(rank, x, channelsLast);
}

function shapeOf({ batch, channels, channelsLast, rank, output }: Windows): number[] {
  const space = rank === 1 ? [output[1]] : output;
  return channelsLast ? [batch, ...space, channels] : [batch, channels, ...space];
}

/** Returns all windows, and the dimension of their elements. Elements outside the input are `value`. */
function windowsOf(device: Device, x: Tensor, windows: Windows, value: number): { patches: Tensor; axis: number } {
  const { batch, channels, channelsLast, input, output, kernel, stride, padding, dilation, rank } = windows;
  const after = input.map((size, d) => {
    const extent = (dilation[d] as number) * ((kernel[d] as number) - 1) + 1;
    const end = ((output[d] as number) - 1) * (stride[d] as number) + extent;
    return Math.max(0, end - size - (padding[d] as number));
  }) as unknown as Pair;
  const borders = [padding[1], after[1], ...(rank === 2 ? [padding[0], after[0]] : [])];
  const padded = borders.some((size) => size > 0)
    ? pad(x, [...(channelsLast ? [0, 0] : []), ...borders], { value })
    : x;
  const room = input.map((size, d) => size + (padding[d] as number) + (after[d] as number)) as unknown as Pair;
  const geometry = { batch, channels, groups: 1, channelsLast, output, kernel, stride, dilation };
  const patches = patchesOf(device, contiguous(padded), { ...geometry, input: room, padding: [0, 0] });
  const [taps, outputs] = [sizeOf(kernel), sizeOf(output)];
  return channelsLast
    ? { patches: patches.reshape(batch * outputs, taps, channels), axis: 1 }
    : { patches: patches.reshape(batch * channels, taps, outputs), axis: 1 };
}

/** Returns the number of elements of each window, row by row. Elements beyond the border do not count. */
function countsOf({ input, output, kernel, stride, padding }: Windows, countIncludePad: boolean): number[] {
  const along = ([0, 1] as const).map((d) =>
    Array.from({ length: output[d] }, (_, o) => {
      const first = o * stride[d] - padding[d];
      const last = Math.min(first + kernel[d], input[d] + padding[d]);
      return countIncludePad ? last - first : Math.min(last, input[d]) - Math.max(first, 0);
    }),
  ) as [number[], number[]];
  return along[0].flatMap((height) => along[1].map((width) => height * width));
}

function adaptive(
  op: string,
  rank: 1 | 2,
  x: Tensor,
  size: Steps,
  options: { channelsLast?: boolean | undefined },
): Tensor {
  const { channelsLast = false } = checkOptions(op, options, { channelsLast: 'boolean' });
  const device = checkInput(op, x, size, kindsFor(rank).count);
  const { input } = checkedDimensions(op, rank, x, channelsLast);
  const to = pairOf(rank, size, 1);
  for (const length of to) checkNumber(op, 'size', length, isCount, 'a positive integer');
  return device.scope(() => {
    const matrices = input.map((from, d) => partMeans(device, from, to[d] as number));
    return resample(x, rank === 1 ? matrices.slice(1) : matrices, channelsLast);
  });
}

/** Returns the matrix [to, from] that computes the mean of each of `to` parts. */
function partMeans(device: Device, from: number, to: number): Tensor {
  const values = new Float32Array(to * from);
  for (let i = 0; i < to; i++) {
    const [first, last] = [Math.floor((i * from) / to), Math.ceil(((i + 1) * from) / to)];
    values.fill(1 / (last - first), i * from + first, i * from + last);
  }
  return device.tensor(values, [to, from]);
}
