import { checkOneOf, checkOptions, checkSizes, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { type Conv1dOptions, type Conv2dOptions, checkConv1d, checkConv2d, conv1d, conv2d } from '../ops/conv.js';
import {
  type ConvTranspose1dOptions,
  type ConvTranspose2dOptions,
  checkConvTranspose1d,
  checkConvTranspose2d,
  convTranspose1d,
  convTranspose2d,
} from '../ops/conv-transpose.js';
import { checkInitializer, type Initializer } from './init.js';
import type { GridSize } from './interpolation.js';
import { Module } from './module.js';

/** Sizes of a convolution, and the options of its op. */
export type ConvolutionOptions<OpOptions, Kernel> = OpOptions & {
  /** Number of channels of the input. */
  readonly inputs: number;
  /** Number of channels of the result. */
  readonly outputs: number;
  /** Number of taps; for images, height and width. */
  readonly kernel: Kernel;
  /** True adds a trained bias for each channel. Default: true. */
  readonly bias?: boolean | undefined;
};

/** The op that computes a convolution, and the name of its module in errors. */
interface ConvolutionOp<Options> {
  readonly name: string;
  /** Throws ArgumentError. */
  readonly check: (op: string, options: Options) => Options;
  readonly apply: (x: Tensor, w: Tensor, bias: Tensor | null, options: Options) => Tensor;
  readonly isTransposed: boolean;
}

/** Weights of a convolution, with the names and layouts of PyTorch. */
abstract class Convolution<Options extends { groups?: number | undefined }> extends Module {
  /** [outputs, inputs / groups, ...kernel]; in a transposed convolution [inputs, outputs / groups, ...kernel]. */
  readonly weight: Tensor;
  /** [outputs] */
  readonly bias: Tensor | null;

  readonly #op: ConvolutionOp<Options>;
  readonly #options: Options;

  constructor(op: ConvolutionOp<Options>, init: Initializer, options: ConvolutionOptions<Options, readonly number[]>) {
    super();
    checkInitializer(op.name, init);
    const { inputs, outputs, kernel, bias = true, ...others } = checkOptions(op.name, options);
    checkOneOf(op.name, 'bias', bias, [true, false]);
    this.#op = op;
    this.#options = op.check(op.name, others as unknown as Options);
    const { groups = 1 } = this.#options;
    this.weight = kernelWeight(op, init, { inputs, outputs, kernel, groups });
    this.bias = bias ? init.constant([outputs], 0) : null;
  }

  /**
   * Same as the op of this name. `x` is float32 [B, inputs, T] or [B, inputs, H, W]; with `channelsLast`, [B, T,
   * inputs] or [B, H, W, inputs]. The result has `outputs` channels. Throws ShapeError, DTypeError.
   */
  forward(x: Tensor): Tensor {
    return this.#op.apply(x, this.weight, this.bias, this.#options);
  }
}

interface KernelSizes {
  readonly inputs: number;
  readonly outputs: number;
  readonly kernel: readonly number[];
  readonly groups: number;
}

/** Draws a weight that preserves the variance of the input. */
function kernelWeight(
  { name, isTransposed }: Pick<ConvolutionOp<never>, 'name' | 'isTransposed'>,
  init: Initializer,
  { inputs, outputs, kernel, groups }: KernelSizes,
): Tensor {
  if (!Array.isArray(kernel))
    throw new ArgumentError(`${name}: kernel is ${describeValue(kernel)}, expected [height, width]`);
  checkSizes(name, { inputs, outputs, groups }, 1);
  for (const taps of kernel) checkSizes(name, { kernel: taps }, 1);
  if (inputs % groups !== 0 || outputs % groups !== 0)
    throw new ArgumentError(`${name}: groups is ${groups}, expected a divisor of ${inputs} channels and ${outputs}`);
  const shape = isTransposed ? [inputs, outputs / groups, ...kernel] : [outputs, inputs / groups, ...kernel];
  const fanIn = kernel.reduce((product, size) => product * size, inputs / groups);
  return init.normal(shape, fanIn ** -0.5);
}

const CONV1D = { name: 'Conv1d', check: checkConv1d, apply: conv1d, isTransposed: false };
const CONV2D = { name: 'Conv2d', check: checkConv2d, apply: conv2d, isTransposed: false };
const TRANSPOSE1D = {
  name: 'ConvTranspose1d',
  check: checkConvTranspose1d,
  apply: convTranspose1d,
  isTransposed: true,
};
const TRANSPOSE2D = {
  name: 'ConvTranspose2d',
  check: checkConvTranspose2d,
  apply: convTranspose2d,
  isTransposed: true,
};

/** A convolution over sequences, with the names and layouts of PyTorch's nn.Conv1d. */
export class Conv1d extends Convolution<Conv1dOptions> {
  /**
   * `options` are sizes and the options of the op `conv1d`. Weights start as N(0, groups / (inputs·kernel)), the bias
   * as 0. Throws ArgumentError, ShapeError, OutOfMemoryError.
   */
  constructor(init: Initializer, options: ConvolutionOptions<Conv1dOptions, number>) {
    super(CONV1D, init, withTaps(CONV1D.name, options));
  }
}

/** A convolution over images, with the names and layouts of PyTorch's nn.Conv2d. */
export class Conv2d extends Convolution<Conv2dOptions> {
  /** Same parameters as `Conv1d`, but `kernel` has a height and a width. */
  constructor(init: Initializer, options: ConvolutionOptions<Conv2dOptions, GridSize>) {
    super(CONV2D, init, options);
  }
}

/** A transposed convolution over sequences, with the names and layouts of PyTorch's nn.ConvTranspose1d. */
export class ConvTranspose1d extends Convolution<ConvTranspose1dOptions> {
  /** Same parameters as `Conv1d`, with the options of the op `convTranspose1d`. */
  constructor(init: Initializer, options: ConvolutionOptions<ConvTranspose1dOptions, number>) {
    super(TRANSPOSE1D, init, withTaps(TRANSPOSE1D.name, options));
  }
}

/** A transposed convolution over images, with the names and layouts of PyTorch's nn.ConvTranspose2d. */
export class ConvTranspose2d extends Convolution<ConvTranspose2dOptions> {
  /** Same parameters as `ConvTranspose1d`, but `kernel` has a height and a width. */
  constructor(init: Initializer, options: ConvolutionOptions<ConvTranspose2dOptions, GridSize>) {
    super(TRANSPOSE2D, init, options);
  }
}

/** Options of a convolution over sequences, with the number of taps as a list. */
function withTaps<Options>(op: string, options: ConvolutionOptions<Options, number>) {
  return { ...checkOptions(op, options), kernel: [options.kernel] };
}
