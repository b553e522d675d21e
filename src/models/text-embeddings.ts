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
  /** Rows of the table of positions. Default 0: there is none. */
  readonly positions?: number | undefined;
  /** Segments. Default 0: they make no difference. */
  readonly types?: number | undefined;
  /** The row of the first token's position; the one before is padding's, which is not learnt. Default 0. */
  readonly firstPosition?: number | undefined;
  /** The id whose vector is not learnt. */
  readonly paddingId: number | null;
  readonly eps: number;
  readonly dropout: Dropout;
}

/** Vectors of tokens, positions and segments, added up and normalised, as BERT has them. */
export class TextEmbeddings extends Module {
  readonly tokens: Embedding;
  readonly positions: Embedding | null;
  readonly types: Embedding | null;
  /** From the features of the sum to others, before the norm (DeBERTa). */
  readonly projection: Linear | null;
  readonly norm: LayerNorm;
  readonly dropout: Dropout;
  readonly #firstPosition: number;
  readonly #paddingId: number | null;

  /** `outputs`: features of the result, if the sum is to be projected before the norm. */
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

  /** The most tokens of a sequence that there are positions for; Infinity without a table of positions. */
  get positionLimit(): number {
    return this.positions === null
      ? Number.POSITIVE_INFINITY
      : (this.positions.weight.shape[0] as number) - this.#firstPosition;
  }

  /**
   * `ids`, `positions` from 0 on, and `types`, null where all are 0: int32 [N]; the result is float32 [N, outputs].
   * Throws ShapeError, DTypeError.
   */
  forward(ids: Tensor, positions: Tensor, types: Tensor | null): Tensor {
    let x = this.#placed(ids, positions);
    if (this.types) x = add(x, this.types.forward(types ?? ids.device.zeros(ids.shape, 'int32')));
    return this.dropout.forward(this.norm.forward(this.projection?.forward(x) ?? x));
  }

  /** Tokens and positions. */
  #placed(ids: Tensor, positions: Tensor): Tensor {
    const [paddingId, first] = [this.#paddingId, this.#firstPosition];
    if (this.positions === null) return this.tokens.forward(ids, { paddingId });
    if (first === 0)
      return this.tokens.forward(ids, { paddingId, positions: this.positions.weight, positionIds: positions });
    const rows = add(positions, ids.device.tensor(Int32Array.of(first)));
    return add(this.tokens.forward(ids, { paddingId }), this.positions.forward(rows, { paddingId: first - 1 }));
  }
}

/** The names that BERT's checkpoints and those of its descendants have for `embeddings`. */
export function embeddingNames(prefix: string): Record<string, string> {
  return {
    'embeddings.tokens': `${prefix}.word_embeddings`,
    'embeddings.positions': `${prefix}.position_embeddings`,
    'embeddings.types': `${prefix}.token_type_embeddings`,
    'embeddings.projection': `${prefix}.embed_proj`,
    'embeddings.norm': `${prefix}.LayerNorm`,
  };
}
