// Transposed convolutions. They compute what the gradient of a convolution with respect to its input computes.

import {
  checkDevice,
  checkDTypes,
  checkOptions,
  checkShape,
  describeShape,
  type OptionKind,
  type OptionRule,
  oneOrTwo,
} from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { sizeOf, type Tensor } from '../core/tensor.js';
import { add } from './binary.js';
import { contiguous } from './contiguous.js';
import {
  type ConvOptions,
  dimensionsOf,
  integerRules,
  kindsOf,
  type Pair,
  type Patches,
  pairOf,
  type Steps,
  sidesOf,
  sumOfPatches,
} from './conv.js';
import { matmul } from './matmul.js';
import { permute } from './move.js';

/** Options of transposed convolutions. `Size` is a number, or one number per dimension. */
export interface ConvTransposeOptions<Size> extends ConvOptions<Size> {
  /** Size added to one side of the result. It must be below stride or dilation. Default: 0. */
  outputPadding?: Size | undefined;
}

export type ConvTranspose1dOptions = ConvTransposeOptions<number>;
export type ConvTranspose2dOptions = ConvTransposeOptions<Steps>;

/** Throws ArgumentError for options of `convTranspose1d`, in the name of `op`. */
export function checkConvTranspose1d(op: string, options: ConvTranspose1dOptions): ConvTranspose1dOptions {
  return checkOptions(
    op,
    options,
    transposeKinds((kind) => kind),
  );
}

/** Throws ArgumentError for options of `convTranspose2d`, in the name of `op`. */
export function checkConvTranspose2d(op: string, options: ConvTranspose2dOptions): ConvTranspose2dOptions {
  return checkOptions(op, options, transposeKinds(oneOrTwo));
}

function transposeKinds(rule: (element: OptionRule) => OptionRule): {
  [Name in keyof ConvTranspose2dOptions]-?: OptionKind;
} {
  return { ...kindsOf(rule), outputPadding: integerRules(rule).whole };
}

/**
 * Transposed convolution over a sequence, as torch.nn.functional.conv_transpose1d:
 *
 *     y[b, o, t·stride + i·dilation - padding] = bias[o] + Σ_c w[c, o, i]·x[b, c, t]
 *
 * `x` is float32 [B, C, T], `w` float32 [C, out / groups, k], and `bias` float32 [out] or null. The result is [B, out,
 * T'] with T' = (T - 1)·stride - 2·padding + dilation·(k - 1) + outputPadding + 1. With `channelsLast`, x is [B, T, C]
 * and the result [B, T', out]. Throws ShapeError, DTypeError, ArgumentError.
 */
export function convTranspose1d(
  x: Tensor,
  w: Tensor,
  bias: Tensor | null = null,
  options: ConvTranspose1dOptions = {},
): Tensor {
  return convolve('convTranspose1d', 1, x, w, bias, checkConvTranspose1d('convTranspose1d', options));
}

/**
 * Transposed convolution over an image, as torch.nn.functional.conv_transpose2d: `convTranspose1d` in two dimensions.
 *
 * `x` is float32 [B, C, H, W], `w` float32 [C, out / groups, kh, kw], and `bias` float32 [out] or null. The result is
 * [B, out, H', W']. With `channelsLast`, x is [B, H, W, C] and the result [B, H', W', out]. Throws ShapeError,
 * DTypeError, ArgumentError.
 */
export function convTranspose2d(
  x: Tensor,
  w: Tensor,
  bias: Tensor | null = null,
  options: ConvTranspose2dOptions = {},
): Tensor {
  return convolve('convTranspose2d', 2, x, w, bias, checkConvTranspose2d('convTranspose2d', options));
}

/** Patches of the result. The convolution of which this is the transpose reads them. */
interface Geometry extends Patches {
  readonly inChannels: number;
  /** The result's shape: [B, out, ...] or [B, ..., out]. */
  readonly shape: readonly number[];
}

function convolve(
  op: string,
  rank: 1 | 2,
  x: Tensor,
  w: Tensor,
  bias: Tensor | null,
  options: ConvTranspose2dOptions,
): Tensor {
  const device = checkDevice(op, { x, w }, { bias });
  checkDTypes(op, { x, w, bias }, 'float32');
  const geometry = measure(op, rank, x, w, options);
  if (bias) checkShape(op, 'bias', bias, [geometry.channels]);
  return device.scope(() => {
    const patches = geometry.channelsLast ? patchesLast(x, w, geometry) : patchesFirst(x, w, geometry);
    const y = sumOfPatches(device, patches, geometry).reshape(geometry.shape);
    if (bias === null) return y;
    return add(y, geometry.channelsLast ? bias : bias.reshape(geometry.channels, ...Array<number>(rank).fill(1)));
  });
}

function measure(op: string, rank: 1 | 2, x: Tensor, w: Tensor, options: ConvTranspose2dOptions): Geometry {
  const { groups = 1, channelsLast = false } = options;
  const show = `x is ${describeShape(x.shape)}, w is ${describeShape(w.shape)}`;
  const fail = (expected: string): never => {
    throw new ShapeError(`${op}: ${show}: ${expected}`);
  };
  if (x.shape.length !== rank + 2 || w.shape.length !== rank + 2) {
    const [space, taps] = rank === 1 ? ['T', 'k'] : ['H, W', 'kh, kw'];
    fail(`expected x ${channelsLast ? `[B, ${space}, C]` : `[B, C, ${space}]`} and w [C, out / groups, ${taps}]`);
  }
  const { batch, channels: inChannels, input: output } = dimensionsOf(rank, x, channelsLast);
  if (w.shape[0] !== inChannels) fail(`the first dimension of w must be the ${inChannels} channels of x`);
  if (inChannels % groups !== 0)
    throw new ArgumentError(`${op}: groups is ${groups}, expected a divisor of ${inChannels} channels`);
  const channels = (w.shape[1] as number) * groups;
  const kernel = sidesOf(rank, w.shape.slice(2));
  const stride = pairOf(rank, options.stride ?? 1, 1);
  const padding = pairOf(rank, options.padding ?? 0, 0);
  const dilation = pairOf(rank, options.dilation ?? 1, 1);
  const outputPadding = pairOf(rank, options.outputPadding ?? 0, 0);
  const input = output.map((size, d) => {
    const [step, apart, extra] = [stride[d] as number, dilation[d] as number, outputPadding[d] as number];
    if (extra >= step && extra >= apart) {
      throw new ArgumentError(
        `${op}: outputPadding is ${extra}, expected less than the stride ${step} or the dilation ${apart}`,
      );
    }
    const length = (size - 1) * step - 2 * (padding[d] as number) + apart * ((kernel[d] as number) - 1) + extra + 1;
    if (length < 1) fail(`with padding ${padding[d]} the result has no elements`);
    return length;
  }) as unknown as Pair;
  const space = rank === 1 ? [input[1]] : input;
  const shape = channelsLast ? [batch, ...space, channels] : [batch, channels, ...space];
  return { batch, inChannels, channels, groups, channelsLast, input, output, kernel, stride, padding, dilation, shape };
}

/** Returns [B, out, kernel, positions]: for each image and group, the transpose of the weights times the input. */
function patchesFirst(x: Tensor, w: Tensor, { batch, groups, inChannels, channels, kernel, output }: Geometry): Tensor {
  const weights = contiguous(w).reshape(groups, inChannels / groups, (channels / groups) * sizeOf(kernel));
  const columns = contiguous(x).reshape(batch, groups, inChannels / groups, sizeOf(output));
  return matmul(weights, columns, { transposeA: true });
}

/** Returns [groups, B, positions, kernel, out / groups]: the input times the weights. */
function patchesLast(x: Tensor, w: Tensor, { batch, groups, inChannels, channels, kernel, output }: Geometry): Tensor {
  const [perGroup, taps, rows] = [channels / groups, sizeOf(kernel), batch * sizeOf(output)];
  const weights = contiguous(w).reshape(inChannels, perGroup, taps);
  const factor = permute(weights, [0, 2, 1]).reshape(groups, inChannels / groups, taps * perGroup);
  const tokens = contiguous(x).reshape(rows, groups, inChannels / groups);
  return matmul(groups === 1 ? tokens.reshape(1, rows, inChannels) : permute(tokens, [1, 0, 2]), factor);
}
