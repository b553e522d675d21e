import { checkOptions, isObject } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { LogitScore } from '../models/retrieval/modules/logit-score.js';
import type { RankedDocument } from '../models/retrieval/rank.js';
import { hasTemplate } from '../models/retrieval/rerank-templates.js';
import { callOptionKinds } from './batches.js';
import { type PromptNames, promptKinds, promptsOf } from './prompts.js';
import type { CallOptions, Task } from './task.js';
import { checkFits, type TruncationOptions, textsOf } from './text-inputs.js';

export type { RankedDocument } from '../models/retrieval/rank.js';

export interface TextRankingOptions extends CallOptions, TruncationOptions, PromptNames {
  /** Number of documents to return. Default: all. */
  top_k?: number | undefined;
  /** True to return the document's text, too. Default: false. */
  return_documents?: boolean | undefined;
}

/**
 * Ranks documents by relevance to a query, the best first. Results have the form of sentence-transformers'
 * `CrossEncoder.rank`. The model reads the query and a document together; see `model.rank`.
 */
export type TextRanking = (
  query: string,
  documents: readonly string[],
  options?: TextRankingOptions,
) => Promise<RankedDocument[]>;

const TASK = 'text-ranking';
const HEADS = ['sequence-classification', 'language-model'];

export const textRanking: Task<TextRanking> = {
  suits: isReranker,
  create(context) {
    const { model } = context;
    if (!HEADS.includes(model.headKind))
      throw new ArgumentError(
        `pipeline: ${TASK} needs a model with head '${HEADS.join("' or '")}', this one has '${model.headKind}'`,
      );
    return async (query, documents, options = {}) => {
      const { top_k, return_documents, truncate } = checkOptions(TASK, options, {
        top_k: 'count',
        return_documents: 'boolean',
        truncate: 'boolean',
        ...promptKinds,
        ...callOptionKinds,
      });
      const [question] = textsOf(TASK, query, 'query') as [string];
      const texts = textsOf(TASK, documents, 'documents');
      const { signal, onProgress, batchSize } = options;
      await checkFits(
        context,
        texts.map((text) => [question, text]),
        { truncate, signal, batchSize },
      );
      return model.rank(question, texts, {
        topK: top_k,
        returnDocuments: return_documents,
        ...promptsOf(options),
        signal,
        onProgress,
        batchSize,
      });
    };
  },
};

/**
 * True for a classifier with one label, and for a language model that was trained to rank. sentence-transformers lists
 * a module for that. In other folders, only the name reveals it.
 */
function isReranker({ headKind, config, origin, sentenceHead }: PretrainedModel): boolean {
  const { id2label, num_labels: count, model_type: type } = config;
  if (headKind !== 'language-model') return (isObject(id2label) ? Object.keys(id2label).length : (count ?? 2)) === 1;
  if (sentenceHead?.steps.some((step) => step instanceof LogitScore)) return true;
  return hasTemplate(type) && /rerank/i.test(origin?.from ?? '');
}
