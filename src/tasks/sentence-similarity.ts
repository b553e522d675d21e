import { checkOptions } from '../core/check.js';
import { callOptionKinds } from './batches.js';
import { extract, normalizeRows } from './feature-extraction.js';
import { type PromptNames, promptKinds } from './prompts.js';
import type { CallOptions, Task } from './task.js';
import { type TruncationOptions, textsOf } from './text-inputs.js';

export interface SentenceSimilarityOptions extends CallOptions, TruncationOptions, PromptNames {}

/** A sentence, and the sentences to compare it with. */
export interface SentenceSimilarityInputs {
  readonly source_sentence: string;
  readonly sentences: readonly string[];
}

/**
 * Returns cosines between the vector of a sentence and those of others. The model's own pooling modules make the
 * vectors; without them, they are means of token vectors. `similar({ source_sentence, sentences })`, the form of the
 * hub's widget, gives the same.
 */
export type SentenceSimilarity = {
  (source_sentence: string, sentences: readonly string[], options?: SentenceSimilarityOptions): Promise<number[]>;
  (inputs: SentenceSimilarityInputs, options?: SentenceSimilarityOptions): Promise<number[]>;
};

const TASK = 'sentence-similarity';

export const sentenceSimilarity: Task<SentenceSimilarity> = {
  head: 'none',
  needs: { body: true },
  create: (context) =>
    (async (
      first: string | SentenceSimilarityInputs,
      second?: readonly string[] | SentenceSimilarityOptions,
      third?: SentenceSimilarityOptions,
    ) => {
      const isText = typeof first === 'string';
      const source = isText ? first : first?.source_sentence;
      const sentences = textsOf(TASK, (isText ? second : first?.sentences) as readonly string[], 'sentences');
      const { options = {} } = { options: isText ? third : (second as SentenceSimilarityOptions | undefined) };
      checkOptions(TASK, options, { truncate: 'boolean', ...promptKinds, ...callOptionKinds });
      const texts = [...textsOf(TASK, source, 'source_sentence').slice(0, 1), ...sentences];
      const { data, dims } = await extract(context, texts, { ...options, pooling: 'model' });
      const features = dims[1] as number;
      normalizeRows(data, features);
      return sentences.map((_, i) => {
        let cosine = 0;
        for (let j = 0; j < features; j++) cosine += (data[j] as number) * (data[(i + 1) * features + j] as number);
        return cosine;
      });
    }) as SentenceSimilarity,
};
