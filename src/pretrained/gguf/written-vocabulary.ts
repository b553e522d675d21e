// The vocabulary of a tokenizer.json as the metadata of a GGUF file.

import { describeValue, isObject } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { GgufTexts, type GgufValue } from '../../io/gguf-values.js';
import type { GgufEntry } from '../../io/gguf-writer.js';
import type { PretrainedTokenizer } from '../../tokenizers/huggingface.js';
import type { ScoredTokens, TokenizerJson } from '../../tokenizers/json.js';

type Entries = Map<string, GgufEntry>;

/** Metadata that was read, in the form for writing. */
export function copiedEntries(values: ReadonlyMap<string, GgufValue>): Entries {
  const entries: Entries = new Map();
  for (const [name, value] of values) {
    const entry = copied(value);
    if (entry !== null) entries.set(name, entry);
  }
  return entries;
}

function copied(value: GgufValue): GgufEntry | null {
  if (typeof value === 'string') return { string: value };
  if (typeof value === 'boolean') return { bool: value };
  if (typeof value === 'number') return Number.isInteger(value) && value >= 0 ? { uint32: value } : { float32: value };
  if (value instanceof GgufTexts) return { strings: value };
  if (value instanceof Float32Array) return { float32s: value };
  if (value instanceof Int32Array) return { int32s: value };
  return value instanceof Uint8Array || value instanceof Int8Array ? { uint8s: value } : null;
}

const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE] = [1, 2, 3, 4, 5, 6] as const;

/** Number of tokens, or merges, that are handled before a pause. */
const A_SLICE = 1 << 12;

/** The items, with a pause after each slice. */
function* paused<Item>(items: Iterable<Item>, visit: (item: Item, i: number) => void): Generator<undefined, void> {
  let i = 0;
  for (const item of items) {
    visit(item, i++);
    if (i % A_SLICE === 0) yield;
  }
}

/**
 * The entries for `size` tokens, as many as the model has rows. Pauses after each slice of tokens. Throws ArgumentError
 * for a tokenizer that GGUF files do not support.
 */
export function* writtenVocabulary(tokenizer: PretrainedTokenizer, size: number): Generator<undefined, Entries> {
  const json = tokenizer.toJSON();
  const { vocab } = json.model;
  if (Array.isArray(vocab)) return yield* unigramEntries(tokenizer, vocab, size);
  if (json.model.merges === undefined)
    throw new ArgumentError('saveGguf: the tokenizer merges no pairs, expected one of byte pairs, or Unigram');
  const tokens = new Array<string>(size);
  const kinds = new Int32Array(size).fill(UNUSED);
  yield* paused(kinds, (_, id) => {
    tokens[id] = `[PAD${id}]`;
  });
  const ids = vocab as Readonly<Record<string, number>>;
  yield* paused(Object.keys(ids), (token) => {
    const id = ids[token] as number;
    if (id >= size) return;
    tokens[id] = token;
    kinds[id] = /^<0x[\dA-F]{2}>$/.test(token) ? BYTE : NORMAL;
  });
  for (const { id, content, special } of json.added_tokens) {
    if (id >= size) continue;
    tokens[id] = content;
    kinds[id] = content === json.model.unk_token ? UNKNOWN : special ? CONTROL : USER_DEFINED;
  }
  const isPieces = json.model.byte_fallback === true;
  const entries: Entries = new Map([
    ['tokenizer.ggml.model', { string: isPieces ? 'llama' : 'gpt2' }],
    ['tokenizer.ggml.pre', { string: isPieces ? 'default' : preNameOf(json) }],
    ['tokenizer.ggml.tokens', { strings: tokens }],
    ['tokenizer.ggml.token_type', { int32s: kinds }],
  ]);
  const merges: string[] = [];
  yield* paused(json.model.merges, (merge) => {
    merges.push(typeof merge === 'string' ? merge : merge.join(' '));
  });
  if (isPieces) {
    entries.set('tokenizer.ggml.scores', { float32s: yield* scoresOf(tokens, merges) });
    entries.set('tokenizer.ggml.add_space_prefix', { bool: JSON.stringify(json.normalizer).includes('"Prepend"') });
  } else entries.set('tokenizer.ggml.merges', { strings: merges });
  addSpecial(entries, tokenizer);
  return entries;
}

/** Score of a row without a token, as llama.cpp's converter writes it. */
const NO_SCORE = -10000;

/** The entries of a Unigram tokenizer, such as T5's. Throws ArgumentError for steps that GGUF files do not have. */
function* unigramEntries(
  tokenizer: PretrainedTokenizer,
  vocab: ScoredTokens,
  size: number,
): Generator<undefined, Entries> {
  const json = tokenizer.toJSON();
  const tokens = Array.from({ length: size }, (_, id) => `[PAD${id}]`);
  const [scores, kinds] = [new Float32Array(size).fill(NO_SCORE), new Int32Array(size).fill(UNUSED)];
  yield* paused(vocab, ([token, score], id) => {
    if (id >= size) return;
    tokens[id] = token;
    scores[id] = score;
    kinds[id] = NORMAL;
  });
  for (const { id, content, special } of json.added_tokens) {
    if (id >= size) continue;
    tokens[id] = content;
    if (id >= vocab.length) scores[id] = 0;
    kinds[id] = special ? CONTROL : USER_DEFINED;
  }
  const { unk_id: unknown } = json.model;
  if (unknown != null && unknown < size) kinds[unknown] = UNKNOWN;
  const entries: Entries = new Map([
    ['tokenizer.ggml.model', { string: 't5' }],
    ['tokenizer.ggml.pre', { string: 'default' }],
    ['tokenizer.ggml.tokens', { strings: tokens }],
    ['tokenizer.ggml.scores', { float32s: scores }],
    ['tokenizer.ggml.token_type', { int32s: kinds }],
  ]);
  addSpaces(entries, json);
  addSpecial(entries, tokenizer);
  return entries;
}

/** Adds how a Unigram tokenizer changes characters, and what it does with spaces. */
function addSpaces(entries: Entries, { normalizer, pre_tokenizer: pre }: TokenizerJson): void {
  const steps = [...stepsOf(normalizer, 'normalizers'), ...stepsOf(pre, 'pretokenizers')];
  const removes = steps.filter((step) => step.type === 'WhitespaceSplit' || removesRuns(step));
  const words = steps.find(({ type }) => type === 'Metaspace');
  const map = steps.find(({ type }) => type === 'Precompiled');
  const other = steps.find((step) => step !== words && step !== map && !removes.includes(step));
  if (other !== undefined || words === undefined || words.replacement !== '\u2581')
    throw new ArgumentError(
      `saveGguf: GGUF files have no place for what the tokenizer does with ${describeValue(other?.type ?? 'spaces')}`,
    );
  const isPrefixed = words.prepend_scheme === undefined ? words.add_prefix_space : words.prepend_scheme !== 'never';
  entries.set('tokenizer.ggml.add_space_prefix', { bool: isPrefixed === true });
  entries.set('tokenizer.ggml.remove_extra_whitespaces', { bool: removes.length > 0 });
  if (typeof map?.precompiled_charsmap !== 'string') return;
  const bytes = Uint8Array.from(atob(map.precompiled_charsmap), (byte) => byte.charCodeAt(0));
  entries.set('tokenizer.ggml.precompiled_charsmap', { uint8s: bytes });
}

/** True for a step that makes one space of several, or removes all. */
function removesRuns({ type, pattern }: Step): boolean {
  return (type === 'Replace' || type === 'Split') && isObject(pattern) && /^ (\+|\{2,\})$/.test(String(pattern.Regex));
}

type Step = Readonly<Record<string, unknown>>;

function stepsOf(part: unknown, parts: 'normalizers' | 'pretokenizers'): readonly Step[] {
  if (!isObject(part)) return [];
  return part.type === 'Sequence' && Array.isArray(part[parts]) ? (part[parts] as Step[]) : [part];
}

/** Tokens that are merged first have the highest scores. */
function* scoresOf(tokens: readonly string[], merges: readonly string[]): Generator<undefined, Float32Array> {
  const ranks = new Map<string, number>();
  yield* paused(merges, (merge, rank) => {
    const token = merge.replace(' ', '');
    if (!ranks.has(token)) ranks.set(token, rank);
  });
  const scores = new Float32Array(tokens.length);
  yield* paused(tokens, (token, id) => {
    scores[id] = -(ranks.get(token) ?? merges.length);
  });
  return scores;
}

/** The name of a tokenizer's cutting rule. Throws ArgumentError for an unknown rule. */
function preNameOf({ pre_tokenizer: pre }: TokenizerJson): string {
  const all = isObject(pre) && Array.isArray(pre.pretokenizers) ? pre.pretokenizers : [pre];
  const text = JSON.stringify(all);
  const hasDigits = /"Digits"[^}]*"individual_digits":true/.test(text);
  const splits = text.match(/"Regex":"(?:[^"\\]|\\.)*"/g) ?? [];
  if (splits.length === 0 && text.includes('"use_regex":true')) return hasDigits ? 'smollm' : 'gpt-2';
  const [only] = splits;
  const name = splits.length === 1 ? splitNameOf(only as string) : null;
  if (name !== null) return name;
  throw new ArgumentError('saveGguf: GGUF files have no name for how the tokenizer cuts words');
}

/** The name of a rule that is one regular expression, in JSON. Null for an unknown rule. */
function splitNameOf(rule: string): string | null {
  const has = (part: string) => rule.includes(part);
  const isCased = has('\\\\p{Lu}');
  if (!has("'ll")) return isCased && !has('{1,3}') ? 'tekken' : has('[^(\\\\s|') && has('.,!?') ? 'bloom' : null;
  if (isCased) return has('{1,3}') ? 'gpt-4o' : null;
  if (has('{1,3}')) return 'llama-bpe';
  if (!has('\\\\p{N}|')) return null;
  return has('\\\\p{M}') ? 'qwen35' : 'qwen2';
}

function addSpecial(entries: Entries, tokenizer: PretrainedTokenizer): void {
  const ids = { bos: tokenizer.bosId, eos: tokenizer.eosId, unknown: tokenizer.unkId, padding: tokenizer.padId };
  for (const [name, id] of Object.entries(ids))
    if (id !== undefined) entries.set(`tokenizer.ggml.${name}_token_id`, { uint32: id });
  const around = tokenizer.encode('', { addSpecial: true });
  const [bos, eos] = [tokenizer.bosId, tokenizer.eosId];
  entries.set('tokenizer.ggml.add_bos_token', { bool: bos !== undefined && around[0] === bos });
  entries.set('tokenizer.ggml.add_eos_token', { bool: eos !== undefined && eos !== bos && around.at(-1) === eos });
  if (typeof tokenizer.chatTemplate === 'string')
    entries.set('tokenizer.chat_template', { string: tokenizer.chatTemplate });
}
