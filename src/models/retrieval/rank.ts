// Scores of pairs of texts by models that read both at once.

import { checkOptions, describeValue, isObject, listOf } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { packed, TokenBatch } from '../../nn/token-batch.js';
import { gather } from '../../ops/move.js';
import type { ChatMessage } from '../../tokenizers/chat-template.js';
import type { PretrainedTokenizer } from '../../tokenizers/pretrained-tokenizer.js';
import { inTokenBatches, rowsOf } from './batches.js';
import { checkTexts, PROMPT_KINDS, type PromptOptions } from './encode.js';
import type { EncodedTexts } from './features.js';
import type { LogitScore } from './modules/logit-score.js';
import { hasSegments, type TextReader, tokenLimit } from './reader.js';
import { filledParts, knownTemplate, type RerankTemplate } from './rerank-templates.js';

/** Two texts: a query and a document, or a premise and a hypothesis. */
export type TextPair = readonly [text: string, other: string];

const ACTIVATIONS = ['identity', 'sigmoid', 'tanh', 'relu', 'softmax'] as const;

export interface PredictOptions extends PromptOptions {
  /** The function that makes scores of logits. Default: the model's own: the sigmoid for one label, otherwise none. */
  readonly activation?: (typeof ACTIVATIONS)[number] | undefined;
  /** For a language model that judges by its next token: its prompt and its answers. Default: the model's own. */
  readonly template?: RerankTemplate | undefined;
}

export interface RankOptions extends PredictOptions {
  /** The number of documents that come back. Default: all. */
  readonly topK?: number | undefined;
  /** True to return the texts, too. Default: false. */
  readonly returnDocuments?: boolean | undefined;
}

/** A document of a ranking, by the names of sentence-transformers. */
export interface RankedDocument {
  /** The place of the document in the list. */
  readonly corpus_id: number;
  readonly score: number;
  readonly text?: string;
}

const KINDS = { ...PROMPT_KINDS, activation: ACTIVATIONS, template: 'object' } as const;

/** The scores of each pair, one for each label. Throws ArgumentError for a model that scores no pairs, FormatError for its files. */
export async function scorePairs(
  model: TextReader,
  pairs: readonly TextPair[],
  options: PredictOptions,
): Promise<number[][]> {
  const { activation, signal, onProgress, batchSize } = checkOptions('predict', options, KINDS);
  checkPairs(pairs);
  const scorer = await scorerOf(model, options);
  const encoded = await scorer.encode(pairs, instructionOf(model, options));
  const logits = await inTokenBatches(
    model,
    encoded,
    {
      *compute(part) {
        return [yield* scorer.logits(part)];
      },
      read: ([values], { inputIds }) => rowsOf(values as Float32Array, inputIds.length),
    },
    { signal, onProgress, batchSize },
  );
  return logits.map((row) => {
    const scores = scorer.pick(row);
    return activated(scores, activation ?? scorer.activation ?? ownActivation(model, scores.length));
  });
}

/** The documents by their scores, the best first. Throws ArgumentError for a model of several labels. */
export async function rankDocuments(
  model: TextReader,
  query: string,
  documents: readonly string[],
  options: RankOptions,
): Promise<RankedDocument[]> {
  const {
    topK,
    returnDocuments = false,
    ...predicting
  } = checkOptions('rank', options, {
    ...KINDS,
    topK: 'count',
    returnDocuments: 'boolean',
  });
  checkTexts('rank', [query]);
  const pairs = checkTexts('rank', documents).map((document) => [query, document] as const);
  const scores = (await scorePairs(model, pairs, predicting)).map((row) => {
    if (row.length === 1) return row[0] as number;
    throw new ArgumentError(`rank: the model gives ${row.length} scores for a pair, expected 1: call predict`);
  });
  return scores
    .map((score, place) => ({ corpus_id: place, score, ...(returnDocuments && { text: documents[place] as string }) }))
    .sort((a, b) => b.score - a.score || a.corpus_id - b.corpus_id)
    .slice(0, topK);
}

interface Scorer {
  encode(pairs: readonly TextPair[], prompt: string): Promise<EncodedTexts>;
  logits(part: EncodedTexts): Generator<unknown, Tensor>;
  /** The scores of a pair, of its row of logits. */
  pick(row: Float32Array): readonly number[];
  readonly activation: string | undefined;
}

async function scorerOf(model: TextReader, { template }: PredictOptions): Promise<Scorer> {
  const { headKind } = model;
  const tokenizer = tokenizerOf(model);
  if (headKind === 'language-model') return decoderScorer(model, tokenizer, template);
  if (headKind !== 'sequence-classification')
    throw new ArgumentError(
      `predict: the model has the head '${headKind}', expected 'sequence-classification', or 'language-model' for one that answers yes or no`,
    );
  if (template !== undefined && checkTemplate(template))
    throw new ArgumentError('predict: template is for language models, but this model has a classifier');
  return {
    activation: undefined,
    encode: async (pairs, prompt) => {
      const limits = limitsOf(tokenLimit(model));
      const { inputIds, tokenTypeIds } = await tokenizer.encodeBatchAsync(
        pairs.map(([text]) => prompt + text),
        { ...limits, textPair: pairs.map(([, other]) => other), returnOffsets: false },
      );
      return { inputIds, tokenTypeIds, promptTokens: 0, attentionMask: null };
    },
    *logits({ inputIds, tokenTypeIds }) {
      const ids = packed(inputIds);
      const types = hasSegments(model) && tokenTypeIds ? { tokenTypeIds } : {};
      return (yield* model.forwardByParts({ inputIds: ids, ...types })).logits as Tensor;
    },
    pick: (row) => [...row],
  };
}

const limitsOf = (limit: number) =>
  Number.isFinite(limit) ? ({ truncation: true, maxLength: limit } as const) : ({ truncation: false } as const);

/** A decoder that answers by its next token. */
function decoderScorer(model: TextReader, tokenizer: PretrainedTokenizer, given: RerankTemplate | undefined): Scorer {
  const score = model.sentenceHead?.steps.find((step): step is LogitScore => 'trueId' in step) ?? null;
  const isChat = given === undefined && (score !== null ? tokenizer.chatTemplate !== null : readsPairs(tokenizer));
  const ownScore = given === undefined ? score : null;
  const template = isChat || ownScore !== null ? null : checkTemplate(given ?? knownTemplate(model.config));
  const ids = ownScore !== null ? { yes: ownScore.trueId, no: ownScore.falseId } : answerIds(tokenizer, template);
  const limit = tokenLimit(model);
  const rowOf = (pair: TextPair, prompt: string) =>
    template !== null
      ? partRow(tokenizer, template, pair, prompt, limit)
      : isChat
        ? chatRow(tokenizer, pair, prompt, limit)
        : plainRow(tokenizer, pair, prompt, limit);
  const isProbability = template === null || (template.isProbability ?? true);
  return {
    activation: model.sentenceHead?.settings.activation ? undefined : isProbability ? 'sigmoid' : 'identity',
    encode: async (pairs, prompt) => {
      const inputIds: number[][] = [];
      for (const pair of pairs) inputIds.push(await rowOf(pair, prompt));
      return { inputIds, tokenTypeIds: null, promptTokens: 0, attentionMask: null };
    },
    *logits({ inputIds }) {
      const batch = TokenBatch.from(model.device, 'inputIds', packed(inputIds), null);
      const features = yield* model.featuresByParts({ inputIds: batch });
      return model.logitsOf(gather(features, model.device.tensor(batch.ends)));
    },
    pick: (row) => [(row[ids.yes] as number) - (ids.no === null ? 0 : (row[ids.no] as number))],
  };
}

/** The tokens of the two answers. `no` is null if the score is that of the answer yes alone. */
function answerIds(tokenizer: PretrainedTokenizer, template: RerankTemplate | null) {
  const { yes, no = null } = template ?? { yes: 'yes', no: 'no' };
  const idOf = (token: string) => tokenizer.encode(token)[0] as number;
  return { yes: idOf(yes), no: no === null ? null : idOf(no) };
}

/** True if the chat template has the roles of a pair. */
function readsPairs({ chatTemplate }: PretrainedTokenizer): boolean {
  const text = typeof chatTemplate === 'string' ? chatTemplate : (chatTemplate?.default ?? '');
  return /['"]query['"]/.test(text) && /['"]document['"]/.test(text);
}

async function chatRow(tokenizer: PretrainedTokenizer, [query, document]: TextPair, prompt: string, limit: number) {
  const messages = (first: string, second: string): ChatMessage[] => [
    ...(prompt === '' ? [] : [{ role: 'system', content: prompt }]),
    { role: 'query', content: first },
    { role: 'document', content: second },
  ];
  const ids = await tokenizer.applyChatTemplate(messages(query, document));
  if (ids.length <= limit) return ids;
  // The template's end tells the model to answer, so it stays. Two other pairs show how long it is.
  const [one, two] = [
    await tokenizer.applyChatTemplate(messages('0', '0')),
    await tokenizer.applyChatTemplate(messages('1 2 3 4', '1 2 3 4')),
  ];
  let same = 0;
  while (same < Math.min(one.length, two.length) && one.at(-1 - same) === two.at(-1 - same)) same++;
  const kept = Math.min(same, limit);
  return [...ids.slice(0, limit - kept), ...one.slice(one.length - kept)];
}

async function plainRow(tokenizer: PretrainedTokenizer, [query, document]: TextPair, prompt: string, limit: number) {
  const { inputIds } = await tokenizer.encodeBatchAsync([prompt + query], {
    ...limitsOf(limit),
    textPair: [document],
    returnOffsets: false,
  });
  return inputIds[0] as number[];
}

async function partRow(
  tokenizer: PretrainedTokenizer,
  template: RerankTemplate,
  pair: TextPair,
  prompt: string,
  limit: number,
) {
  const rows: number[][] = [];
  for (const part of filledParts(template, pair, prompt)) rows.push(await tokenizer.encodeAsync(part));
  const place = template.parts.findIndex((part) => part.includes('{document}'));
  const excess = rows.reduce((sum, { length }) => sum + length, 0) - limit;
  const cut = rows[place] as number[];
  if (excess > cut.length)
    throw new ArgumentError(
      `predict: the prompt without the document is longer than the ${limit} tokens that the model reads`,
    );
  return rows.flatMap((row, i) => (i === place && excess > 0 ? row.slice(0, row.length - excess) : row));
}

/** Throws ArgumentError for a template that lacks something. */
function checkTemplate(template: RerankTemplate): RerankTemplate {
  const { parts, yes, no } = checkOptions('predict: template', template, {
    parts: listOf('string', 'an array of texts'),
    yes: 'string',
    no: { accepts: (value) => value === null || typeof value === 'string', expected: 'a token or null' },
    instruction: 'string',
    instructionForm: 'string',
    isProbability: 'boolean',
  });
  const has = (name: string) => parts?.some((part) => typeof part === 'string' && part.includes(`{${name}}`));
  if (yes && no !== '' && has('query') && has('document')) return template;
  throw new ArgumentError('predict: template needs parts with {query} and {document}, and the token yes');
}

/** Returns the pairs. Throws ArgumentError, which names the item that is not a pair. */
export function checkPairs(pairs: readonly TextPair[]): void {
  if (!Array.isArray(pairs))
    throw new ArgumentError(
      `predict: the pairs are ${describeValue(pairs)}, expected [text, text] or a list of such pairs`,
    );
  const isPair = (pair: unknown) =>
    Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === 'string');
  const odd = pairs.findIndex((pair) => !isPair(pair));
  if (odd >= 0) throw new ArgumentError(`predict: pair ${odd} is ${describeValue(pairs[odd])}, expected two texts`);
}

function tokenizerOf({ tokenizer }: TextReader): PretrainedTokenizer {
  if (tokenizer) return tokenizer;
  throw new FormatError("predict: the model's folder has no tokenizer, expected tokenizer.json beside config.json");
}

/** The prompt of a call: a text before the first text of a pair, or the instruction of a language model. */
function instructionOf({ sentenceHead }: TextReader, { prompt, promptName }: PredictOptions): string {
  if (prompt !== undefined) return prompt;
  if (sentenceHead) return sentenceHead.prompt(promptName);
  if (promptName === undefined) return '';
  throw new ArgumentError(`predict: there is no prompt ${JSON.stringify(promptName)}, as the model's folder has none`);
}

/** The activation that the model's files name. Default: the sigmoid for one label, otherwise none. */
function ownActivation({ sentenceHead, config }: TextReader, labels: number): string {
  const older = isObject(config.sentence_transformers) ? config.sentence_transformers.activation_fn : undefined;
  const name = sentenceHead?.settings.activation ?? older ?? config.sbert_ce_default_activation_function;
  if (name == null) return labels === 1 ? 'sigmoid' : 'identity';
  const short = `${name}`.split('.').at(-1)?.toLowerCase() as string;
  if (ACTIVATIONS.includes(short as (typeof ACTIVATIONS)[number])) return short;
  throw new FormatError(
    `config.json: activation_fn is ${describeValue(name)}, expected ${ACTIVATIONS.join(', ')} of torch`,
  );
}

function activated(scores: readonly number[], name: string): number[] {
  switch (name) {
    case 'sigmoid':
      return scores.map((score) => 1 / (1 + Math.exp(-score)));
    case 'tanh':
      return scores.map(Math.tanh);
    case 'relu':
      return scores.map((score) => Math.max(0, score));
    case 'softmax': {
      const most = Math.max(...scores);
      const powers = scores.map((score) => Math.exp(score - most));
      const sum = powers.reduce((total, power) => total + power, 0);
      return powers.map((power) => power / sum);
    }
    default:
      return [...scores];
  }
}
