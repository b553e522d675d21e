import { checkSizes } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { type EmbeddingOptions, embedding } from '../ops/embedding.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';
import type { Weight } from './weight.js';

/** A table of vectors: an `Embedding`, or the module that `quantize` or `lora` substitutes for it. */
export interface EmbeddingLookup extends Module {
  readonly weight: Weight;
  /**
   * Looks up the rows of `ids`, int32 of any shape. Returns float32 [...ids.shape, features]. Throws DTypeError,
   * ArgumentError.
   */
  forward(ids: Tensor, options?: EmbeddingOptions): Tensor;
}

/** A table of vectors [rows, features], one for each token of a vocabulary or each position. */
export class Embedding extends Module implements EmbeddingLookup {
  /** [rows, features] */
  readonly weight: Tensor;
  /** If set, receives each pass: the arguments and the result. */
  observe: ((ids: Tensor, options: EmbeddingOptions, y: Tensor) => void) | null = null;

  /**
   * Entries start as N(0, 1/features). Scaled by √features, as in the paper, a token's vector is as large as that of a
   * position. If the table is also the output projection, logits start with unit variance. Throws ShapeError for sizes
   * that are not positive integers, OutOfMemoryError.
   */
  constructor(init: Initializer, rows: number, features: number) {
    super();
    checkInitializer('Embedding', init);
    checkSizes('Embedding', { rows, features }, 1);
    this.weight = init.normal([rows, features], features ** -0.5);
  }

  forward(ids: Tensor, options: EmbeddingOptions = {}): Tensor {
    const y = embedding(this.weight, ids, options);
    this.observe?.(ids, options, y);
    return y;
  }
}
