// A tokenizer.json is untrusted input. This file checks the parts that this package reads, by the rules of Hugging
// Face's readers. Ids must also fit an int32, because models read them as int32.
import { FormatError } from '../core/errors.js';
import { atOnce, inSlices } from '../core/slices.js';
import { hasBytePairs } from './byte-pairs.js';
import type { TokenizerJson } from './json.js';
import { checkedFields } from './part.js';

const LAST_ID = 2 ** 31 - 1;
const MODELS = ['BPE', 'Unigram', 'WordLevel', 'WordPiece'];

type Fields = Readonly<Record<string, unknown>>;

/** Number of tokens that are checked before a pause. */
const TOKENS_A_SLICE = 4096;

/** Checks the parsed content of a `tokenizer.json`, which may lack `added_tokens`. Throws FormatError. */
export function checkTokenizerJson(json: unknown): TokenizerJson {
  return atOnce(checked(json));
}

/** Like `checkTokenizerJson`, in slices that yield to the event loop. */
export function checkTokenizerJsonAsync(json: unknown): Promise<TokenizerJson> {
  return inSlices(checked(json));
}

function* checked(json: unknown): Generator<undefined, TokenizerJson> {
  const isKnown = isFields(json) && isFields(json.model) && hasBytePairs(json.model);
  if (!isKnown && !hasVocabulary(json))
    throw new FormatError('this is not a tokenizer.json: it has no model with a vocabulary');
  const { model, added_tokens = [], post_processor } = json as Fields;
  if (!isKnown) yield* checkModel(model as Fields);
  checkAddedTokens(added_tokens);
  checkPostProcessor(post_processor);
  return { ...(json as Fields), added_tokens } as unknown as TokenizerJson;
}

function hasVocabulary(json: unknown): boolean {
  return isFields(json) && isFields(json.model) && typeof json.model.vocab === 'object' && json.model.vocab !== null;
}

function* checkModel(model: Fields): Generator<undefined, void> {
  const { type, vocab, merges, unk_token, unk_id, continuing_subword_prefix } = checkedFields(model);
  if (type === 'WordPiece' && typeof continuing_subword_prefix !== 'string')
    refuse('has no continuing_subword_prefix in its WordPiece model, expected text such as ##');
  // Old files have no type.
  if (type !== undefined && !MODELS.includes(type as string)) {
    refuse(`has a model of type ${JSON.stringify(type)}, expected one of ${MODELS.join(', ')}`);
  }
  if (type === 'BPE' && !Array.isArray(merges))
    refuse(`has ${JSON.stringify(merges)} for the merges of its BPE model, expected a list`);
  if (type === undefined && !Array.isArray(vocab) && !Array.isArray(merges) && typeof unk_token !== 'string')
    refuse('has a model of no type, and neither merges nor an unk_token that would tell it');
  if (type !== undefined && Array.isArray(vocab) !== (type === 'Unigram')) {
    const [actual, expected] = type === 'Unigram' ? ['an object', 'a list'] : ['a list', 'an object'];
    refuse(`has ${actual} for the vocabulary of its ${type} model, expected ${expected}`);
  }
  if (Array.isArray(vocab)) checkScoredTokens(vocab, unk_id);
  else yield* checkTokenIds(vocab as Fields);
}

function* checkTokenIds(vocab: Fields): Generator<undefined, void> {
  for (const [i, token] of Object.keys(vocab).entries()) {
    checkId(token, vocab[token]);
    if (i % TOKENS_A_SLICE === TOKENS_A_SLICE - 1) yield;
  }
}

/** Checks the vocabulary of a Unigram model: pairs of a token and its score. */
function checkScoredTokens(vocab: readonly unknown[], unknownId: unknown): void {
  const odd = vocab.find((entry) => !isPair(entry) || typeof entry[1] !== 'number');
  if (odd !== undefined) refuse(`has ${JSON.stringify(odd)} in its vocabulary, expected a token and its score`);
  if (unknownId !== undefined && vocab[unknownId as number] === undefined) {
    refuse(`has the unk_id ${JSON.stringify(unknownId)}, expected an id of its ${vocab.length} tokens`);
  }
}

function checkAddedTokens(tokens: unknown): void {
  if (!Array.isArray(tokens)) refuse(`has ${JSON.stringify(tokens)} for added_tokens, expected a list`);
  for (const token of tokens as unknown[]) {
    if (!isFields(token) || typeof token.content !== 'string') {
      refuse(`has ${JSON.stringify(token)} among its added_tokens, expected an object with id and content`);
    }
    checkedFields(token);
    checkId(token.content, token.id);
  }
}

function checkPostProcessor(processor: unknown): void {
  if (!isFields(processor)) return;
  const { type, processors } = processor;
  if (type === 'Sequence') {
    if (!Array.isArray(processors)) refuse('has a sequence of post-processors that is not a list');
    processors.forEach(checkPostProcessor);
  } else if (type === 'TemplateProcessing') checkTemplates(processor);
  else if (type === 'BertProcessing' || type === 'RobertaProcessing') {
    for (const token of [processor.cls, processor.sep]) {
      if (!isPair(token)) refuse(`has ${JSON.stringify(token)} in its ${type}, expected a token and its id`);
      checkId(token[0], token[1]);
    }
  }
}

function checkTemplates({ single, pair = [], special_tokens: tokens }: Fields): void {
  for (const template of [single, pair]) {
    if (!Array.isArray(template)) refuse(`has ${JSON.stringify(template)} for a template, expected a list`);
    const odd = template.find((piece) => !isPiece(piece));
    if (odd !== undefined) refuse(`has ${JSON.stringify(odd)} in a template, expected a SpecialToken or a Sequence`);
  }
  for (const [token, named] of Object.entries(isFields(tokens) ? tokens : {})) {
    const ids = isFields(named) ? named.ids : undefined;
    if (!Array.isArray(ids))
      refuse(`has ${JSON.stringify(ids)} for the ids of ${JSON.stringify(token)}, expected a list`);
    for (const id of ids as unknown[]) checkId(token, id);
  }
  if ((single as { Sequence?: Fields }[]).some((piece) => piece.Sequence?.id === 'B'))
    refuse('has a second text B in its template for a single one, expected A');
}

function checkId(token: string, id: unknown): void {
  if (Number.isInteger(id) && (id as number) >= 0 && (id as number) <= LAST_ID) return;
  refuse(
    `gives the token ${JSON.stringify(token)} the id ${JSON.stringify(id)}, expected an integer from 0 to ${LAST_ID}`,
  );
}

/** True for an element of a template: a special token, or the first or second text. */
function isPiece(piece: unknown): boolean {
  if (!isFields(piece) || Object.keys(piece).length !== 1) return false;
  const { SpecialToken: special, Sequence: sequence } = piece;
  if (isFields(special)) return typeof special.id === 'string';
  return isFields(sequence) && (sequence.id === 'A' || sequence.id === 'B');
}

function isPair(value: unknown): value is [string, unknown] {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'string';
}

/** Same as `isObject` in core/check.ts. Importing that would add a chunk of a kilobyte to every page. */
function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuse(why: string): never {
  throw new FormatError(`this tokenizer.json ${why}`);
}
