import type { Tensor } from '../core/tensor.js';
import type { Linear } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import { pool } from '../nn/pooling.js';
import type { Sequences } from '../nn/sequences.js';
import type { Activation } from '../ops/activation.js';
import { max } from '../ops/axis.js';
import { add, div, maximum, mul } from '../ops/binary.js';
import { concat, unpack } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import { norm } from '../ops/statistics.js';

/** Pooling of token vectors into one, by sentence-transformers' names. */
export type SentencePooling = 'cls' | 'max' | 'mean' | 'mean_sqrt_len_tokens' | 'weightedmean' | 'lasttoken';

/** A step after pooling: a projection, or a division by the vector's length. */
export type SentenceStep = SentenceProjection | 'normalize';

export interface SentenceProjection {
  readonly dense: Linear;
  readonly activation: Activation;
  /** The folder of its weights in a model's folder, such as `2_Dense`. */
  readonly folder: string;
}

/** Makes one vector of a text, as sentence-transformers' modules do after the Transformer. */
export class SentenceHead extends Module {
  /** The projections among the steps. */
  readonly dense: readonly Linear[];

  constructor(
    private readonly poolings: readonly SentencePooling[],
    readonly steps: readonly SentenceStep[],
    /** Maximum number of tokens that the model reads of a text, if it is below the model's maximum. */
    readonly maxTokens: number | null = null,
  ) {
    super();
    this.dense = steps.flatMap((step) => (step === 'normalize' ? [] : [step.dense]));
  }

  /**
   * `features`: float32 [N, d], the rows of `batch`. Returns [B, d]; the size differs with several poolings or
   * projections.
   */
  forward(features: Tensor, batch: Sequences): Tensor {
    const pooled = this.poolings.map((kind) => poolAs(kind, features, batch));
    let x = pooled.length === 1 ? (pooled[0] as Tensor) : concat(pooled, -1);
    for (const step of this.steps) {
      if (step === 'normalize') x = div(x, maximum(norm(x, { axis: -1, keepDims: true }), 1e-12));
      else x = step.dense.forward(x, step.activation);
    }
    return x;
  }
}

function poolAs(kind: SentencePooling, x: Tensor, batch: Sequences): Tensor {
  const { device } = x;
  const { lengths, counts, longest, size, total } = batch;
  switch (kind) {
    case 'cls':
      return pool(x, batch, 'first');
    case 'lasttoken':
      return pool(x, batch, 'last');
    case 'mean':
      return pool(x, batch, 'mean');
    case 'mean_sqrt_len_tokens':
      return mul(pool(x, batch, 'mean'), device.tensor(counts.map((count) => [Math.sqrt(count)])));
    case 'weightedmean': {
      // The weight of a token is its position, from 1 on.
      const weights = counts.flatMap((count) =>
        Array.from({ length: count }, (_, i) => (2 * (i + 1)) / (count * (count + 1))),
      );
      const weighted = mul(x, device.tensor(Float32Array.from(weights), [total, 1]));
      return sum(unpack(weighted, lengths, longest), { axis: 1 });
    }
    case 'max': {
      const hidden = counts.flatMap((count) => Array.from({ length: longest }, (_, i) => (i < count ? 0 : -1e30)));
      const marks = device.tensor(Float32Array.from(hidden), [size, longest, 1]);
      return max(add(unpack(x, lengths, longest), marks), { axis: 1 });
    }
  }
}
