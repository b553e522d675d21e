import { checkSizes } from '../core/check.js';
import { Tensor } from '../core/tensor.js';
import type { Activation } from '../ops/activation.js';
import { add } from '../ops/binary.js';
import { linear } from '../ops/linear.js';
import { matmul } from '../ops/matmul.js';
import type { Dropout } from './dropout.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';
import type { Weight } from './weight.js';

/** y = activation(x w + b), x [..., in], y [..., out]; b is there unless `bias` is false, as in all modules here. */
export class Linear<W extends Weight = Tensor> extends Module {
  /** [in, out]; state dicts hold PyTorch's [out, in]. */
  readonly weight: W;
  /** [out] */
  readonly bias: Tensor | null;
  readonly #sections: readonly number[];

  /**
   * `inputs` and `outputs`: features. Several `outputs` are projections of one input, computed side by side as one
   * product; a state dict can hold them apart. Weights begin as Xavier's (`Initializer.xavierUniform`), biases as 0.
   * Throws ArgumentError, ShapeError for sizes that are not positive integers, OutOfMemoryError.
   */
  constructor(init: Initializer, inputs: number, outputs: number | readonly number[], bias = true) {
    super();
    checkInitializer('Linear', init);
    this.#sections = [outputs].flat();
    checkSizes('Linear', { inputs }, 1);
    for (const width of this.#sections) checkSizes('Linear', { outputs: width }, 1);
    const width = this.#start(this.#sections.length);
    this.weight = init.xavierUniform(inputs, width) as Weight as W;
    this.bias = bias ? init.constant([width], 0) : null;
  }

  override get sections(): readonly number[] {
    return this.#sections;
  }

  protected override get transposed(): readonly string[] {
    return ['weight'];
  }

  /**
   * `x`: float32 [..., inputs]; the result is float32 [..., outputs], after `dropout`, if given. Throws ShapeError,
   * DTypeError, ArgumentError.
   */
  forward(x: Tensor, activation: Activation = 'none', dropout: Dropout | null = null): Tensor {
    const options = { activation, dropout: dropout?.options };
    const weight: Weight = this.weight;
    return weight instanceof Tensor ? linear(x, weight, this.bias, options) : weight.linear(x, this.bias, options);
  }

  /** The projections `first` to below `end` alone: float32 [..., their features]. Throws as `forward`. */
  part(x: Tensor, first: number, end: number, activation: Activation = 'none'): Tensor {
    const [from, to] = [this.#start(first), this.#start(end)];
    if (from === 0 && end === this.#sections.length) return this.forward(x, activation);
    const weight: Weight = this.weight;
    const bias = this.bias?.columns(from, to) ?? null;
    if (!(weight instanceof Tensor)) return weight.linearPart(x, from, to, bias, { activation });
    return linear(x, weight.columns(from, to), bias, { activation });
  }

  protected override release(): void {
    super.release();
    (this.weight as Weight).dispose();
  }

  /** Features before the projection `section`. */
  #start(section: number): number {
    return this.#sections.slice(0, section).reduce((sum, width) => sum + width, 0);
  }
}

/** An output projection that shares its matrix [out, in] with an embedding (Press & Wolf 2017). */
export class TiedLinear<W extends Weight = Tensor> extends Module {
  /** [out] */
  readonly bias: Tensor | null;

  constructor(
    init: Initializer,
    readonly weight: W,
    bias = true,
  ) {
    super();
    checkInitializer('TiedLinear', init);
    this.bias = bias ? init.constant([weight.shape[0] as number], 0) : null;
  }

  /** `x`: float32 [..., in]; the result is float32 [..., out]. Throws ShapeError, DTypeError. */
  forward(x: Tensor): Tensor {
    const weight: Weight = this.weight;
    const y = weight instanceof Tensor ? matmul(x, weight, { transposeB: true }) : weight.linearTransposed(x);
    return this.bias ? add(y, this.bias) : y;
  }
}
