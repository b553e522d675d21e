// Resizing of images and sequences. Each axis is interpolated by a matrix.

import { checkDevice, checkDTypes, checkOptions, describeShape, oneOrTwo } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';
import { matmul } from './matmul.js';

/** One number for all spatial dimensions, or [height, width]. */
export type PerAxis = number | readonly [number, number];

export type InterpolationMode = 'nearest' | 'nearest-exact' | 'linear' | 'bilinear' | 'bicubic';

export interface InterpolateOptions {
  /** Size of the result. Either this or `scaleFactor` is required. */
  size?: PerAxis | undefined;
  /** Ratio of the result's size to that of `x`. The size is rounded down. */
  scaleFactor?: PerAxis | undefined;
  /** 'linear' is for sequences, 'bilinear' and 'bicubic' are for images. Default: 'nearest'. */
  mode?: InterpolationMode | undefined;
  /**
   * True if the centres of the first and last elements of input and result coincide, false if their outer edges do.
   * Default: false.
   */
  alignCorners?: boolean | undefined;
  /**
   * True to widen the kernel when the result is smaller, as Pillow does. For 'bilinear' and 'bicubic'. Default: false.
   */
  antialias?: boolean | undefined;
  /** True for x and result as [B, T, C] or [B, H, W, C]. Default: false. */
  channelsLast?: boolean | undefined;
}

/** A kernel of interpolation in one dimension. */
interface Kernel {
  /** Number of taps on each side of a position. */
  readonly support: number;
  /** The weight of a tap at this distance. */
  readonly weight: (distance: number) => number;
  /** True if positions before the first element are moved to it. */
  readonly clamps: boolean;
}

/** Keys' cubic kernel (1981), for distances below 2. */
function cubic(distance: number, a: number): number {
  const x = Math.abs(distance);
  return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((x - 5) * x + 8) * x * a - 4 * a;
}

const linear: Kernel = { support: 1, weight: (distance) => 1 - Math.abs(distance), clamps: true };
/** The parameter `a` of PyTorch is that of OpenCV; with antialias it is that of Pillow. */
const bicubic = (a: number): Kernel => ({ support: 2, weight: (distance) => cubic(distance, a), clamps: false });

/** Maps positions of the result to positions of the input, on one axis. */
interface Axis {
  readonly from: number;
  readonly to: number;
  /** Distance in the input of two adjacent results. */
  readonly step: number;
}

/**
 * Resizes images or sequences, as torch.nn.functional.interpolate. `x` is float32 [B, C, H, W] or [B, C, T]. With
 * `channelsLast` it is [B, H, W, C] or [B, T, C]. The result has the same layout. An infinite element makes its row and
 * column of the result NaN. Throws ShapeError, DTypeError, ArgumentError.
 */
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  const {
    mode = 'nearest',
    alignCorners = false,
    antialias = false,
    channelsLast = false,
  } = checkInterpolation(options);
  const device = checkDevice('interpolate', { x });
  checkDTypes('interpolate', { x }, 'float32');
  const rank = x.shape.length - 2;
  if (rank !== 1 && rank !== 2)
    throw new ShapeError(`interpolate: x is ${describeShape(x.shape)}, expected [B, C, T] or [B, C, H, W]`);
  if ((mode === 'linear' && rank === 2) || (mode.startsWith('bi') && rank === 1))
    throw new ArgumentError(`interpolate: mode is ${mode}, but x is ${describeShape(x.shape)}`);
  const isNearest = mode.startsWith('nearest');
  if (isNearest && alignCorners) throw new ArgumentError(`interpolate: alignCorners is true, but mode is ${mode}`);
  if (antialias && !mode.startsWith('bi'))
    throw new ArgumentError(`interpolate: antialias is true, but mode is ${mode}, expected bilinear or bicubic`);
  const space = x.shape.slice(channelsLast ? 1 : 2).slice(0, rank);
  const axes = space.map((from, d) => axisOf(from, d, options, alignCorners));
  const matrices = axes.map((axis) => {
    if (isNearest) return nearestMatrix(device, axis, mode === 'nearest-exact' ? 0.5 : 0);
    if (antialias) return antialiasMatrix(device, axis, mode === 'bicubic' ? bicubic(-0.5) : linear);
    return kernelMatrix(device, axis, mode === 'bicubic' ? bicubic(-0.75) : linear, alignCorners);
  });
  return device.scope(() => resample(x, matrices, channelsLast));
}

function checkInterpolation(options: InterpolateOptions): InterpolateOptions {
  checkOptions('interpolate', options, {
    size: oneOrTwo('count'),
    scaleFactor: oneOrTwo('positive'),
    mode: ['nearest', 'nearest-exact', 'linear', 'bilinear', 'bicubic'],
    alignCorners: 'boolean',
    antialias: 'boolean',
    channelsLast: 'boolean',
  });
  if ((options.size === undefined) === (options.scaleFactor === undefined))
    throw new ArgumentError('interpolate: size and scaleFactor are both given or both missing, expected one of them');
  return options;
}

function axisOf(from: number, d: number, { size, scaleFactor }: InterpolateOptions, alignCorners: boolean): Axis {
  const valueAt = (value: PerAxis): number => (typeof value === 'number' ? value : (value[d] as number));
  const to = size === undefined ? Math.floor(from * valueAt(scaleFactor as PerAxis)) : valueAt(size);
  if (to < 1)
    throw new ShapeError(`interpolate: scaleFactor ${valueAt(scaleFactor as PerAxis)} leaves nothing of ${from}`);
  if (alignCorners) return { from, to, step: to > 1 ? (from - 1) / (to - 1) : 0 };
  return { from, to, step: scaleFactor === undefined ? from / to : 1 / valueAt(scaleFactor) };
}

/** Makes a matrix [to, from]. `fill` fills it row by row. */
function matrixOf(device: Device, { from, to }: Axis, fill: (i: number, row: Float32Array) => void): Tensor {
  const values = new Float32Array(to * from);
  for (let i = 0; i < to; i++) fill(i, values.subarray(i * from, (i + 1) * from));
  return device.tensor(values, [to, from]);
}

function nearestMatrix(device: Device, axis: Axis, shift: number): Tensor {
  return matrixOf(device, axis, (i, row) => {
    row[Math.min(axis.from - 1, Math.floor((i + shift) * axis.step))] = 1;
  });
}

/** Returns the interpolation matrix. The first and last values continue beyond the ends. */
function kernelMatrix(device: Device, axis: Axis, { support, weight, clamps }: Kernel, alignCorners: boolean): Tensor {
  return matrixOf(device, axis, (i, row) => {
    const center = alignCorners ? i * axis.step : (i + 0.5) * axis.step - 0.5;
    const position = clamps ? Math.max(0, center) : center;
    const first = Math.floor(position) + 1 - support;
    for (let tap = first; tap < first + 2 * support; tap++) {
      const column = Math.min(axis.from - 1, Math.max(0, tap));
      row[column] = (row[column] as number) + weight(position - tap);
    }
  });
}

/**
 * Returns the interpolation matrix with antialiasing: the kernel is widened to the step. Its weights inside the input
 * add up to 1.
 */
function antialiasMatrix(device: Device, axis: Axis, { support, weight }: Kernel): Tensor {
  return matrixOf(device, axis, (i, row) => {
    const width = Math.max(axis.step, 1);
    const centre = axis.step * (i + 0.5);
    const first = Math.max(0, Math.trunc(centre - support * width + 0.5));
    const last = Math.min(axis.from, Math.trunc(centre + support * width + 0.5));
    const weights = Array.from({ length: last - first }, (_, k) => {
      const distance = (first + k + 0.5 - centre) / width;
      return Math.abs(distance) < support ? weight(distance) : 0;
    });
    const total = weights.reduce((sum, value) => sum + value, 0);
    weights.forEach((value, k) => {
      row[first + k] = value / total;
    });
  });
}

/** @internal Multiplies each spatial dimension by a matrix [to, from]. Call it in a scope. */
export function resample(x: Tensor, matrices: readonly Tensor[], channelsLast: boolean): Tensor {
  const first = channelsLast ? 1 : 2;
  return matrices.reduce((y, matrix, i) => {
    const d = first + i;
    const [to, from] = matrix.shape as [number, number];
    const inner = y.shape.slice(d + 1).reduce((size, n) => size * n, 1);
    const shape = y.shape.with(d, to);
    const dense = contiguous(y);
    const product =
      inner === 1
        ? matmul(dense.reshape(-1, from), matrix, { transposeB: true })
        : matmul(matrix, dense.reshape(-1, from, inner));
    return product.reshape(shape);
  }, x);
}
