// The objectives of sentence embeddings: texts with similar meanings get similar vectors.

import { checkMethod, checkOptions, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { atOnce } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import type { ModelInputs } from '../models/inputs.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { inference } from '../nn/module.js';
import { pool } from '../nn/pooling.js';
import { Sequences } from '../nn/sequences.js';
import { type EncodedText, encodeText, inputsOf, limitOf, numberOf } from './encoded.js';
import { byLength } from './in-batches.js';
import { cosineLoss, inBatchNegatives, rankedCosineLoss, tripletLoss } from './losses.js';
import { ModelObjective, type ModelObjectiveOptions } from './model-objective.js';

/** A pair of similar texts, a pair with a score, or a triplet. */
export interface EmbeddingRow {
  readonly text?: string | undefined;
  readonly pair?: string | undefined;
  /** The similarity of the two texts, on any scale. */
  readonly score?: number | string | undefined;
  /** Other names for `text` and `pair`, and a text that is less similar to the first. */
  readonly anchor?: string | undefined;
  readonly positive?: string | undefined;
  readonly negative?: string | undefined;
}

export interface EmbeddingObjectiveOptions extends ModelObjectiveOptions {
  /**
   * 'ranked': pairs with higher scores should have higher cosines (CoSENT). 'cosine': the cosine should equal the
   * score, from -1 to 1. 'negatives': a text's pair should be nearer than the other pairs of the batch and the
   * negatives. 'triplet': negatives should be farther by a margin. Default: 'ranked' for rows with scores, otherwise
   * 'negatives'.
   */
  loss?: 'ranked' | 'cosine' | 'negatives' | 'triplet' | undefined;
  /** Factor of the cosines in 'ranked' and 'negatives'. Default: 20. */
  scale?: number | undefined;
  /** Margin of 'triplet', whose distance is 1 − cosine. Default: 0.5. */
  margin?: number | undefined;
}

/** A row as ids. */
export interface EncodedTexts {
  readonly texts: readonly EncodedText[];
  readonly score: number | null;
}

const kinds = {
  maxLength: 'count',
  loss: ['ranked', 'cosine', 'negatives', 'triplet'],
  scale: 'positive',
  margin: 'notNegative',
} as const;

/**
 * Trains a model of sentence embeddings. Rows are `{ text, pair, score }`, `{ text, pair }` or `{ anchor, positive,
 * negative }`.
 */
export class Embeddings extends ModelObjective<EmbeddingRow, EncodedTexts> {
  readonly #options: EmbeddingObjectiveOptions;

  constructor(model: PretrainedModel, options: EmbeddingObjectiveOptions = {}) {
    checkOptions('Embeddings', options, kinds);
    super(model, { maxLength: options.maxLength ?? model.sentenceTokens ?? undefined });
    this.#options = options;
  }

  protected override encode(row: EmbeddingRow): EncodedTexts {
    const { text = row.anchor, pair = row.positive, negative, score } = row;
    const passages = [text, pair, ...(negative === undefined ? [] : [negative])];
    if (!passages.every((passage) => typeof passage === 'string'))
      throw new ArgumentError('fit: an example has no text and pair, and no anchor and positive');
    const texts = passages.map((passage) => encodeText(this.model, passage as string, undefined, this.maxLength));
    return { texts, score: score === undefined ? null : scoreOf(score) };
  }

  override inputs(examples: readonly EncodedTexts[]): ModelInputs {
    return inputsOf(examples.flatMap(({ texts }) => texts));
  }

  protected override lengthOf({ texts }: EncodedTexts): number {
    return texts.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
  }

  protected override *lossInParts(examples: readonly EncodedTexts[]): Generator<unknown, Tensor> {
    const scores = examples.map(({ score }) => score);
    const isScored = scores.every((score) => score !== null);
    const { loss = isScored ? 'ranked' : 'negatives', scale, margin = 0.5 } = this.#options;
    if ((loss === 'ranked' || loss === 'cosine') && !isScored)
      throw new ArgumentError(`fit: an example has no score, which the loss ${loss} needs`);
    const count = examples[0]?.texts.length as number;
    if (examples.some(({ texts }) => texts.length !== count) || (loss === 'triplet' && count < 3))
      throw new ArgumentError('fit: the examples do not fit the loss, expected a negative in each of them, or in none');
    // One pass over all texts: the first of each example, then the second.
    const all = [0, 1, 2].slice(0, count).flatMap((i) => examples.map(({ texts }) => texts[i] as EncodedText));
    const vectors = yield* embedInParts(this.model, all);
    const part = (i: number) => vectors.rows(i * examples.length, (i + 1) * examples.length);
    const [a, b] = [part(0), part(1)];
    switch (loss) {
      case 'ranked':
        return rankedCosineLoss(a, b, scores as number[], { scale });
      case 'cosine':
        return cosineLoss(a, b, scores as number[]);
      case 'triplet':
        return tripletLoss(a, b, part(2), { distance: 'cosine', margin });
      default:
        return inBatchNegatives(a, b, { scale, negatives: count > 2 ? part(2) : null });
    }
  }
}

/** Throws ArgumentError for a value that is not a number. */
export function scoreOf(score: unknown): number {
  const value = numberOf(score);
  if (value !== undefined) return value;
  throw new ArgumentError(`fit: an example's score is ${describeValue(score)}, expected a number`);
}

/**
 * Returns the vectors of texts, [B, d]: by the modules of sentence-transformers, or else the mean of the token vectors.
 * Yields after each layer.
 */
function* embedInParts(model: PretrainedModel, texts: readonly EncodedText[]): Generator<unknown, Tensor> {
  const { sentenceEmbedding, lastHiddenState } = yield* model.forwardInParts(inputsOf(texts));
  if (sentenceEmbedding) return sentenceEmbedding;
  if (!lastHiddenState)
    throw new ArgumentError(
      `fit: a model with the head ${model.headKind} returns no vectors of texts, expected a model without a head`,
    );
  const counts = texts.map(({ inputIds }) => inputIds.length);
  return pool(lastHiddenState, Sequences.of(model.device, counts), 'mean');
}

/** Computes the vectors of texts as arrays of numbers. */
export async function embedTexts(
  model: PretrainedModel,
  texts: readonly string[],
  options: { maxLength?: number | undefined; signal?: AbortSignal | undefined } = {},
): Promise<Float32Array[]> {
  checkMethod('embedTexts', 'model', model, 'forward', 'the result of loadModel');
  const { maxLength, signal } = checkOptions('embedTexts', options, { maxLength: 'count', signal: 'signal' });
  const limit = limitOf(model, maxLength ?? model.sentenceTokens ?? undefined);
  const encoded = texts.map((text) => encodeText(model, text, undefined, limit));
  return byLength(
    encoded,
    ({ inputIds }) => inputIds.length,
    async (batch) => {
      signal?.throwIfAborted();
      const vectors = inference(model, () => atOnce(embedInParts(model, batch)));
      const values = (await vectors.data()) as Float32Array;
      const width = vectors.shape[1] as number;
      vectors.dispose();
      return batch.map((_, i) => values.slice(i * width, (i + 1) * width));
    },
  );
}
