import type { Tensor } from '../core/tensor.js';
import { add, mul, scale, sub } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { matmul } from '../ops/matmul.js';
import { permute, unpack } from '../ops/move.js';
import { MultiHeadAttention, type MultiHeadOptions, type ProjectedAttention, type RotaryContext } from './attention.js';
import { productsByDistance } from './distance-products.js';
import type { SinusoidalDistances } from './distance-waves.js';
import type { Dropout } from './dropout.js';
import type { Initializer } from './init.js';
import { Linear, type Projection } from './linear.js';
import type { PaddingMask } from './padding.js';
import { Sequences } from './sequences.js';

/** Sequences whose tokens belong to segments. */
export class SegmentSequences extends Sequences {
  constructor(
    { positions, lengths, counts, isToken }: Sequences,
    /** The segment of each token, for each sequence. */
    readonly segments: readonly (readonly number[])[],
  ) {
    super(positions, lengths, counts, isToken);
  }
}

export interface RelativeOptions extends Omit<MultiHeadOptions, 'bias' | 'outBias'> {
  /** Vectors of distances, shared by layers. */
  readonly waves: SinusoidalDistances;
  /** Dropout of the vectors of distances, in training. */
  readonly distanceDropout: Dropout;
}

/**
 * Attention of Transformer-XL and XLNet (Dai et al. 2019, arXiv 1901.02860; Yang et al. 2019, arXiv 1906.08237). A
 * score is the sum of three parts: for the key's content, for its distance, and for its segment (same as the query's or
 * not). For each part, a learned bias is added to the queries. A query always attends to itself, even if it is padding.
 */
export class RelativeAttention extends MultiHeadAttention {
  /** Projects vectors of distances to keys. */
  readonly positionKey: Projection;
  /**
   * `keyBias`, `distanceBias` and `segmentBias`: float32 [heads, d]. Each is added to queries for one part of the
   * scores.
   */
  readonly keyBias: Tensor;
  readonly distanceBias: Tensor;
  readonly segmentBias: Tensor;
  /** float32 [2, heads, d]: key of the query's own segment, then of other segments. */
  readonly segmentKeys: Tensor;
  readonly waves: SinusoidalDistances;
  readonly distanceDropout: Dropout;

  constructor(init: Initializer, options: RelativeOptions) {
    const { waves, distanceDropout, ...rest } = options;
    super(init, { ...rest, bias: false, outBias: false });
    const { heads, headSize } = this;
    const perHead = (...more: number[]) => init.normal([...more, heads, headSize], 0.02);
    this.positionKey = new Linear(init, rest.dModel, heads * headSize, false);
    this.keyBias = perHead();
    this.distanceBias = perHead();
    this.segmentBias = perHead();
    this.segmentKeys = perHead(2);
    this.waves = waves;
    this.distanceDropout = distanceDropout;
  }

  /** Adds `keyBias` to the queries. */
  override project(x: Tensor, context: RotaryContext): ProjectedAttention {
    const { q, ...rest } = super.project(x, context);
    return { ...rest, q: add(q, this.keyBias.reshape(-1)) };
  }

  /** Returns the scores by distance and segment, [B, heads, T, T]. `q` includes `keyBias`, which is removed first. */
  override scoreBias(q: Tensor, _kv: Tensor, batch: Sequences): Tensor {
    const { heads, keyBias, distanceBias, segmentBias } = this;
    const withBias = (bias: Tensor) => add(q, sub(bias, keyBias).reshape(-1)); // [N, heads·d]
    const { longest } = batch;
    const keys = this.positionKey.forward(this.distanceDropout.forward(this.waves.table(longest)));
    const rowOf = (query: number, key: number) => query - key + longest - 1;
    const rows = { contentOf: (query: number) => query, positionOf: rowOf };
    const byDistance = productsByDistance(withBias(distanceBias), keys, batch, heads, rows);
    const isKnown = batch instanceof SegmentSequences;
    const total = isKnown ? add(byDistance, this.#bySegment(withBias(segmentBias), batch)) : byDistance;
    return scale(total, this.scale);
  }

  /** Returns [B, heads, T, T]: products of queries with the key of their own segment or of other segments. */
  #bySegment(q: Tensor, { lengths, longest, size, segments }: SegmentSequences): Tensor {
    const { heads, headSize, segmentKeys } = this;
    const padded = unpack(contiguous(q), lengths, longest).reshape(size, longest, heads, headSize); // [B, T, heads, d]
    const products = matmul(permute(padded, [0, 2, 1, 3]), permute(segmentKeys, [1, 2, 0])); // [B, heads, T, 2]
    const [sameSegment, other] = [0, 1].map((i) => contiguous(permute(products, [3, 0, 1, 2]).rows(i, i + 1))) as [
      Tensor,
      Tensor,
    ];
    const differs = new Float32Array(size * longest * longest);
    for (const [b, row] of segments.entries())
      for (const [query, segment] of row.entries())
        for (const [key, keySegment] of row.entries())
          if (keySegment !== segment) differs[(b * longest + query) * longest + key] = 1;
    const perQuery = (x: Tensor) => x.reshape(size, heads, longest, 1);
    const change = mul(perQuery(sub(other, sameSegment)), q.device.tensor(differs, [size, 1, longest, longest]));
    return add(perQuery(sameSegment), change);
  }

  protected override paddingMaskOf({ isToken, tokenMask, longest, size, positions }: Sequences): PaddingMask | null {
    if (isToken === null || tokenMask === null) return null;
    const mask = new Int32Array(size * longest * longest);
    for (const [b, row] of isToken.entries())
      for (let query = 0; query < longest; query++)
        for (let key = 0; key < longest; key++)
          mask[(b * longest + query) * longest + key] = row[key] || key === query ? 1 : 0;
    const tokens = tokenMask.reshape(size, 1, longest, 1);
    return { mask: positions.device.tensor(mask, [size, 1, longest, longest]), hasKeys: null, keyless: 'zero', tokens };
  }
}
