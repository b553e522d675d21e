import type { Tensor } from '../core/tensor.js';
import type { SampledAttention, Sampler } from '../inspect/sampled-attention.js';
import type { Initializer } from '../nn/init.js';
import type { GridSize } from '../nn/interpolation.js';
import { Linear, type Projection } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import { add, mul, scale, sub } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { gridSample } from '../ops/grid-sample.js';
import { concat, permute, slice } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import { softmax } from '../ops/softmax.js';

export interface DeformableOptions {
  readonly dModel: number;
  readonly heads: number;
  /** Number of feature maps. */
  readonly levels: number;
  /** Samples of a head in each map. */
  readonly points: number;
}

/** Maps of features that queries sample: tokens [B, S, dModel], the pixels of one map after those of another. */
export interface Maps {
  readonly tokens: Tensor;
  readonly grids: readonly GridSize[];
  /** float32 [B, S, 1]: 0 for padding, 1 for other tokens. Default: no token is padding. */
  readonly mask?: Tensor | null | undefined;
  /** Receives the weights of each layer's samples, [B, Q, heads, maps, points]. Default: nobody does. */
  readonly weights?: Tensor[] | undefined;
}

/**
 * Multi-scale deformable attention (Zhu et al. 2020, arXiv 2010.04159): each query samples a few points around its box
 * in each map, and adds them by weights. Places and weights are projections of the query.
 */
export class DeformableAttention extends Module implements Sampler {
  readonly samplingOffsets: Projection;
  readonly attentionWeights: Projection;
  readonly valueProj: Projection;
  readonly outputProj: Projection;
  observeSamples: ((samples: SampledAttention) => void) | null = null;

  constructor(
    init: Initializer,
    private readonly options: DeformableOptions,
  ) {
    super();
    const { dModel, heads, levels, points } = options;
    this.samplingOffsets = new Linear(init, dModel, heads * levels * points * 2);
    this.attentionWeights = new Linear(init, dModel, heads * levels * points);
    this.valueProj = new Linear(init, dModel, dModel);
    this.outputProj = new Linear(init, dModel, dModel);
  }

  /**
   * `x`: float32 [B, Q, dModel]. `boxes`: [B, Q, 4], centre and size as shares of the image. The result has x's shape.
   */
  forward(x: Tensor, boxes: Tensor, { tokens, grids, mask, weights: allWeights }: Maps): Tensor {
    const { dModel, heads, levels, points } = this.options;
    const [batch, queries] = x.shape as [number, number];
    const projected = this.valueProj.forward(tokens);
    const values = (mask ? mul(projected, mask) : projected).reshape(batch, -1, heads, dModel / heads);
    const [centres, sizes] = [boxes.columns(0, 2), boxes.columns(2, 4)].map((part) =>
      contiguous(part).reshape(batch, queries, 1, 2),
    ) as [Tensor, Tensor];
    const offsets = this.samplingOffsets.forward(x).reshape(batch, queries, heads * levels * points, 2);
    const centers = add(centres, mul(scale(offsets, 0.5 / points), sizes)); // shares of the image
    const grid = permute(
      sub(scale(centers, 2), 1).reshape(batch, queries, heads, levels, points, 2),
      [3, 0, 2, 1, 4, 5],
    ).reshape(levels, batch * heads, queries, points, 2);
    let first = 0;
    const samples = grids.map(([height, width], level) => {
      const levelValues = slice(values, 1, first, first + height * width); // [B, H·W, heads, d]
      first += height * width;
      const image = permute(levelValues, [0, 2, 1, 3]).reshape(batch * heads, height, width, -1);
      const levelGrid = grid.rows(level, level + 1).reshape(batch * heads, queries, points, 2);
      return gridSample(image, levelGrid, { channelsLast: true }); // [B·heads, Q, points, d]
    });
    const weights = softmax(this.attentionWeights.forward(x).reshape(batch, queries, heads, levels * points));
    allWeights?.push(weights.reshape(batch, queries, heads, levels, points));
    this.observeSamples?.({
      positions: contiguous(permute(centers.reshape(batch, queries, heads, levels * points, 2), [0, 2, 1, 3, 4])),
      weights: contiguous(permute(weights, [0, 2, 1, 3])),
    });
    const perHead = permute(weights, [0, 2, 1, 3]).reshape(batch * heads, queries, levels * points, 1);
    const mixed = sum(mul(concat(samples, 2), perHead), { axis: 2 }).reshape(batch, heads, queries, -1);
    return this.outputProj.forward(permute(mixed, [0, 2, 1, 3]).reshape(batch, queries, dModel));
  }
}
