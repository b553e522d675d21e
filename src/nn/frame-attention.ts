// Attention of speech encoders, whose scores depend on the distance of frames.

import type { Tensor } from '../core/tensor.js';
import { add, scale, sub } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { matmul } from '../ops/matmul.js';
import { concat, gather, permute, slice, unpack } from '../ops/move.js';
import { MultiHeadAttention, type MultiHeadOptions, type ProjectedAttention, type RotaryContext } from './attention.js';
import type { Initializer } from './init.js';
import { Linear, type Projection } from './linear.js';
import { Module } from './module.js';
import type { DistanceTables } from './position-bias.js';
import type { Rotation } from './rotary-embedding.js';
import type { Sequences } from './sequences.js';

/**
 * Trained vectors of distances, which are added to keys and values. A function maps distances to rows, because
 * checkpoints order rows differently.
 */
export class DistanceRows extends Module implements DistanceTables {
  /** [rows, headSize] */
  readonly keyRows: Tensor;
  /** [rows, headSize], or null if nothing is added to values. */
  readonly valueRows: Tensor | null;

  /**
   * `row` returns the row of a distance from a query to a key, −max … max, or null for zeros. Larger distances count
   * as ±max.
   */
  constructor(
    init: Initializer,
    headSize: number,
    private readonly options: {
      readonly rows: number;
      readonly max: number;
      readonly row: (distance: number) => number | null;
      readonly values?: boolean | undefined;
    },
  ) {
    super();
    this.keyRows = init.xavierUniform(options.rows, headSize);
    this.valueRows = options.values ? init.xavierUniform(options.rows, headSize) : null;
  }

  get keys(): Tensor {
    return this.#table(this.keyRows);
  }

  get values(): Tensor | null {
    return this.valueRows && this.#table(this.valueRows);
  }

  #table(rows: Tensor): Tensor {
    const { max, row } = this.options;
    const [count, width] = rows.shape as [number, number];
    const indices = Int32Array.from({ length: 2 * max + 1 }, (_, i) => row(i - max) ?? count);
    const all = indices.includes(count) ? concat([rows, rows.device.zeros([1, width])]) : rows;
    return gather(all, rows.device.tensor(indices));
  }
}

/**
 * Returns sinusoids of the distances T − 1 … −(T − 1), where a distance is the query's position minus the key's: [2·T −
 * 1, features]. `time`: T.
 */
function distanceSinusoids(time: number, features: number): Float32Array {
  const rows = 2 * time - 1;
  const table = new Float32Array(rows * features);
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < features; i++) {
      const angle = (time - 1 - row) / 10000 ** ((i - (i % 2)) / features);
      table[row * features + i] = i % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
    }
  return table;
}

export interface FrameAttentionOptions extends MultiHeadOptions {
  /**
   * Changes the sinusoids of distances, [2·T − 1, dModel], before their projection, such as a dropout. Default: none.
   */
  readonly distances?: ((table: Tensor) => Tensor) | undefined;
}

/**
 * Attention with separate scores for content and distance (Transformer-XL, Dai et al. 2019, arXiv 1901.02860, section
 * 3.3). For each of the two scores, a learned bias is added to the queries.
 */
export class FrameAttention extends MultiHeadAttention {
  readonly relativeKeys: Projection;
  /** `contentBias` and `distanceBias`: float32 [heads · headSize]. */
  readonly contentBias: Tensor;
  readonly distanceBias: Tensor;
  readonly #distances: (table: Tensor) => Tensor;
  readonly #dModel: number;

  constructor(init: Initializer, { distances = (table) => table, ...options }: FrameAttentionOptions) {
    super(init, options);
    const width = this.heads * this.headSize;
    this.relativeKeys = new Linear(init, options.dModel, width, false);
    this.contentBias = init.constant([width], 0);
    this.distanceBias = init.constant([width], 0);
    this.#distances = distances;
    this.#dModel = options.dModel;
  }

  override project(x: Tensor, context: RotaryContext): ProjectedAttention {
    const { q, ...rest } = super.project(x, context);
    return { q: add(q, this.contentBias), ...rest };
  }

  /** Returns the scores by distance, [B, heads, T, T]. `q` already includes `contentBias`. */
  override scoreBias(q: Tensor, _kv: Tensor, { lengths, longest: time, size }: Sequences): Tensor {
    const { heads, headSize, relativeKeys, contentBias, distanceBias } = this;
    const { device } = q;
    const table = device.tensor(distanceSinusoids(time, this.#dModel), [2 * time - 1, this.#dModel]);
    const keys = relativeKeys.forward(this.#distances(table)).reshape(2 * time - 1, heads, headSize);
    const queries = contiguous(add(q, sub(distanceBias, contentBias)));
    const padded = unpack(queries, lengths, time).reshape(size, time, heads, headSize);
    const byHead = permute(keys, [1, 0, 2]); // [heads, 2·T − 1, d]
    const scores = matmul(permute(padded, [0, 2, 1, 3]), byHead, { transposeB: true }); // [B, heads, T, 2·T − 1]
    return scale(shifted(scores), this.scale);
  }
}

/**
 * Shifts the rows of scores by distance, [B, heads, T, 2·T − 1], so that column j belongs to key j. Returns [B, heads,
 * T, T]. A column of zeros before the first makes rows one longer. Read with the old row length, each row then begins
 * one column further.
 */
function shifted(scores: Tensor): Tensor {
  const [size, heads, time, width] = scores.shape as [number, number, number, number];
  const padded = concat([scores.device.zeros([size, heads, time, 1]), scores], 3); // [B, heads, T, 2·T]
  const rows = slice(padded.reshape(size, heads, width + 1, time), 2, 1, width + 1); // [B, heads, 2·T − 1, T]
  return contiguous(slice(contiguous(rows).reshape(size, heads, time, width), 3, 0, time));
}

/**
 * Attention that rotates its input, not its queries and keys. Queries and keys are projections of rotated features,
 * values of the features themselves.
 */
export class RotatedInputAttention extends MultiHeadAttention {
  readonly #rotation: Rotation;

  /** `rotation`: a rotation for heads of `headSize` features. Throws ArgumentError, OutOfMemoryError. */
  constructor(init: Initializer, options: MultiHeadOptions, rotation: Rotation) {
    super(init, options);
    this.#rotation = rotation;
  }

  override project(x: Tensor, { positions, length }: RotaryContext): ProjectedAttention {
    const rotated = this.#rotation.forward(x, positions, length);
    const k = this.qkv.part(rotated, 1, 2);
    return { q: this.qkv.part(rotated, 0, 1), kv: concat([k, this.qkv.part(x, 2, 3)], -1) };
  }
}
