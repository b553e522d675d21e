import { checkOptions, listOf } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { callOptionKinds, inBatches } from './batches.js';
import {
  type AggregationStrategy,
  aggregationStrategies,
  type EntityGroup,
  entitiesOf,
  groupsOf,
  longestOfOverlapping,
  type TokenEntity,
  type TokenScores,
} from './entities.js';
import { softmax } from './scores.js';
import type { CallOptions, Task, TaskContext } from './task.js';
import { checkFits, encode, type TruncationOptions, textsOf, tokenizerOf, tokenLogits } from './text-inputs.js';

export interface TokenClassificationOptions extends CallOptions, TruncationOptions {
  /** Labels that are left out. Default: ['O']. */
  ignore_labels?: readonly string[] | undefined;
  /**
   * Aggregation of tokens to entities. 'none' (default): no aggregation. 'simple': neighbours of one kind become one
   * entity, and B- begins another. 'first', 'average' and 'max' aggregate words, by the class of the first token, the mean
   * scores, or the most certain token.
   */
  aggregation_strategy?: AggregationStrategy | undefined;
  /**
   * Number of tokens by which parts of a long text overlap. Requires an aggregation. Default: only the beginning of a
   * long text is read.
   */
  stride?: number | undefined;
}

/**
 * Returns the classes of tokens, or the entities of texts. `start` and `end` count code points, as in Python: the text
 * of an entity is `[...text].slice(start, end).join('')`.
 */
export type ClassifyTokens = <
  Texts extends string | readonly string[],
  const Options extends TokenClassificationOptions = Record<never, never>,
>(
  texts: Texts,
  options?: Options,
) => Promise<Texts extends string ? EntityOf<Options>[] : EntityOf<Options>[][]>;

/** An entry of the result of a call with these options. */
export type EntityOf<Options extends TokenClassificationOptions> = Options extends {
  aggregation_strategy: infer Strategy;
}
  ? Strategy extends 'none' | undefined
    ? TokenEntity
    : EntityGroup
  : TokenEntity;

const TASK = 'token-classification';

export const tokenClassification: Task<ClassifyTokens> = {
  head: 'token-classification',
  create: (context) =>
    (async (texts: string | readonly string[], options: TokenClassificationOptions = {}) => {
      const {
        ignore_labels: ignored = ['O'],
        aggregation_strategy: strategy = 'none',
        stride,
      } = checkOptions(TASK, options, {
        ignore_labels: listOf('string', 'an array of labels'),
        aggregation_strategy: aggregationStrategies,
        stride: 'whole',
        truncate: 'boolean',
        ...callOptionKinds,
      });
      if (stride !== undefined && strategy === 'none')
        throw new ArgumentError(
          `${TASK}: stride is ${stride}, but aggregation_strategy is 'none', which has no entities`,
        );
      const run = async (batch: readonly string[]) => {
        const parts = await scoresOf(context, batch, stride);
        return batch.map((_, i) => {
          const partsOfText = parts.filter(({ text }) => text === i);
          if (strategy === 'none')
            return partsOfText
              .flatMap((tokens) => entitiesOf(context, tokens))
              .filter(({ entity }) => !ignored.includes(entity));
          const groups = partsOfText
            .flatMap((part) => groupsOf(context, part, strategy))
            .filter(({ entity_group: kind }) => !ignored.includes(kind));
          return partsOfText.length > 1 ? longestOfOverlapping(groups) : groups;
        });
      };
      const list = textsOf(TASK, texts);
      if (stride === undefined)
        await checkFits(
          context,
          list.map((text) => [text]),
          options,
        );
      const results = await inBatches<string, (TokenEntity | EntityGroup)[]>(list, (text) => text.length, run, options);
      return typeof texts === 'string' ? results[0] : results;
    }) as ClassifyTokens,
};

/**
 * Returns the probabilities of the classes of all tokens except special ones. With a stride, long texts are read in
 * parts.
 */
async function scoresOf(context: TaskContext, texts: readonly string[], stride: number | undefined) {
  const parts = stride === undefined ? {} : { returnOverflowingTokens: true, stride };
  const encoded = await encode(context, texts, { returnOffsets: true, ...parts });
  const logits = await tokenLogits(context.model, encoded);
  const tokenizer = tokenizerOf(context);
  const isWordPiece = tokenizer.toJSON().model.type === 'WordPiece';
  return encoded.inputIds.map((ids, row) => {
    const text = encoded.overflowToSampleMapping[row] as number;
    const characters = [...(texts[text] as string)];
    const tokens: TokenScores[] = [];
    const spans = encoded.offsets[row] as [number, number][];
    const words = encoded.wordIds[row] as (number | null)[];
    for (const [index, id] of ids.entries()) {
      if (encoded.specialTokensMask[row]?.[index]) continue;
      const [start, end] = spans[index] as [number, number];
      // If the tokenizer has no words, words are separated by spaces, as in transformers.
      const continuesWord = isWordPiece
        ? index > 0 && words[index] !== null && words[index] === words[index - 1]
        : start > 0 && !characters.slice(start - 1, start + 1).includes(' ');
      const isUnknown = id === tokenizer.unkId;
      const scores = softmax(logits[row]?.[index] as Float32Array);
      tokens.push({ id, index, start, end, scores, continuesWord: continuesWord && !isUnknown, isUnknown });
    }
    return { text, characters, tokens };
  });
}
