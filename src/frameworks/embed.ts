import { ArgumentError } from '../index.js';
import type { Pipeline } from '../tasks/index.js';

export interface EmbedOptions {
  /**
   * The use of the texts. Models with prompts read a query by another prompt than a document. Default: none, the
   * model's default prompt.
   */
  readonly task?: 'query' | 'document' | undefined;
  /** A text that is added before each text. Default: the prompt of `task`. */
  readonly prompt?: string | undefined;
  /** The name of one of the model's prompts. Default: the prompt of `task`. */
  readonly promptName?: string | undefined;
  /** Dimensions to keep. Shortened vectors are normalized. Default: all. */
  readonly dimensions?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Returns a vector for each text, equal to that of sentence-transformers. Rejects with the errors of `model.encode`,
 * and with ArgumentError for more dimensions than the model has.
 */
export async function embed(
  { model }: Pipeline<'feature-extraction'>,
  texts: readonly string[],
  { task, dimensions, ...promptOptions }: EmbedOptions = {},
): Promise<number[][]> {
  const shortened = dimensions === undefined ? {} : { truncateDim: dimensions, normalize: true };
  const options = { ...promptOptions, ...shortened };
  const vectors =
    task === 'query'
      ? model.encodeQuery(texts, options)
      : task === 'document'
        ? model.encodeDocument(texts, options)
        : model.encode(texts, options);
  const plain = (await vectors).map((vector) => Array.from(vector));
  const features = plain[0]?.length ?? 0;
  if (dimensions !== undefined && plain.length > 0 && features < dimensions)
    throw new ArgumentError(`embed: dimensions is ${dimensions}, expected at most ${features}`);
  return plain;
}

/** Returns the number of tokens that the model reads for texts, without prompts. */
export async function countTokens({ tokenizer, model }: Pipeline<'feature-extraction'>, texts: readonly string[]) {
  const { inputIds } = await tokenizer.encodeBatchAsync(texts, { returnOffsets: false });
  const limit = Math.min(model.sentenceTokens ?? Number.POSITIVE_INFINITY, model.maxLength);
  return inputIds.reduce((sum, { length }) => sum + Math.min(length, limit), 0);
}
