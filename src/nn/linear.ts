import { checkDType, checkSizes, checkTensor, describeShape } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { Activation } from '../ops/activation.js';
import { add, mul } from '../ops/binary.js';
import { linear } from '../ops/linear.js';
import { matmul } from '../ops/matmul.js';
import type { Dropout } from './dropout.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';
import type { Weight } from './weight.js';

/** An output projection: x [..., in] → [..., out]. */
export interface OutputProjection extends Module {
  readonly weight: Weight;
  /** [out] */
  readonly bias: Tensor | null;
  forward(x: Tensor): Tensor;
}

/**
 * A projection of features: a `Linear`, or the module that `quantize` or `lora` substitutes for it. Layers hold
 * projections of either kind.
 */
export interface Projection extends OutputProjection {
  /** Numbers of output features of the projections that are computed side by side. */
  readonly sections: readonly number[];
  /** dropout(activation(x w + b)): float32 [..., in] → [..., out]. Throws ShapeError, DTypeError, ArgumentError. */
  forward(x: Tensor, activation?: Activation, dropout?: Dropout | null): Tensor;
  /**
   * Computes only the sections first … end − 1: float32 [..., in] → [..., sum of their widths]. Throws as `forward`.
   */
  part(x: Tensor, first: number, end: number, activation?: Activation): Tensor;
}

/** y = x w + b. */
export class Linear extends Module implements Projection {
  /** [in, out]; state dicts hold PyTorch's [out, in]. */
  readonly weight: Tensor;
  /** [out], or null. */
  readonly bias: Tensor | null;
  readonly #sections: readonly number[];
  /** Shape [out]: 1 in sections with a bias, 0 in the others; null if all sections have one. */
  readonly #biased: Tensor | null;

  /**
   * `inputs` and `outputs` are numbers of features. A list of `outputs` describes several projections (sections) of one
   * input, computed as one product. A state dict can store them separately. `bias`: default true; a list has one flag
   * per section. Weights start as `Initializer.xavierUniform`, biases as 0. Throws ArgumentError, OutOfMemoryError, and
   * ShapeError for sizes that are not positive integers.
   */
  constructor(
    init: Initializer,
    inputs: number,
    outputs: number | readonly number[],
    bias: boolean | readonly boolean[] = true,
  ) {
    super();
    checkInitializer('Linear', init);
    this.#sections = [outputs].flat();
    checkSizes('Linear', { inputs }, 1);
    for (const width of this.#sections) checkSizes('Linear', { outputs: width }, 1);
    const width = columnsOf(this.#sections).to;
    this.weight = init.xavierUniform(inputs, width);
    const biased = this.#sections.map((_, i) => (Array.isArray(bias) ? bias[i] === true : Boolean(bias)));
    const isPartial = biased.includes(true) && biased.includes(false);
    this.bias = isPartial ? init.partlyStored([width]) : biased.includes(true) ? init.constant([width], 0) : null;
    const marks = () =>
      Float32Array.from(this.#sections.flatMap((size, i) => Array<number>(size).fill(biased[i] ? 1 : 0)));
    this.#biased = isPartial ? init.table(1, width, marks).reshape(width) : null;
  }

  override get sections(): readonly number[] {
    return this.#sections;
  }

  protected override get transposed(): readonly string[] {
    return ['weight'];
  }

  forward(x: Tensor, activation: Activation = 'none', dropout: Dropout | null = null): Tensor {
    return linear(x, this.weight, this.#trainedBias, { activation, dropout: dropout?.options });
  }

  part(x: Tensor, first: number, end: number, activation: Activation = 'none'): Tensor {
    const { from, to } = columnsOf(this.#sections, first, end);
    return linear(x, this.weight.columns(from, to), this.#trainedBias?.columns(from, to), { activation });
  }

  /** The bias. Sections without a bias receive no gradient, so they stay zero. */
  get #trainedBias(): Tensor | null {
    const { bias } = this;
    return bias && this.#biased && bias.device.gradientsOn ? mul(bias, this.#biased) : bias;
  }

  protected override release(): void {
    super.release();
    this.#biased?.dispose();
  }
}

/** Returns the range of columns of the sections first … end − 1. Default: all sections. */
export function columnsOf(
  sections: readonly number[],
  first = 0,
  end = sections.length,
): { readonly from: number; readonly to: number } {
  const before = (section: number) => sections.slice(0, section).reduce((sum, width) => sum + width, 0);
  return { from: before(first), to: before(end) };
}

/** An output projection that shares its matrix [out, in] with an embedding (Press & Wolf 2017). */
export class TiedLinear extends Module implements OutputProjection {
  /** [out], or null. */
  readonly bias: Tensor | null;

  constructor(
    init: Initializer,
    readonly weight: Tensor,
    bias = true,
  ) {
    super();
    checkInitializer('TiedLinear', init);
    checkTensor('TiedLinear', 'weight', weight, init.device);
    checkDType('TiedLinear', 'weight', weight, 'float32');
    if (weight.shape.length !== 2)
      throw new ShapeError(`TiedLinear: weight is ${describeShape(weight.shape)}, expected [out, in]`);
    this.bias = bias ? init.constant([weight.shape[0] as number], 0) : null;
  }

  /** `x`: float32 [..., in]. Returns float32 [..., out]. Throws ShapeError, DTypeError. */
  forward(x: Tensor): Tensor {
    const y = matmul(x, this.weight, { transposeB: true });
    return this.bias ? add(y, this.bias) : y;
  }
}
