// Scores of pairs of texts by models that read both at once.

import { checkOptions, describeValue, isObject, listOf } from '../../core/check.js';
import type { Device } from '../../core/device.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { packed, TokenBatch } from '../../nn/token-batch.js';
import { gather } from '../../ops/move.js';
import { softmax } from '../../ops/softmax.js';
import type { PretrainedTokenizer } from '../../tokenizers/pretrained-tokenizer.js';
import { hasSegments } from '../segments.js';
import { type AppliedActivation, activationOf, applyActivation } from './activations.js';
import { inTokenBatches, rowsOf } from './batches.js';
import { chatRow } from './chat-rows.js';
import { checkTexts, PROMPT_KINDS, type PromptOptions } from './encode.js';
import { type EncodedTexts, vectorsOf } from './features.js';
import type { LogitScore } from './modules/logit-score.js';
import { type TextReader, tokenLimit } from './reader.js';
import { filledParts, knownTemplate, type RerankTemplate } from './rerank-templates.js';
import { run, type SentenceHead } from './sentence-head.js';

/** Two texts: a query and a document, or a premise and a hypothesis. */
export type TextPair = readonly [text: string, other: string];

const ACTIVATIONS = ['identity', 'sigmoid', 'tanh', 'relu', 'softmax'] as const;
const BY_NAME: Readonly<Record<(typeof ACTIVATIONS)[number], AppliedActivation>> = {
  identity: 'none',
  sigmoid: 'sigmoid',
  tanh: 'tanh',
  relu: 'relu',
  softmax: (x) => softmax(x),
} as const;

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
  /** The index of the document in the list. */
  readonly corpus_id: number;
  readonly score: number;
  readonly text?: string;
}

const KINDS = { ...PROMPT_KINDS, activation: ACTIVATIONS, template: 'object' } as const;

/**
 * The scores of each pair, one for each label. Throws ArgumentError for a model that scores no pairs, FormatError for
 * its files.
 */
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
  const scores = logits.map(scorer.pick);
  const labels = scores[0]?.length ?? 0;
  const chosen = activation === undefined ? undefined : BY_NAME[activation];
  return activated(model.device, scores, chosen ?? scorer.activation ?? ownActivation(model, labels));
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
    .map((score, index) => ({ corpus_id: index, score, ...(returnDocuments && { text: documents[index] as string }) }))
    .sort((a, b) => b.score - a.score || a.corpus_id - b.corpus_id)
    .slice(0, topK);
}

interface Scorer {
  encode(pairs: readonly TextPair[], prompt: string): Promise<EncodedTexts>;
  logits(part: EncodedTexts): Generator<unknown, Tensor>;
  /** The scores of a pair, of its row of logits. */
  pick(row: Float32Array): readonly number[];
  readonly activation: AppliedActivation | undefined;
}

async function scorerOf(model: TextReader, { template }: PredictOptions): Promise<Scorer> {
  const { headKind } = model;
  const tokenizer = tokenizerOf(model);
  const modules = template === undefined && model.sentenceHead?.writes('scores');
  if (modules) return moduleScorer(modules);
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
      return (yield* model.forwardInParts({ inputIds: ids, ...types })).logits as Tensor;
    },
    pick: (row) => [...row],
  };
}

/** The arguments with which a module encodes pairs. */
const pairsOf = (pairs: readonly TextPair[], prompt: string) =>
  [pairs.map(([text]) => text), { prompt, task: null, secondTexts: pairs.map(([, other]) => other) }] as const;

/** A model whose modules write `scores`, such as a projection of a pooled vector. */
function moduleScorer({ input, steps }: ReturnType<SentenceHead['route']>): Scorer {
  return {
    activation: undefined,
    encode: (pairs, prompt) => input.encode(...pairsOf(pairs, prompt)),
    *logits(part) {
      return vectorsOf(run(steps, yield* input.readInParts(part, null)), 'scores');
    },
    pick: (row) => [...row],
  };
}

const limitsOf = (limit: number) =>
  Number.isFinite(limit) ? ({ truncation: true, maxLength: limit } as const) : ({ truncation: false } as const);

/** A decoder that answers by its next token. */
function decoderScorer(
  model: TextReader,
  tokenizer: PretrainedTokenizer,
  requestedTemplate: RerankTemplate | undefined,
): Scorer {
  const score = model.sentenceHead?.steps.find((step): step is LogitScore => 'trueId' in step) ?? null;
  const logitScore = requestedTemplate === undefined && score !== null ? score : null;
  const template =
    logitScore !== null || (requestedTemplate === undefined && readsPairs(tokenizer))
      ? null
      : checkTemplate(requestedTemplate ?? knownTemplate(model.config));
  const ids = logitScore !== null ? { yes: logitScore.trueId, no: logitScore.falseId } : answerIds(tokenizer, template);
  const limit = tokenLimit(model);
  const rowOf = (pair: TextPair, prompt: string) =>
    template === null ? chatRow(tokenizer, pair, prompt, limit) : partRow(tokenizer, template, pair, prompt, limit);
  const isProbability = template === null || (template.isProbability ?? true);
  return {
    activation: model.sentenceHead?.settings.activation ? undefined : isProbability ? 'sigmoid' : 'none',
    encode: async (pairs, prompt) => {
      if (logitScore !== null)
        return (model.sentenceHead as SentenceHead).route(null).input.encode(...pairsOf(pairs, prompt));
      const inputIds: number[][] = [];
      for (const pair of pairs) inputIds.push(await rowOf(pair, prompt));
      return { inputIds, tokenTypeIds: null, promptTokens: 0, attentionMask: null };
    },
    *logits({ inputIds }) {
      const batch = TokenBatch.from(model.device, 'inputIds', packed(inputIds), null);
      const features = yield* model.featuresInParts({ inputIds: batch });
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

async function partRow(
  tokenizer: PretrainedTokenizer,
  template: RerankTemplate,
  pair: TextPair,
  prompt: string,
  limit: number,
) {
  const rows: number[][] = [];
  for (const part of filledParts(template, pair, prompt)) rows.push(await tokenizer.encodeAsync(part));
  const documentIndex = template.parts.findIndex((part) => part.includes('{document}'));
  const excess = rows.reduce((sum, { length }) => sum + length, 0) - limit;
  const documentRow = rows[documentIndex] as number[];
  if (excess > documentRow.length)
    throw new ArgumentError(
      `predict: the prompt without the document is longer than the ${limit} tokens that the model reads`,
    );
  return rows.flatMap((row, i) => (i === documentIndex && excess > 0 ? row.slice(0, row.length - excess) : row));
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
function ownActivation({ sentenceHead, config }: TextReader, labels: number): AppliedActivation {
  const older = isObject(config.sentence_transformers) ? config.sentence_transformers.activation_fn : undefined;
  const name = sentenceHead?.settings.activation ?? older ?? config.sbert_ce_default_activation_function;
  const configured = name == null ? null : activationOf('config.json', name);
  return configured ?? (labels === 1 ? 'sigmoid' : 'none');
}

/** The activation of rows of scores. */
async function activated(device: Device, rows: readonly (readonly number[])[], activation: AppliedActivation) {
  const labels = rows[0]?.length ?? 0;
  if (activation === 'none' || labels === 0) return rows.map((row) => [...row]);
  const scores = device.scope(() =>
    applyActivation(device.tensor(Float32Array.from(rows.flat()), [rows.length, labels]), activation),
  );
  const values = (await scores.data()) as Float32Array;
  scores.dispose();
  return rowsOf(values, rows.length).map((row) => [...row]);
}
