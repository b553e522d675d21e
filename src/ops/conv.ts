// Convolutions as matrix products: patches of the input, side by side in memory (im2col), times the weights.

import { differentiable, gradOf, passGrad } from '../core/autograd.js';
import {
  checkDevice,
  checkDTypes,
  checkOptions,
  checkShape,
  describeShape,
  isCount,
  isInt32,
  isWhole,
  type OptionKind,
  type OptionRule,
  oneOrTwo,
} from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { sizeOf, type Tensor } from '../core/tensor.js';
import { add } from './binary.js';
import { contiguous } from './contiguous.js';
import { linear } from './linear.js';
import { matmul } from './matmul.js';
import { permute } from './move.js';

/** A number for conv1d; for conv2d one for both dimensions, or [height, width]. */
export type Steps = number | readonly [number, number];

/** Options of convolutions. `Size` is a number, or one number per dimension. */
export interface ConvOptions<Size> {
  /** Distance between neighbouring outputs. Default: 1. */
  stride?: Size | undefined;
  /** Zeros added before and after the input. Default: 0. */
  padding?: Size | undefined;
  /** Distance between neighbouring taps of the weights. Default: 1. */
  dilation?: Size | undefined;
  /**
   * Number of groups of channels. An output depends only on the inputs of its group. If there is one group per channel,
   * this is a depthwise convolution. Default: 1.
   */
  groups?: number | undefined;
  /**
   * True for x and result as [B, T, C] or [B, H, W, C], the layout of tokens. It is faster: product and bias are one
   * pass, and patches consist of runs of channels. The layout of the weights does not change. Default: false.
   */
  channelsLast?: boolean | undefined;
}

export type Conv1dOptions = ConvOptions<number>;
export type Conv2dOptions = ConvOptions<Steps>;

/** Throws ArgumentError for options of `conv1d`, in the name of `op`. */
export function checkConv1d(op: string, options: Conv1dOptions): Conv1dOptions {
  return checkOptions(
    op,
    options,
    kindsOf((kind) => kind),
  );
}

/** Throws ArgumentError for options of `conv2d`, in the name of `op`. */
export function checkConv2d(op: string, options: Conv2dOptions): Conv2dOptions {
  return checkOptions(op, options, kindsOf(oneOrTwo));
}

/**
 * Convolution over a sequence, as torch.nn.functional.conv1d:
 *
 *     y[b, o, t] = bias[o] + Σ_c,i w[o, c, i]·x[b, c, t·stride + i·dilation - padding]
 *
 * `x` is float32 [B, C, T], `w` float32 [out, C / groups, k], and `bias` float32 [out] or null. The result is [B, out,
 * T'] with T' = ⌊(T + 2·padding - dilation·(k - 1) - 1) / stride⌋ + 1. With `channelsLast`, x is [B, T, C] and the
 * result [B, T', out]. Takes memory for the patches, k/stride times the input's, unless the patches lie side by side in
 * the input. Throws ShapeError, DTypeError, ArgumentError.
 */
export function conv1d(x: Tensor, w: Tensor, bias: Tensor | null = null, options: Conv1dOptions = {}): Tensor {
  return convolve('conv1d', 1, x, w, bias, checkConv1d('conv1d', options));
}

/**
 * Convolution over an image, as torch.nn.functional.conv2d: `conv1d` in two dimensions.
 *
 * `x` is float32 [B, C, H, W], `w` float32 [out, C / groups, kh, kw], and `bias` float32 [out] or null. The result is
 * [B, out, H', W']. With `channelsLast`, x is [B, H, W, C] and the result [B, H', W', out]. With equal stride and
 * kernel, these are the tokens of a vision Transformer. Takes memory for the patches, kh·kw/stride² times the input's.
 * Throws ShapeError, DTypeError, ArgumentError.
 */
export function conv2d(x: Tensor, w: Tensor, bias: Tensor | null = null, options: Conv2dOptions = {}): Tensor {
  return convolve('conv2d', 2, x, w, bias, checkConv2d('conv2d', options));
}

/** @internal Rules of the options of convolutions. `rule` may extend that of a number. */
export function kindsOf(rule: (element: OptionRule) => OptionRule): { [Name in keyof Conv2dOptions]-?: OptionKind } {
  const { count, whole } = integerRules(rule);
  return { stride: count, padding: whole, dilation: count, groups: 'count', channelsLast: 'boolean' };
}

/** @internal Rules of distances and of paddings. */
export function integerRules(rule: (element: OptionRule) => OptionRule): { count: OptionRule; whole: OptionRule } {
  const integer = (accepts: (value: number) => boolean, expected: string) =>
    rule({ accepts: (value) => accepts(value as number) && isInt32(value as number), expected });
  return { count: integer(isCount, 'a positive integer'), whole: integer(isWhole, 'an integer, 0 or more') };
}

export type Pair = readonly [height: number, width: number];

/** @internal Patches of images, by height and width. Sequences are images of height 1. */
export interface Patches {
  readonly batch: number;
  /** Channels of the images. */
  readonly channels: number;
  readonly groups: number;
  readonly channelsLast: boolean;
  readonly input: Pair;
  /** The grid of patches. */
  readonly output: Pair;
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
}

interface Geometry extends Patches {
  readonly outChannels: number;
  /** The result's shape: [B, out, ...] or [B, ..., out]. */
  readonly shape: readonly number[];
}

function convolve(op: string, rank: 1 | 2, x: Tensor, w: Tensor, bias: Tensor | null, options: Conv2dOptions): Tensor {
  const device = checkDevice(op, { x, w }, { bias });
  checkDTypes(op, { x, w, bias }, 'float32');
  const geometry = measure(op, rank, x, w, options);
  if (bias) checkShape(op, 'bias', bias, [geometry.outChannels]);
  return device.scope(() => {
    const patches = patchesOf(device, contiguous(x), geometry);
    const y = geometry.channelsLast
      ? productLast(patches, w, bias, geometry)
      : productFirst(patches, w, bias, geometry);
    return y.reshape(geometry.shape);
  });
}

/** @internal Height and width of an option; `none` is the height of sequences. */
export function pairOf(rank: 1 | 2, value: Steps, none: number): Pair {
  return typeof value === 'number' ? [rank === 1 ? none : value, value] : value;
}

/** @internal Height and width of a shape; sequences have height 1. */
export const sidesOf = (rank: 1 | 2, space: readonly number[]) => (rank === 1 ? [1, space[0]] : space) as Pair;

/** @internal Dimensions of images or sequences. */
export function dimensionsOf(rank: 1 | 2, { shape }: Tensor, channelsLast: boolean) {
  const space = shape.slice(channelsLast ? 1 : 2).slice(0, rank);
  return {
    batch: shape[0] as number,
    channels: shape.at(channelsLast ? -1 : 1) as number,
    input: sidesOf(rank, space),
  };
}

function measure(op: string, rank: 1 | 2, x: Tensor, w: Tensor, options: Conv2dOptions): Geometry {
  const { stride = 1, padding = 0, dilation = 1, groups = 1, channelsLast = false } = options;
  const show = `x is ${describeShape(x.shape)}, w is ${describeShape(w.shape)}`;
  const fail = (expected: string): never => {
    throw new ShapeError(`${op}: ${show}: ${expected}`);
  };
  if (x.shape.length !== rank + 2 || w.shape.length !== rank + 2) {
    const space = rank === 1 ? ['T', 'k'] : ['H, W', 'kh, kw'];
    fail(
      `expected x ${channelsLast ? `[B, ${space[0]}, C]` : `[B, C, ${space[0]}]`} and w [out, C / groups, ${space[1]}]`,
    );
  }
  const { batch, channels, input } = dimensionsOf(rank, x, channelsLast);
  const [outChannels, perGroup] = w.shape as [number, number];
  if (channels % groups !== 0 || outChannels % groups !== 0) {
    throw new ArgumentError(
      `${op}: groups is ${groups}, expected a divisor of ${channels} channels and ${outChannels}`,
    );
  }
  if (perGroup !== channels / groups) {
    fail(`of ${channels} channels in ${groups} groups, the second dimension of w must be ${channels / groups}`);
  }
  const kernel = sidesOf(rank, w.shape.slice(2));
  const [strides, paddings, dilations] = [pairOf(rank, stride, 1), pairOf(rank, padding, 0), pairOf(rank, dilation, 1)];
  const output = input.map((size, d) => {
    const room = size + 2 * (paddings[d] as number) - (dilations[d] as number) * ((kernel[d] as number) - 1) - 1;
    if (room < 0) fail(`with padding ${padding} the input is smaller than the kernel with dilation ${dilation}`);
    return Math.floor(room / (strides[d] as number)) + 1;
  }) as unknown as Pair;
  const outSpace = rank === 1 ? [output[1]] : output;
  const shape = channelsLast ? [batch, ...outSpace, outChannels] : [batch, outChannels, ...outSpace];
  const sizes = { input, output, kernel, stride: strides, padding: paddings, dilation: dilations };
  return { batch, channels, outChannels, groups, channelsLast, shape, ...sizes };
}

/** Operands of the kernels `patches` and `patchesBackward`. */
function sizesOf({ batch, channels, groups, channelsLast, ...geometry }: Patches) {
  const [height, width] = geometry.input;
  const [outHeight, outWidth] = geometry.output;
  const [kernelHeight, kernelWidth] = geometry.kernel;
  const [strideHeight, strideWidth] = geometry.stride;
  const [padHeight, padWidth] = geometry.padding;
  const [dilationHeight, dilationWidth] = geometry.dilation;
  return {
    batch,
    channels,
    height,
    width,
    outHeight,
    outWidth,
    kernelHeight,
    kernelWidth,
    strideHeight,
    strideWidth,
    padHeight,
    padWidth,
    dilationHeight,
    dilationWidth,
    groups,
    channelsLast,
  };
}

/** Returns the number of elements of all patches. */
const patchesSize = ({ batch, channels, kernel, output }: Patches) =>
  batch * channels * sizeOf(kernel) * sizeOf(output);

/**
 * @internal Returns the patches of `x`: [B, C, kernel, output], or with channels last [groups, B, output, kernel, C /
 * groups]. Returns `x` itself if its memory already has this layout. `x` must be contiguous.
 */
export function patchesOf(device: Device, x: Tensor, geometry: Patches): Tensor {
  if (liesInPlace(geometry)) return x;
  const patches = device.empty([patchesSize(geometry)]);
  device.emit('patches', { x, patches, ...sizesOf(geometry) });
  return differentiable(patches, [x], (dpatches) => {
    const dx = gradOf(x);
    if (!dx) return;
    const operands = { dpatches, dx: dx.tensor, accumulate: dx.accumulate, ...sizesOf(geometry) };
    device.emit('patchesBackward', operands, patches.size);
  });
}

/**
 * @internal The transpose of `patchesOf`: each element of the images is the sum of its copies in the patches. Returns
 * the images as a flat tensor. `patches` must be contiguous; its memory may be reused.
 */
export function sumOfPatches(device: Device, patches: Tensor, geometry: Patches): Tensor {
  if (liesInPlace(geometry)) return patches;
  const x = device.empty([geometry.batch * geometry.channels * sizeOf(geometry.input)]);
  device.emit('patchesBackward', { dpatches: patches, dx: x, accumulate: 0, ...sizesOf(geometry) }, patches.size);
  return differentiable(x, [patches], (dx) => {
    const dpatches = device.empty(patches.shape);
    device.emit('patches', { x: dx, patches: dpatches, ...sizesOf(geometry) });
    passGrad(patches, dpatches);
  });
}

/**
 * True if the memory of the input already has the layout of the patches: for kernels of size 1, or non-overlapping
 * patches of one row.
 */
function liesInPlace({ channelsLast, groups, input, kernel, stride, padding, dilation }: Patches): boolean {
  const isWhole = padding.every((size) => size === 0) && kernel.every((size, d) => size === stride[d]);
  if (!isWhole || (channelsLast && groups > 1)) return false;
  if (sizeOf(kernel) === 1) return true;
  return channelsLast && kernel[0] === 1 && dilation[1] === 1 && input[1] % kernel[1] === 0;
}

/** Returns [B, out, output]: for each image and group, weights times patches. */
function productFirst(patches: Tensor, w: Tensor, bias: Tensor | null, geometry: Geometry): Tensor {
  const { batch, groups, channels, outChannels, kernel, output } = geometry;
  const depth = (channels / groups) * sizeOf(kernel);
  const weights = contiguous(w).reshape(groups, outChannels / groups, depth);
  const columns = patches.reshape(batch, groups, depth, sizeOf(output));
  const y = matmul(weights, columns).reshape(batch, outChannels, sizeOf(output));
  return bias === null ? y : add(y, bias.reshape(outChannels, 1));
}

/** Returns [B, output, out]: patches times weights. */
function productLast(patches: Tensor, w: Tensor, bias: Tensor | null, geometry: Geometry): Tensor {
  const { batch, groups, channels, outChannels, kernel, output } = geometry;
  const [depth, perGroup] = [(channels / groups) * sizeOf(kernel), outChannels / groups];
  const rows = batch * sizeOf(output);
  // Taps come before channels, as in the patches.
  const weights = contiguous(w).reshape(groups, perGroup, channels / groups, sizeOf(kernel));
  const factor = permute(weights, [0, 3, 2, 1]).reshape(groups, depth, perGroup);
  if (groups === 1) return linear(patches.reshape(rows, depth), factor.reshape(depth, perGroup), bias);
  const y = matmul(patches.reshape(groups, rows, depth), factor); // [groups, rows, out / groups]
  const joined = permute(y, [1, 0, 2]).reshape(rows, outChannels);
  return bias === null ? joined : add(joined, bias);
}
