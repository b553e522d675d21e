import { checkNumber, checkOptions, describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { LoadedModel } from '../pretrained/load-later.js';
import { callOptionKinds, checkCallOptions } from './batches.js';
import { largest, sigmoid } from './scores.js';
import type { CallOptions, Task } from './task.js';
import { classify } from './text-classification.js';
import { type TruncationOptions, textsOf } from './text-inputs.js';

export interface TextRankingOptions extends CallOptions, TruncationOptions {
  /** How many documents come back. Default: all. */
  top_k?: number | undefined;
  /** Whether results have the document's text, too. Default false. */
  return_documents?: boolean | undefined;
}

export interface RankedDocument {
  /** The place of the document in the list. */
  readonly corpus_id: number;
  readonly score: number;
  readonly text?: string;
}

/**
 * Documents by how well they answer a query, the best first: as `CrossEncoder.rank` of sentence-transformers gives them,
 * whose names these are. The model reads the query and a document together.
 */
export type TextRanking = (
  query: string,
  documents: readonly string[],
  options?: TextRankingOptions,
) => Promise<RankedDocument[]>;

const TASK = 'text-ranking';

export const textRanking: Task<TextRanking> = {
  head: 'sequence-classification',
  create(context) {
    const activation = activationOf(context.model);
    return async (query, documents, options = {}) => {
      checkCallOptions(TASK, options);
      const { top_k: count = documents.length, return_documents: withText = false } = checkOptions(TASK, options, {
        top_k: 'count',
        return_documents: 'boolean',
        truncate: 'boolean',
        ...callOptionKinds,
      });
      const [question] = textsOf(TASK, query, 'query') as [string];
      const pairs = textsOf(TASK, documents, 'documents').map((document) => [question, document] as const);
      const scores = await classify(context, pairs, options, (logits) => {
        checkNumber(TASK, 'the number of classes', logits.length, (classes) => classes === 1, '1: a score');
        return activation(logits[0] as number);
      });
      return largest(scores, count).map((place) => {
        const result = { corpus_id: place, score: scores[place] as number };
        return withText ? { ...result, text: documents[place] as string } : result;
      });
    };
  },
};

/** What sentence-transformers does with the model's score: what its config says, or the sigmoid. */
function activationOf({ config }: LoadedModel): (score: number) => number {
  const own = isObject(config.sentence_transformers) ? config.sentence_transformers.activation_fn : undefined;
  const name = own ?? config.sbert_ce_default_activation_function ?? 'torch.nn.modules.activation.Sigmoid';
  if (/\bIdentity$/.test(String(name))) return (score) => score;
  if (/\bSigmoid$/.test(String(name))) return sigmoid;
  throw new FormatError(`config.json: activation_fn is ${describeValue(name)}, expected Identity or Sigmoid of torch`);
}
