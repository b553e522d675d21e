import type { Tensor } from '../core/tensor.js';
import { add } from '../ops/binary.js';
import { gather } from '../ops/move.js';
import { MultiHeadAttention } from './attention.js';
import type { FeedForward } from './feed-forward.js';
import type { Initializer } from './init.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';
import { Sequences } from './sequences.js';

/** Given as functions, so that parameters are drawn in the order of their definition. */
export interface AttentionPoolingParts {
  readonly dModel: number;
  readonly heads: number;
  readonly norm: () => Norm;
  readonly feedForward: () => FeedForward;
}

/**
 * One vector for each sequence: attention of a learned query to its rows, y, and a network after it, y + network(norm(y))
 * (Zhai et al. 2022, arXiv 2106.04560: the MAP head; Lee et al. 2019, arXiv 1810.00825).
 */
export class AttentionPooling extends Module {
  /** [dModel], the query. */
  readonly probe: Tensor;
  readonly attention: MultiHeadAttention;
  readonly norm: Norm;
  readonly feedForward: FeedForward;

  /** Throws ArgumentError for sizes that make no attention. */
  constructor(init: Initializer, { dModel, heads, norm, feedForward }: AttentionPoolingParts) {
    super();
    this.probe = init.normal([dModel], dModel ** -0.5);
    this.attention = new MultiHeadAttention(init, { dModel, heads });
    this.norm = norm();
    this.feedForward = feedForward();
  }

  /** `x`: float32 [N, dModel], the rows of `batch` end to end; the result is float32 [B, dModel]. */
  forward(x: Tensor, batch: Sequences): Tensor {
    const { device } = x;
    const queries = gather(this.probe.reshape(1, -1), device.tensor(new Int32Array(batch.size))); // [B, dModel]
    const single = Sequences.of(device, Array<number>(batch.size).fill(1));
    const found = this.attention.cross(queries, single, { hidden: x, batch }); // [B, dModel]
    return add(found, this.feedForward.forward(this.norm.forward(found)));
  }
}
