import type { Tensor } from '../core/tensor.js';
import { add } from '../ops/binary.js';
import { gather } from '../ops/move.js';
import { MultiHeadAttention } from './attention.js';
import type { FeedForward } from './feed-forward.js';
import type { Initializer } from './init.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';
import { Sequences } from './sequences.js';

/** Parts are given as functions that make them, so that parameters are drawn in the order of their definition. */
export interface AttentionPoolingParts {
  readonly dModel: number;
  readonly heads: number;
  readonly norm: () => Norm;
  readonly feedForward: () => FeedForward;
}

/**
 * Pools each sequence to one vector. A learned query attends to the rows, and its output is y. The result is y +
 * network(norm(y)). This is the MAP head (Zhai et al. 2022, arXiv 2106.04560; Lee et al. 2019, arXiv 1810.00825).
 */
export class AttentionPooling extends Module {
  /** [dModel], the query. */
  readonly probe: Tensor;
  readonly attention: MultiHeadAttention;
  readonly norm: Norm;
  readonly feedForward: FeedForward;

  /** Throws ArgumentError for invalid sizes. */
  constructor(init: Initializer, { dModel, heads, norm, feedForward }: AttentionPoolingParts) {
    super();
    this.probe = init.normal([dModel], dModel ** -0.5);
    this.attention = new MultiHeadAttention(init, { dModel, heads });
    this.norm = norm();
    this.feedForward = feedForward();
  }

  /** `x`: float32 [N, dModel], the rows of `batch` end to end. Returns float32 [B, dModel]. */
  forward(x: Tensor, batch: Sequences): Tensor {
    const { device } = x;
    const queries = gather(this.probe.reshape(1, -1), device.tensor(new Int32Array(batch.size))); // [B, dModel]
    const single = Sequences.of(device, Array<number>(batch.size).fill(1));
    const found = this.attention.cross(queries, single, { hidden: x, batch }); // [B, dModel]
    return add(found, this.feedForward.forward(this.norm.forward(found)));
  }
}
