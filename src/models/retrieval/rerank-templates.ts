// The prompts of decoders that judge a document by their next token.

import { ArgumentError } from '../../core/errors.js';
import type { Json } from '../model-config.js';

/** The prompt in which a decoder reads a pair, and the tokens of its answers. */
export interface RerankTemplate {
  /**
   * Parts of the prompt, which are tokenized one by one. `{query}`, `{document}` and `{instruction}` stand for the
   * texts. The part with the document is cut if the prompt is too long.
   */
  readonly parts: readonly string[];
  /** The token that means relevant. */
  readonly yes: string;
  /** The token that means irrelevant. Null: only the logit of `yes` is the score. Default: null. */
  readonly no?: string | null | undefined;
  /** The form of an instruction, where there is one. Default: '{instruction}'. */
  readonly instructionForm?: string | undefined;
  /** The default instruction. */
  readonly instruction?: string | undefined;
  /** True if the score is a probability: the sigmoid of the logit. Default: true. */
  readonly isProbability?: boolean | undefined;
}

const qwen3: RerankTemplate = {
  parts: [
    '<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the ' +
      'answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n',
    '<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}',
    '<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n',
  ],
  yes: 'yes',
  no: 'no',
  instruction: 'Given a web search query, retrieve relevant passages that answer the query',
};

/** mxbai-rerank-v2. */
const mxbai: RerankTemplate = {
  parts: [
    '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n<|im_start|>user\n',
    '{instruction}query: {query}',
    '\n',
    'document: {document}',
    '\n',
    'You are a search relevance expert who evaluates how well documents match search queries. For each query-document pair, carefully ' +
      'analyze the semantic relationship between them, then provide your binary relevance judgment (0 for not relevant, 1 for ' +
      'relevant).\nRelevance:',
    '<|im_end|>\n<|im_start|>assistant\n',
  ],
  instructionForm: 'instruction: {instruction}\n',
  yes: '1',
  no: '0',
  isProbability: false,
};

/** bge-reranker-v2-gemma. */
const gemma: RerankTemplate = {
  parts: [
    '<bos>',
    'A: {query}',
    '\n',
    'B: {document}',
    '\n',
    "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a prediction of either 'Yes' or 'No'.",
  ],
  yes: 'Yes',
  isProbability: false,
};

const templates: Readonly<Record<string, RerankTemplate>> = { qwen3, qwen2: mxbai, gemma };

/** True if a reranker of this family was published whose prompt is known. */
export const hasTemplate = (type: unknown): boolean => Object.hasOwn(templates, `${type}`);

/** Returns the template of a published reranker of this family. Throws ArgumentError if there is none. */
export function knownTemplate({ model_type: type }: Json): RerankTemplate {
  const template = hasTemplate(type) ? templates[`${type}`] : undefined;
  if (template) return template;
  const known = Object.keys(templates).join(', ');
  throw new ArgumentError(
    `predict: no prompt is known for a reranker of the family ${type}, only for ${known}: give a template`,
  );
}

/** The parts of a prompt with the texts of a pair. Texts are put in as they are, whatever they contain. */
export function filledParts(
  { parts, instruction: usual = '', instructionForm: form = '{instruction}' }: RerankTemplate,
  [query, document]: readonly [string, string],
  requested: string,
): string[] {
  const wanted = requested || usual;
  const instruction = wanted === '' ? '' : form.replace('{instruction}', () => wanted);
  const values: Readonly<Record<string, string>> = { query, document, instruction };
  return parts.map((part) =>
    part.replace(/\{(query|document|instruction)\}/g, (_, name: string) => values[name] as string),
  );
}
