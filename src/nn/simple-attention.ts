// Early forms of attention: the plain idea, and the small network of the first translation models with attention.

import { checkSizes, describeShape } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { tanh } from '../ops/activation.js';
import { add } from '../ops/binary.js';
import { linear } from '../ops/linear.js';
import { matmul } from '../ops/matmul.js';
import { softmax } from '../ops/softmax.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';

/** Self-attention without parameters: every vector becomes a mean of all vectors, weighted by similarity. */
export class SelfAttention extends Module {
  /** softmax(x xᵀ) x. `x` and the result are float32 [..., T, d]. Throws ShapeError, DTypeError. */
  forward(x: Tensor): Tensor {
    const scores = matmul(x, x, { transposeB: true });
    return matmul(softmax(scores), x);
  }
}

/** Additive attention (Bahdanau, Cho, Bengio 2015): a small network scores how well a query and a key fit together. */
export class AdditiveAttention extends Module {
  /** [queryFeatures, hidden] */
  readonly queryWeight: Tensor;
  /** [keyFeatures, hidden] */
  readonly keyWeight: Tensor;
  /** [hidden, 1] */
  readonly score: Tensor;

  constructor(init: Initializer, queryFeatures: number, keyFeatures: number, hidden: number) {
    super();
    checkInitializer('AdditiveAttention', init);
    checkSizes('AdditiveAttention', { queryFeatures, keyFeatures, hidden }, 1);
    this.queryWeight = init.xavierUniform(queryFeatures, hidden);
    this.keyWeight = init.xavierUniform(keyFeatures, hidden);
    this.score = init.xavierUniform(hidden, 1);
  }

  /**
   * weights = softmax(score · tanh(W query + U key)) over the keys; context = weights · keys.
   * `query` [B, Tq, queryFeatures], `keys` [B, Tk, keyFeatures]; context [B, Tq, keyFeatures], weights [B, Tq, Tk], all
   * float32. Throws ShapeError, DTypeError.
   */
  forward(query: Tensor, keys: Tensor): { context: Tensor; weights: Tensor } {
    if (query.shape.length !== 3 || keys.shape.length !== 3 || query.shape[0] !== keys.shape[0]) {
      const shapes = `query is ${describeShape(query.shape)}, keys is ${describeShape(keys.shape)}`;
      throw new ShapeError(`AdditiveAttention: ${shapes}, expected [B, Tq, features] and [B, Tk, features]`);
    }
    const [batch, timeQ] = query.shape as [number, number];
    const timeK = keys.shape[1] as number;
    const fromQuery = linear(query, this.queryWeight, null).reshape(batch, timeQ, 1, -1);
    const fromKeys = linear(keys, this.keyWeight, null).reshape(batch, 1, timeK, -1);
    const scores = linear(tanh(add(fromQuery, fromKeys)), this.score, null).reshape(batch, timeQ, timeK);
    const weights = softmax(scores);
    return { context: matmul(weights, keys), weights };
  }
}
