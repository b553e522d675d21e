import { checkSizes, describeValue } from '../core/check.js';
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
import { Module } from './module.js';

/**
 * A weight that preserves the variance of the input: [outputs, inputs / groups, ...], or [inputs, outputs / groups, ...]
 * if `transposed`.
 */
function kernelWeight(
  op: string,
  init: Initializer,
  sizes: ConvSizes,
  kernel: readonly number[],
  transposed = false,
): Tensor {
  checkInitializer(op, init);
  if (!Array.isArray(kernel))
    throw new ArgumentError(`${op}: kernel is ${describeValue(kernel)}, expected [height, width]`);
  const { inputs, outputs } = sizes;
  const { groups = 1 } = sizes.options;
  checkSizes(op, { inputs, outputs, groups }, 1);
  for (const taps of kernel) checkSizes(op, { kernel: taps }, 1);
  if (inputs % groups !== 0 || outputs % groups !== 0)
    throw new ArgumentError(`${op}: groups is ${groups}, expected a divisor of ${inputs} channels and ${outputs}`);
  const shape = transposed ? [inputs, outputs / groups, ...kernel] : [outputs, inputs / groups, ...kernel];
  const fanIn = kernel.reduce((product, size) => product * size, inputs / groups);
  return init.normal(shape, fanIn ** -0.5);
}

interface ConvSizes {
  readonly inputs: number;
  readonly outputs: number;
  readonly options: { readonly groups?: number | undefined };
}

/** A convolution over sequences, with the names and layouts of PyTorch's nn.Conv1d. */
export class Conv1d extends Module {
  /** [outputs, inputs / groups, kernel] */
  readonly weight: Tensor;
  /** [outputs] */
  readonly bias: Tensor | null;

  /**
   * `inputs` and `outputs`: channels. `kernel`: number of taps. `options`: those of the op `conv1d`. Weights start as
   * N(0, groups / (inputs·kernel)), the bias as 0. Throws ArgumentError, ShapeError, OutOfMemoryError.
   */
  constructor(
    init: Initializer,
    inputs: number,
    outputs: number,
    kernel: number,
    private readonly options: Conv1dOptions = {},
    bias = true,
  ) {
    super();
    this.weight = kernelWeight('Conv1d', init, { inputs, outputs, options: checkConv1d('Conv1d', options) }, [kernel]);
    this.bias = bias ? init.constant([outputs], 0) : null;
  }

  /**
   * Same as the op `conv1d`. `x` is float32 [B, inputs, T], or [B, T, inputs] with `channelsLast`; the result has
   * `outputs` channels. Throws ShapeError, DTypeError.
   */
  forward(x: Tensor): Tensor {
    return conv1d(x, this.weight, this.bias, this.options); // [B, outputs, T'] or [B, T', outputs]
  }
}

/** A convolution over images, with the names and layouts of PyTorch's nn.Conv2d. */
export class Conv2d extends Module {
  /** [outputs, inputs / groups, height, width] */
  readonly weight: Tensor;
  /** [outputs] */
  readonly bias: Tensor | null;

  /** Same parameters as `Conv1d`, but `kernel` has a height and a width. */
  constructor(
    init: Initializer,
    inputs: number,
    outputs: number,
    kernel: readonly [height: number, width: number],
    private readonly options: Conv2dOptions = {},
    bias = true,
  ) {
    super();
    this.weight = kernelWeight('Conv2d', init, { inputs, outputs, options: checkConv2d('Conv2d', options) }, kernel);
    this.bias = bias ? init.constant([outputs], 0) : null;
  }

  /**
   * Same as the op `conv2d`. `x` is float32 [B, inputs, H, W], or [B, H, W, inputs] with `channelsLast`; the result has
   * `outputs` channels. Throws ShapeError, DTypeError.
   */
  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this.options); // [B, outputs, H', W'] or [B, H', W', outputs]
  }
}

/** A transposed convolution over sequences, with the names and layouts of PyTorch's nn.ConvTranspose1d. */
export class ConvTranspose1d extends Module {
  /** [inputs, outputs / groups, kernel] */
  readonly weight: Tensor;
  /** [outputs] */
  readonly bias: Tensor | null;

  /** Same parameters as `Conv1d`; `options` are those of the op `convTranspose1d`. */
  constructor(
    init: Initializer,
    inputs: number,
    outputs: number,
    kernel: number,
    private readonly options: ConvTranspose1dOptions = {},
    bias = true,
  ) {
    super();
    const sizes = { inputs, outputs, options: checkConvTranspose1d('ConvTranspose1d', options) };
    this.weight = kernelWeight('ConvTranspose1d', init, sizes, [kernel], true);
    this.bias = bias ? init.constant([outputs], 0) : null;
  }

  /**
   * Same as the op `convTranspose1d`. `x` is float32 [B, inputs, T], or [B, T, inputs] with `channelsLast`; the result
   * has `outputs` channels. Throws ShapeError, DTypeError.
   */
  forward(x: Tensor): Tensor {
    return convTranspose1d(x, this.weight, this.bias, this.options); // [B, outputs, T'] or [B, T', outputs]
  }
}

/** A transposed convolution over images, with the names and layouts of PyTorch's nn.ConvTranspose2d. */
export class ConvTranspose2d extends Module {
  /** [inputs, outputs / groups, height, width] */
  readonly weight: Tensor;
  /** [outputs] */
  readonly bias: Tensor | null;

  /** Same parameters as `ConvTranspose1d`, but `kernel` has a height and a width. */
  constructor(
    init: Initializer,
    inputs: number,
    outputs: number,
    kernel: readonly [height: number, width: number],
    private readonly options: ConvTranspose2dOptions = {},
    bias = true,
  ) {
    super();
    const sizes = { inputs, outputs, options: checkConvTranspose2d('ConvTranspose2d', options) };
    this.weight = kernelWeight('ConvTranspose2d', init, sizes, kernel, true);
    this.bias = bias ? init.constant([outputs], 0) : null;
  }

  /**
   * Same as the op `convTranspose2d`. `x` is float32 [B, inputs, H, W], or [B, H, W, inputs] with `channelsLast`; the
   * result has `outputs` channels. Throws ShapeError, DTypeError.
   */
  forward(x: Tensor): Tensor {
    return convTranspose2d(x, this.weight, this.bias, this.options); // [B, outputs, H', W'] or [B, H', W', outputs]
  }
}
