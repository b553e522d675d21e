import { ArgumentError } from '../index.js';
import type { Pipeline } from '../tasks/index.js';

export interface EmbedOptions {
  /** Dimensions to keep. Shortened vectors are normalized. Default: all. */
  readonly dimensions?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A vector for each text, as the model's own pooling makes it. Rejects with ArgumentError for too many dimensions. */
export async function embed(
  extract: Pipeline<'feature-extraction'>,
  texts: readonly string[],
  { dimensions, signal }: EmbedOptions = {},
): Promise<number[][]> {
  const { data, dims } = await extract(texts, { pooling: 'model', signal });
  const features = dims.at(-1) as number;
  if (dimensions !== undefined && !(Number.isInteger(dimensions) && dimensions >= 1 && dimensions <= features))
    throw new ArgumentError(`embed: dimensions is ${dimensions}, expected an integer from 1 to ${features}`);
  return texts.map((_, i) => {
    const vector = Array.from(data.subarray(i * features, (i + 1) * features));
    return dimensions === undefined ? vector : normalized(vector.slice(0, dimensions));
  });
}

function normalized(vector: readonly number[]): number[] {
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((value) => value / length) : [...vector];
}

/** The number of tokens that the model reads of texts. */
export async function countTokens({ tokenizer, model }: Pipeline<'feature-extraction'>, texts: readonly string[]) {
  const { inputIds } = await tokenizer.encodeBatchAsync(texts, { returnOffsets: false });
  const limit = Math.min(model.sentenceTokens ?? Number.POSITIVE_INFINITY, model.maxLength);
  return inputIds.reduce((sum, { length }) => sum + Math.min(length, limit), 0);
}
