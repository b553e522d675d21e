// The small modules that everything is built of.

import { checkDevice, checkShape } from '../core/check.js';
import type { Scalar } from '../core/operand.js';
import type { Tensor } from '../core/tensor.js';
import type { Activation } from '../ops/activation.js';
import { add } from '../ops/binary.js';
import { checkDropping, type DropoutOptions, dropout } from '../ops/dropout.js';
import { type EmbeddingOptions, embedding } from '../ops/embedding.js';
import { addLayerNorm, layerNorm } from '../ops/layer-norm.js';
import { linear } from '../ops/linear.js';
import { matmul } from '../ops/matmul.js';
import { rmsNorm } from '../ops/rms-norm.js';
import type { Initializer } from './init.js';
import { Module } from './module.js';

/** y = activation(x w + b), x [..., in], y [..., out]; b is there unless `bias` is false, as in all modules here. */
export class Linear extends Module {
  /** [in, out]; state dicts hold PyTorch's [out, in]. */
  readonly weight: Tensor;
  /** [out] */
  readonly bias: Tensor | null;

  /** `inputs` and `outputs`: features. Weights begin as Xavier's (`Initializer.xavierUniform`), biases as 0. */
  constructor(init: Initializer, inputs: number, outputs: number, bias = true) {
    super();
    this.weight = init.xavierUniform(inputs, outputs);
    this.bias = bias ? init.constant([outputs], 0) : null;
  }

  protected override get transposed(): readonly string[] {
    return ['weight'];
  }

  /**
   * `x`: float32 [..., inputs]; the result is float32 [..., outputs], after `dropout`, if given. Throws ShapeError,
   * DTypeError, ArgumentError.
   */
  forward(x: Tensor, activation: Activation = 'none', dropout: Dropout | null = null): Tensor {
    return linear(x, this.weight, this.bias, { activation, dropout: dropout?.options });
  }
}

/** A normalisation over the last dimension. */
export interface Norm extends Module {
  /** Both [features]. */
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  /** norm(x + residual). `x` and `residual`: float32 [..., features]; so is the result. Throws ShapeError, DTypeError. */
  forward(x: Tensor, residual?: Tensor | null): Tensor;
  /** x + residual and its norm, both shaped as `x`. Throws as `forward`. */
  add(x: Tensor, residual: Tensor): { sum: Tensor; normed: Tensor };
}

/** Layer normalisation (Ba, Kiros, Hinton 2016), with the residual addition before it in the same pass if there is one. */
export class LayerNorm extends Module implements Norm {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  /** `features`: the size of the last dimension. `eps`: added to the variance; default 1e-5. `bias`: default true. */
  constructor(
    init: Initializer,
    features: number,
    private readonly eps = 1e-5,
    bias = true,
  ) {
    super();
    this.weight = init.constant([features], 1);
    this.bias = bias ? init.constant([features], 0) : null;
  }

  /** norm(x + residual) over the last dimension; float32 [..., features], as are `x` and `residual`, if given. */
  forward(x: Tensor, residual: Tensor | null = null): Tensor {
    return layerNorm(x, this.weight, this.bias, { eps: this.eps, residual });
  }

  add(x: Tensor, residual: Tensor): { sum: Tensor; normed: Tensor } {
    return addLayerNorm(x, residual, this.weight, this.bias, { eps: this.eps });
  }
}

/** Root mean square normalisation (Zhang, Sennrich 2019): no mean is subtracted, no bias added. */
export class RMSNorm extends Module implements Norm {
  readonly weight: Tensor;
  readonly bias = null;

  /** `features`: the size of the last dimension. `eps`: added to the mean square; default 2⁻²³, float32's epsilon. */
  constructor(
    init: Initializer,
    features: number,
    private readonly eps?: number,
  ) {
    super();
    this.weight = init.constant([features], 1);
  }

  /** As LayerNorm's. */
  forward(x: Tensor, residual: Tensor | null = null): Tensor {
    return residual ? this.add(x, residual).normed : rmsNorm(x, this.weight, { eps: this.eps });
  }

  add(x: Tensor, residual: Tensor): { sum: Tensor; normed: Tensor } {
    checkDevice('RMSNorm', { x, residual });
    checkShape('RMSNorm', 'residual', residual, x.shape); // add would broadcast it
    const sum = add(x, residual);
    return { sum, normed: this.forward(sum) };
  }
}

/** What the dropouts of a model share: one object, given to each of them. */
export interface Randomness {
  /**
   * Of the forward pass under way: an unsigned 32-bit integer, or a Scalar in a recorded program. Set a new one before
   * each training pass, or every pass drops the same places.
   */
  seed: Scalar | number;
  /**
   * Begin with 0. Each dropout that is made counts it up and has the number as a stream of its own, so that no two drop
   * the same places.
   */
  streams: number;
}

/** In training sets each element to 0 with probability p and scales the others by 1/(1-p); otherwise does nothing. */
export class Dropout extends Module {
  readonly #stream: number;

  /** `p`: from 0, which drops nothing, to 1. Throws ArgumentError for others. */
  constructor(
    private readonly p: number,
    private readonly randomness: Randomness,
  ) {
    super();
    checkDropping('Dropout', { p, seed: 0 });
    this.#stream = randomness.streams++;
  }

  /** What it does at the moment; null if nothing. */
  get options(): DropoutOptions | null {
    if (!this.training || this.p === 0) return null;
    return { p: this.p, seed: this.randomness.seed, stream: this.#stream };
  }

  /** `x`: float32, any shape, which the result has, too: `x` itself where nothing is dropped. Throws DTypeError. */
  forward(x: Tensor): Tensor {
    const { options } = this;
    return options ? dropout(x, options) : x;
  }
}

/** A table of vectors [rows, features], one for each token of a vocabulary or each position. */
export class Embedding extends Module {
  /** [rows, features] */
  readonly weight: Tensor;

  /**
   * Entries begin as N(0, 1/features): scaled by √features, as the paper does, a token's vector has the size of a
   * position's, and as the output projection of a tied model it gives logits of unit variance.
   */
  constructor(init: Initializer, rows: number, features: number) {
    super();
    this.weight = init.normal([rows, features], features ** -0.5);
  }

  /** The rows of `ids`, int32 of any shape: float32 [...ids.shape, features]. Throws DTypeError, ArgumentError. */
  forward(ids: Tensor, options: EmbeddingOptions = {}): Tensor {
    return embedding(this.weight, ids, options);
  }
}

/** An output projection that shares its matrix [out, in] with an embedding (Press & Wolf 2017). */
export class TiedLinear extends Module {
  /** [out] */
  readonly bias: Tensor | null;

  constructor(
    init: Initializer,
    readonly weight: Tensor,
    bias = true,
  ) {
    super();
    this.bias = bias ? init.constant([weight.shape[0] as number], 0) : null;
  }

  /** `x`: float32 [..., in]; the result is float32 [..., out]. Throws ShapeError, DTypeError. */
  forward(x: Tensor): Tensor {
    const y = matmul(x, this.weight, { transposeB: true });
    return this.bias ? add(y, this.bias) : y;
  }
}
