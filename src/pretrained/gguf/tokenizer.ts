// Makes tokenizer.json and tokenizer_config.json from a GGUF file's vocabulary.

import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import { inSlices, sortedInParts } from '../../core/slices.js';
import { yieldToEventLoop } from '../../core/yield-to-event-loop.js';
import { type BytePairs, bytePairModel, ranksOfTexts } from '../../tokenizers/byte-pairs.js';
import type { TokenizerConfig, TokenizerJson } from '../../tokenizers/json.js';
import { TokenTable } from '../../tokenizers/token-table.js';
import type { GgufMetadata } from './metadata.js';
import { preTokenizerNamed } from './pre-tokenizers.js';

/** ggml's kinds of tokens. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

/** The vocabulary in a file. */
interface Vocabulary {
  readonly metadata: GgufMetadata;
  readonly tokens: TokenTable;
  readonly scores: ArrayLike<number>;
  readonly kinds: ArrayLike<number>;
}

type Model = Pick<TokenizerJson, 'model' | 'normalizer' | 'pre_tokenizer' | 'decoder'>;

/** Defaults for the tokens around text, for files without them. */
interface SurroundingTokens {
  readonly bos: boolean;
  readonly eos: boolean;
  readonly sep: boolean;
}

const kindsOfTokenizers: Readonly<Record<string, (vocabulary: Vocabulary) => Model | Promise<Model>>> = {
  llama: sentencePiece,
  gpt2: byteLevel,
  gemma4: bytePairsOfText,
  bert: wordPiece,
  t5: unigram,
};

/**
 * Returns the file's name for the kind of its tokenizer; null if it has none. Throws FormatError for an unknown kind.
 */
export function tokenizerKind(metadata: GgufMetadata): string | null {
  const kind = metadata.text('tokenizer.ggml.model') ?? 'none';
  if (kind === 'none' || kind === 'no_vocab') return null;
  if (Object.hasOwn(kindsOfTokenizers, kind)) return kind;
  const known = Object.keys(kindsOfTokenizers).join(', ');
  throw new FormatError(`tokenizer.ggml.model is ${describeValue(kind)}, expected one of ${known}`);
}

/**
 * Makes the tokenizer.json, in slices that yield to the event loop. Rejects with FormatError for an incomplete
 * vocabulary or an unknown kind.
 */
export async function ggufTokenizerJson(metadata: GgufMetadata): Promise<TokenizerJson> {
  const kind = tokenizerKind(metadata);
  if (kind === null) throw new FormatError('the file has no vocabulary');
  const vocabulary = await vocabularyOf(metadata);
  const { tokens, kinds } = vocabulary;
  const added: TokenizerJson['added_tokens'][number][] = [];
  const strips = stripsOf(metadata, kind);
  for (let id = 0; id < tokens.size; id++) {
    const isAdded = kinds[id] === CONTROL || kinds[id] === USER_DEFINED || kinds[id] === UNKNOWN;
    if (!isAdded) continue;
    const content = tokens.at(id) as string;
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, ...strips(content) };
    added.push({ id, content, ...flags, special: kinds[id] !== USER_DEFINED });
  }
  await yieldToEventLoop();
  const modelOf = kindsOfTokenizers[kind] as (typeof kindsOfTokenizers)[string];
  const model = await modelOf(vocabulary);
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    ...model,
    post_processor: templateOf(kind, vocabulary),
  };
}

/**
 * Returns which added tokens remove the spaces before or after them. GGUF files do not store it, so this function knows
 * it by architecture, as llama.cpp does.
 */
function stripsOf(metadata: GgufMetadata, kind: string): (token: string) => { lstrip?: true; rstrip?: true } {
  const { architecture } = metadata;
  if (architecture === 'phi3' && kind === 'llama')
    return (token) => (['<unk>', '<s>', '<|endoftext|>'].includes(token) ? {} : { rstrip: true });
  const hasMask =
    /^jina-v2-(de|es|code)$/.test(metadata.text('tokenizer.ggml.pre') ?? '') ||
    ['nomic-bert-moe', 'jina-bert-v3', 'modern-bert'].includes(architecture);
  return (token) => (hasMask && (token === '<mask>' || token === '[MASK]') ? { lstrip: true } : {});
}

/** Makes the tokenizer_config.json: special tokens, the chat template, and if tokens are added around texts. */
export function ggufTokenizerConfig(metadata: GgufMetadata): TokenizerConfig {
  const tokens = metadata.texts('tokenizer.ggml.tokens');
  const kind = tokenizerKind(metadata) as string;
  const token = (name: string, usual?: number) => {
    const id = metadata.whole(`tokenizer.ggml.${name}_token_id`) ?? usual;
    return id === undefined ? undefined : tokens?.at(id);
  };
  const usual = usualIds[kind] ?? {};
  const named = {
    bos_token: token('bos', usual.bos),
    eos_token: token('eos', usual.eos),
    unk_token: token('unknown', usual.unk),
    pad_token: token('padding', usual.pad),
    ...(kind === 'bert'
      ? { cls_token: token('cls') ?? token('bos', usual.bos), sep_token: token('seperator', usual.sep) }
      : {}),
    chat_template: metadata.text('tokenizer.chat_template'),
  };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
}

/** The default ids of llama.cpp for files without them. */
const usualIds: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  llama: { bos: 1, eos: 2, unk: 0 },
  bert: { bos: 101, unk: 100, sep: 102, pad: 0 },
  t5: { eos: 1, unk: 2, pad: 0 },
};

async function vocabularyOf(metadata: GgufMetadata): Promise<Vocabulary> {
  const texts = metadata.texts('tokenizer.ggml.tokens');
  if (texts === undefined) throw new FormatError('the file has no tokenizer.ggml.tokens');
  const tokens = await inSlices(TokenTable.inParts(texts, 'tokenizer.ggml.tokens'));
  return {
    metadata,
    tokens,
    scores: metadata.numbers('tokenizer.ggml.scores', tokens.size) ?? new Float32Array(tokens.size),
    kinds: metadata.numbers('tokenizer.ggml.token_type', tokens.size) ?? new Int32Array(tokens.size).fill(1),
  };
}

const idsOf = (tokens: readonly string[]): Record<string, number> =>
  Object.fromEntries(tokens.map((token, id) => [token, id]));

const SPACE = '\u2581';

/**
 * SentencePiece's BPE: of all neighbours that form a token, those with the highest score are merged, until none are
 * left. Text without a token becomes bytes.
 */
async function sentencePiece(vocabulary: Vocabulary): Promise<Model> {
  const { metadata, tokens, kinds } = vocabulary;
  const prefix = metadata.flag('tokenizer.ggml.add_space_prefix') ?? true;
  const unknown = metadata.whole('tokenizer.ggml.unknown_token_id') ?? 0;
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: SPACE };
  const before = prefix ? [{ type: 'Prepend', prepend: SPACE }] : [];
  const after = prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [];
  return {
    normalizer: { type: 'Sequence', normalizers: [...before, replace] },
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...after,
      ],
    },
    model: bytePairModel(
      {
        type: 'BPE',
        dropout: null,
        fuse_unk: true,
        byte_fallback: true,
        ignore_merges: false,
        unk_token: kinds[unknown] === UNKNOWN ? (tokens.at(unknown) as string) : null,
      },
      bytePairs(tokens, await rankByScore(vocabulary)),
      () => mergesByScore(vocabulary),
    ),
  };
}

function bytePairs(tokens: TokenTable, rankOf: BytePairs['rankOf']): BytePairs {
  return { ids: tokens, size: tokens.size, tokenOf: (id) => tokens.at(id), rankOf };
}

/** Computes the ranks of `mergesByScore` one by one, because there are millions of merges. */
async function rankByScore({ tokens, scores }: Vocabulary): Promise<BytePairs['rankOf']> {
  const ranks = new Int32Array(tokens.size);
  const sorted = await byScore(scores, tokens.size);
  for (let rank = 0; rank < sorted.length; rank++) ranks[sorted[rank] as number] = rank;
  return (left, right) => {
    const id = tokens.get(left + right);
    if (id === undefined || !tokens.has(left) || !tokens.has(right)) return undefined;
    return (ranks[id] as number) * tokens.longest + left.length;
  };
}

/** Sorts ids by descending score, in slices. The sort is stable. */
function byScore(scores: ArrayLike<number>, count: number): Promise<readonly number[]> {
  const ids = Array.from({ length: count }, (_, id) => id);
  return inSlices(sortedInParts(ids, (a, b) => (scores[a] as number) > (scores[b] as number)));
}

/** Returns the pairs of tokens that form a third, sorted by its score, then by its id. */
function mergesByScore({ tokens, scores }: Vocabulary): [string, string][] {
  const found: { pair: [string, string]; score: number }[] = [];
  for (const [token, id] of tokens) {
    const score = scores[id] as number;
    for (let split = 1; split < token.length; split++) {
      const [left, right] = [token.slice(0, split), token.slice(split)];
      if (tokens.has(left) && tokens.has(right)) found.push({ pair: [left, right], score });
    }
  }
  return found.sort((a, b) => b.score - a.score).map(({ pair }) => pair);
}

async function byteLevel({ metadata, tokens }: Vocabulary): Promise<Model> {
  const name = metadata.text('tokenizer.ggml.pre') ?? 'default';
  const { patterns, wholeWords = false } = preTokenizerNamed(name);
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const splits = patterns.map((Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false }));
  return {
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...splits, bytes] },
    decoder: bytes,
    model: await mergingModel(metadata, tokens, {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: wholeWords,
    }),
  };
}

/**
 * Gemma 4's BPE: text is not split into words, spaces are replaced by a mark, and text without a token becomes bytes.
 */
async function bytePairsOfText({ metadata, tokens, kinds }: Vocabulary): Promise<Model> {
  const unknown = metadata.whole('tokenizer.ggml.unknown_token_id');
  const replaced = (from: string, content: string) => ({ type: 'Replace', pattern: { String: from }, content });
  return {
    normalizer: replaced(' ', SPACE),
    pre_tokenizer: { type: 'Split', pattern: { Regex: '[^\\n]+|\\n+' }, behavior: 'Isolated', invert: false },
    decoder: { type: 'Sequence', decoders: [replaced(SPACE, ' '), { type: 'ByteFallback' }, { type: 'Fuse' }] },
    model: await mergingModel(metadata, tokens, {
      type: 'BPE',
      dropout: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      unk_token: unknown !== undefined && kinds[unknown] === UNKNOWN ? (tokens.at(unknown) as string) : null,
    }),
  };
}

/** A model of byte pairs with the merges of the file. */
async function mergingModel(
  metadata: GgufMetadata,
  tokens: TokenTable,
  settings: Parameters<typeof bytePairModel>[0],
): Promise<Model['model']> {
  const merges = metadata.texts('tokenizer.ggml.merges');
  if (merges === undefined) throw new FormatError('the file has no tokenizer.ggml.merges');
  return bytePairModel(settings, bytePairs(tokens, await inSlices(ranksOfTexts(merges, tokens))), () =>
    Array.from(merges, (merge) => {
      const space = merge.indexOf(' ', 1);
      return [merge.slice(0, space), merge.slice(space + 1)] as const;
    }),
  );
}

/** Makes a WordPiece model. The file marks the beginnings of words, but WordPiece marks continuations. */
function wordPiece({ metadata, tokens, kinds }: Vocabulary): Model {
  const lowercase = metadata.flag('tokenizer.ggml.normalizer.lowercase') ?? true;
  const pieces = Array.from(tokens, ([token, id]) => {
    if (kinds[id] === CONTROL || kinds[id] === UNKNOWN) return token;
    return token.startsWith(SPACE) ? token.slice(1) : `##${token}`;
  });
  const unknown = metadata.whole('tokenizer.ggml.unknown_token_id') ?? 100;
  return {
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      lowercase,
      strip_accents: metadata.flag('tokenizer.ggml.normalizer.strip_accents') ?? lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: pieces[unknown] ?? '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 1 << 20,
      vocab: idsOf(pieces),
    } as TokenizerJson['model'],
  };
}

/** SentencePiece's Unigram: the segmentation whose scores have the largest sum. */
function unigram({ metadata, tokens, scores }: Vocabulary): Model {
  const map = metadata.numbers('tokenizer.ggml.precompiled_charsmap');
  const prefix = metadata.flag('tokenizer.ggml.add_space_prefix') ?? true;
  const merges = metadata.flag('tokenizer.ggml.remove_extra_whitespaces') ?? false;
  const charsmap =
    map === undefined ? [] : [{ type: 'Precompiled', precompiled_charsmap: base64(Uint8Array.from(map)) }];
  const words = {
    type: 'Metaspace',
    replacement: SPACE,
    prepend_scheme: prefix || merges ? 'always' : 'never',
    split: true,
  };
  const split = { type: 'Split', pattern: { Regex: ' +' }, behavior: 'Removed', invert: false };
  return {
    normalizer: charsmap.length === 0 ? null : { type: 'Sequence', normalizers: charsmap },
    pre_tokenizer: merges ? { type: 'Sequence', pretokenizers: [split, words] } : words,
    decoder: { type: 'Metaspace', replacement: SPACE, prepend_scheme: words.prepend_scheme, split: true },
    model: {
      type: 'Unigram',
      unk_id: metadata.whole('tokenizer.ggml.unknown_token_id') ?? 2,
      byte_fallback: false,
      vocab: Array.from(tokens, ([token, id]) => [token, scores[id] as number] as const),
    },
  };
}

function base64(bytes: Uint8Array): string {
  let text = '';
  for (let start = 0; start < bytes.length; start += 1 << 14)
    text += String.fromCharCode(...bytes.subarray(start, start + (1 << 14)));
  return btoa(text);
}

/** The tokens around text; null if there are none. */
function templateOf(kind: string, { metadata, tokens }: Vocabulary): TokenizerJson['post_processor'] {
  const usual = usualIds[kind] ?? {};
  const idOf = (name: string, fallback?: number) => {
    const id = metadata.whole(`tokenizer.ggml.${name}_token_id`) ?? fallback;
    return id !== undefined && id < tokens.size ? id : undefined;
  };
  const pre = kind === 'gpt2' ? preTokenizerNamed(metadata.text('tokenizer.ggml.pre') ?? 'default') : null;
  const around: SurroundingTokens = {
    bos: metadata.flag('tokenizer.ggml.add_bos_token') ?? (kind === 'llama' || kind === 'bert' || pre?.addBos === true),
    eos: metadata.flag('tokenizer.ggml.add_eos_token') ?? kind === 't5',
    sep: kind === 'bert' && (metadata.flag('tokenizer.ggml.add_sep_token') ?? true),
  };
  const first = around.bos ? idOf('bos', usual.bos) : undefined;
  const last = around.sep ? idOf('seperator', usual.sep) : around.eos ? idOf('eos', usual.eos) : undefined;
  if (first === undefined && last === undefined) return null;
  const named = (id: number | undefined, type_id: number) =>
    id === undefined ? [] : [{ SpecialToken: { id: tokens.at(id) as string, type_id } }];
  const text = (id: string, type_id: number) => ({ Sequence: { id, type_id } });
  const second = kind === 'bert' ? 1 : 0;
  const used = [...new Set([first, last])].filter((id) => id !== undefined);
  return {
    type: 'TemplateProcessing',
    single: [...named(first, 0), text('A', 0), ...named(last, 0)],
    pair: [...named(first, 0), text('A', 0), ...named(last, 0), text('B', second), ...named(last, second)],
    special_tokens: Object.fromEntries(
      used.map((id) => {
        const token = tokens.at(id) as string;
        return [token, { id: token, ids: [id], tokens: [token] }];
      }),
    ),
  };
}
