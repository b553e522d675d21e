import type { Tensor } from '../core/tensor.js';
import type { Dropout } from '../nn/dropout.js';
import { Embedding } from '../nn/embedding.js';
import type { Initializer } from '../nn/init.js';
import { Linear } from '../nn/linear.js';
import { Module } from '../nn/module.js';
import { LayerNorm } from '../nn/norm.js';
import { add } from '../ops/binary.js';

export interface TextEmbeddingsParts {
  readonly vocabulary: number;
  /** Features of the tables. */
  readonly features: number;
  /** Rows of the table of positions. Default: 0, no table. */
  readonly positions?: number | undefined;
  /** Number of segments. Default: 0, no table. */
  readonly types?: number | undefined;
  /** Row of the first token's position. The row before it belongs to padding and is not learned. Default: 0. */
  readonly firstPosition?: number | undefined;
  /** Id whose vector is not learned; null for none. */
  readonly paddingId: number | null;
  readonly eps: number;
  readonly dropout: Dropout;
}

/** Sums of token, position and segment embeddings, normalized, as in BERT. */
export class TextEmbeddings extends Module {
  readonly tokens: Embedding;
  readonly positions: Embedding | null;
  readonly types: Embedding | null;
  /** Projects the sum to other features, before the norm (DeBERTa). */
  readonly projection: Linear | null;
  readonly norm: LayerNorm;
  readonly dropout: Dropout;
  readonly #firstPosition: number;
  readonly #paddingId: number | null;

  /** `outputs`: number of features after the projection before the norm, if there is one. */
  constructor(init: Initializer, parts: TextEmbeddingsParts, outputs = parts.features) {
    super();
    const { vocabulary, features, positions = 0, types = 0, firstPosition = 0 } = parts;
    const table = (rows: number) => (rows > 0 ? new Embedding(init, rows, features) : null);
    this.tokens = new Embedding(init, vocabulary, features);
    this.positions = table(positions);
    this.types = table(types);
    this.projection = outputs === features ? null : new Linear(init, features, outputs, false);
    this.norm = new LayerNorm(init, outputs, parts.eps);
    this.dropout = parts.dropout;
    this.#firstPosition = firstPosition;
    this.#paddingId = parts.paddingId;
  }

  /** Maximum length of a sequence by the table of positions; Infinity without a table. */
  get positionLimit(): number {
    return this.positions === null
      ? Number.POSITIVE_INFINITY
      : (this.positions.weight.shape[0] as number) - this.#firstPosition;
  }

  /**
   * `ids`, `positions` (from 0) and `types` (null if all are 0) are int32 [N]. `more`, float32 [N, features], is added,
   * if given. Returns float32 [N, outputs]. Throws ShapeError, DTypeError.
   */
  forward(ids: Tensor, positions: Tensor, types: Tensor | null, more: Tensor | null = null): Tensor {
    return ids.device.scope(() => {
      let x = this.#withPositions(ids, positions);
      if (more) x = add(x, more);
      if (this.types) x = add(x, this.types.forward(types ?? ids.device.zeros(ids.shape, 'int32')));
      return this.dropout.forward(this.norm.forward(this.projection?.forward(x) ?? x));
    });
  }

  /** Tokens and positions. */
  #withPositions(ids: Tensor, positions: Tensor): Tensor {
    const [paddingId, first] = [this.#paddingId, this.#firstPosition];
    if (this.positions === null) return this.tokens.forward(ids, { paddingId });
    if (first === 0)
      return this.tokens.forward(ids, { paddingId, positions: this.positions.weight, positionIds: positions });
    const rows = add(positions, ids.device.tensor(Int32Array.of(first)));
    return add(this.tokens.forward(ids, { paddingId }), this.positions.forward(rows, { paddingId: first - 1 }));
  }
}

/** Names of the embeddings at the path `part` in the checkpoints of BERT and its descendants. */
export function embeddingNames(prefix: string, part = 'embeddings'): Record<string, string> {
  return {
    [`${part}.tokens`]: `${prefix}.word_embeddings`,
    [`${part}.positions`]: `${prefix}.position_embeddings`,
    [`${part}.types`]: `${prefix}.token_type_embeddings`,
    [`${part}.projection`]: `${prefix}.embed_proj`,
    [`${part}.norm`]: `${prefix}.LayerNorm`,
  };
}
