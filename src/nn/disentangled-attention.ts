import type { Tensor } from '../core/tensor.js';
import { add, scale } from '../ops/binary.js';
import { MultiHeadAttention, type MultiHeadOptions } from './attention.js';
import { productsByDistance } from './distance-products.js';
import type { Dropout } from './dropout.js';
import type { Initializer } from './init.js';
import { Linear, type Projection } from './linear.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';
import { type PaddingMask, paddingMask } from './padding.js';
import type { Sequences } from './sequences.js';

/**
 * Rows of a table by distance from key to query: −span … span − 1. Larger distances use the first or the last row.
 */
export class Distances extends Module {
  /**
   * With `maxDistance`, distances beyond half of the span share buckets (He et al. 2021, arXiv 2111.09543, after T5).
   * Buckets grow with the distance, up to `maxDistance`. With null, each distance has its own row.
   */
  constructor(
    readonly span: number,
    private readonly maxDistance: number | null,
  ) {
    super();
  }

  /** Returns the row for a distance: the query's position minus the key's. */
  rowOf(distance: number): number {
    const bucket = this.maxDistance === null ? distance : logBucket(distance, this.span, this.maxDistance);
    return Math.min(2 * this.span - 1, Math.max(0, bucket + this.span));
  }
}

/** Trained vectors of distances, which layers share. Each attention projects them to keys and queries. */
export class DistanceVectors extends Distances {
  /** [2·span, features]. */
  readonly weight: Tensor;
  readonly norm: Norm | null;

  constructor(init: Initializer, features: number, span: number, maxDistance: number | null, norm: Norm | null = null) {
    super(span, maxDistance);
    this.weight = init.normal([2 * span, features], 0.02);
    this.norm = norm;
  }

  /** Returns the vectors for attentions, [2·span, features], after the norm if there is one. */
  table(): Tensor {
    return this.norm?.forward(this.weight) ?? this.weight;
  }
}

/**
 * Returns DeBERTa's bucket of a distance. Intermediate values are rounded to float32 where the reference implementation
 * does so.
 */
function logBucket(distance: number, span: number, maxDistance: number): number {
  const middle = Math.trunc(span / 2);
  const length = Math.abs(distance);
  if (length <= middle) return distance;
  const { fround, log } = Math;
  const whole = fround(log(fround((maxDistance - 1) / middle)));
  const share = fround(fround(fround(log(fround(length / middle))) / whole) * (middle - 1));
  return Math.sign(distance) * (Math.ceil(share) + middle);
}

/**
 * Terms that are added to scores of content. `contentToPosition`: products of queries with keys of the distance.
 * `positionToContent`: products of keys with queries of the distance.
 */
interface DistanceTerms {
  readonly contentToPosition: boolean;
  readonly positionToContent: boolean;
}

export interface DisentangledOptions extends MultiHeadOptions, DistanceTerms {
  /** Vectors of distances, shared by layers. */
  readonly distances: DistanceVectors;
  /** True if distance vectors use the projections of tokens. Otherwise they have separate matrices. */
  readonly shared: boolean;
  /** True if the separate projection of distance vectors to keys adds a bias. */
  readonly positionKeyBias: boolean;
  /** Dropout of the vectors of distances, in training. */
  readonly distanceDropout: Dropout;
}

/** Attention in which padding attends to nothing (DeBERTa). */
export class PaddingBlindAttention extends MultiHeadAttention {
  protected override paddingMaskOf(batch: Sequences): PaddingMask | null {
    const { attentionWindow: window } = this;
    return paddingMask(batch, { window, causal: false, masksPaddingQueries: true, keyless: 'filled' });
  }
}

/** Attention with separate scores for content and distance (DeBERTa, He et al. 2020, arXiv 2006.03654). */
abstract class DistanceAttention extends PaddingBlindAttention {
  abstract readonly distances: Distances;

  /** Returns the keys and the queries of distances, [2·span, heads·d] each. Null: the term is missing. */
  protected abstract ofDistances(): { readonly keys: Tensor | null; readonly queries: Tensor | null };

  override scoreBias(q: Tensor, kv: Tensor, batch: Sequences): Tensor | null {
    const { keys, queries } = this.ofDistances();
    const terms: Tensor[] = [];
    if (keys !== null) terms.push(this.#term(q, keys, batch, (query) => query));
    if (queries !== null)
      terms.push(this.#term(kv.columns(0, this.heads * this.headSize), queries, batch, (_, key) => key));
    return terms.length === 0 ? null : scale(terms.reduce(add), this.scale);
  }

  /**
   * Returns [B, heads, T, T]: products of rows of `content`, [N, heads·d], and of `positions`, [2·span, heads·d]. The
   * distance from key to query selects the row of `positions`.
   */
  #term(content: Tensor, positions: Tensor, batch: Sequences, of: (query: number, key: number) => number): Tensor {
    const rowOf = (query: number, key: number) => this.distances.rowOf(query - key);
    return productsByDistance(content, positions, batch, this.heads, { contentOf: of, positionOf: rowOf });
  }
}

/** Attention that has the keys and the queries of distances as parameters, because an optimizer has computed them. */
export class FoldedDistanceAttention extends DistanceAttention {
  readonly distances: Distances;
  readonly positionKey: Tensor | null;
  readonly positionQuery: Tensor | null;

  constructor(
    init: Initializer,
    {
      distances,
      contentToPosition,
      positionToContent,
      ...rest
    }: MultiHeadOptions & DistanceTerms & { readonly distances: Distances },
  ) {
    super(init, rest);
    const table = () => init.normal([2 * distances.span, this.heads * this.headSize], 0.02);
    this.distances = distances;
    this.positionKey = contentToPosition ? table() : null;
    this.positionQuery = positionToContent ? table() : null;
  }

  protected ofDistances() {
    return { keys: this.positionKey, queries: this.positionQuery };
  }
}

/** Attention that projects vectors of distances, which layers share, to keys and queries. */
export class DisentangledAttention extends DistanceAttention {
  readonly distances: DistanceVectors;
  /**
   * Projections of distance vectors to keys and to queries. Null if the term is missing or the projection is shared.
   */
  readonly positionKey: Projection | null;
  readonly positionQuery: Projection | null;
  readonly distanceDropout: Dropout;
  readonly #terms: DistanceTerms;

  constructor(init: Initializer, options: DisentangledOptions) {
    const { distances, contentToPosition, positionToContent, shared, positionKeyBias, distanceDropout, ...rest } =
      options;
    super(init, rest);
    const width = this.heads * this.headSize;
    const linear = (bias: boolean) => new Linear(init, rest.dModel, width, bias);
    this.distances = distances;
    this.distanceDropout = distanceDropout;
    this.positionKey = contentToPosition && !shared ? linear(positionKeyBias) : null;
    this.positionQuery = positionToContent && !shared ? linear(true) : null;
    this.#terms = { contentToPosition, positionToContent };
  }

  protected ofDistances() {
    const { contentToPosition, positionToContent } = this.#terms;
    if (!contentToPosition && !positionToContent) return { keys: null, queries: null };
    const table = this.distanceDropout.forward(this.distances.table()); // [2·span, dModel]
    return {
      keys: contentToPosition ? (this.positionKey?.forward(table) ?? this.qkv.part(table, 1, 2)) : null,
      queries: positionToContent ? (this.positionQuery?.forward(table) ?? this.qkv.part(table, 0, 1)) : null,
    };
  }
}
