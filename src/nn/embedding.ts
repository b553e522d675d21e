import { checkSizes } from '../core/check.js';
import { Tensor } from '../core/tensor.js';
import { type EmbeddingOptions, embedding } from '../ops/embedding.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';
import type { Weight } from './weight.js';

/** A table of vectors [rows, features], one for each token of a vocabulary or each position. */
export class Embedding<W extends Weight = Tensor> extends Module {
  /** [rows, features] */
  readonly weight: W;

  /**
   * Entries begin as N(0, 1/features): scaled by √features, as the paper does, a token's vector has the size of a
   * position's, and as the output projection of a tied model it gives logits of unit variance.
   */
  constructor(init: Initializer, rows: number, features: number) {
    super();
    checkInitializer('Embedding', init);
    checkSizes('Embedding', { rows, features }, 1);
    this.weight = init.normal([rows, features], features ** -0.5) as Weight as W;
  }

  /** The rows of `ids`, int32 of any shape: float32 [...ids.shape, features]. Throws DTypeError, ArgumentError. */
  forward(ids: Tensor, options: EmbeddingOptions = {}): Tensor {
    const weight: Weight = this.weight;
    return weight instanceof Tensor ? embedding(weight, ids, options) : weight.embedding(ids, options);
  }

  protected override release(): void {
    super.release();
    (this.weight as Weight).dispose();
  }
}
