// Loads the tokenizer of a model's folder.

import { FormatError } from '../core/errors.js';
import type { Family } from '../models/family.js';
import { bertTokenizerJson } from '../tokenizers/bert-vocabulary.js';
import { blenderbotTokenizerJson } from '../tokenizers/blenderbot-merges.js';
import { byteLevelTokenizerJson } from '../tokenizers/byte-level-merges.js';
import { ctcTokenizerJson } from '../tokenizers/ctc-vocabulary.js';
import { type PretrainedTokenizer, parseTokenizer } from '../tokenizers/huggingface.js';
import type { TokenizerConfig, TokenizerJson } from '../tokenizers/json.js';
import { vitsTokenizerJson } from '../tokenizers/vits-vocabulary.js';
import type { ModelSource } from './source.js';

/** The parts of a family that describe its tokenizer. */
export type TokenizerForm = Pick<Family, 'vocabulary' | 'addedTokens'>;

/** Vocabularies that are not read, or only for some families. */
const OTHERS = [
  'spiece.model',
  'sentencepiece.bpe.model',
  'tokenizer.model',
  'spm.model',
  'source.spm',
  'merges.txt',
  'vocab.txt',
];

const TEMPLATE = 'chat_template.jinja';
/** Files of additional chat templates, as transformers saves them. */
const NAMED_TEMPLATE = /^additional_chat_templates\/([^/]+)\.jinja$/;

/**
 * Loads the tokenizer of a folder; null if it has none. It is read from tokenizer.json, from BERT's vocab.txt, or from
 * vocab.json and merges.txt of GPT-2, RoBERTa and the small Blenderbot. wav2vec 2.0 has only vocab.json.
 * tokenizer_config.json and special_tokens_map.json list the special tokens. Throws FormatError for damaged files, and
 * for folders that have only files of SentencePiece, or vocabularies of other families.
 */
export async function loadModelTokenizer(
  source: ModelSource,
  { vocabulary, addedTokens = [] }: TokenizerForm = {},
): Promise<PretrainedTokenizer | null> {
  const config = await tokenizerConfig(source);
  const json = await tokenizerJson(source, vocabulary, config);
  if (json === null) return null;
  try {
    return await parseTokenizer(withTokens(json, addedTokens), { ...paddingOf(json), ...config });
  } catch (cause) {
    if (cause instanceof FormatError)
      throw new FormatError(`${source.name}: tokenizer.json: ${cause.message}`, { cause });
    throw cause;
  }
}

/** The tokenizer with special tokens, which get the next ids, if it lacks the last of them. */
function withTokens(json: { readonly added_tokens?: unknown }, tokens: readonly string[]): object {
  const { added_tokens: added = [] } = json;
  const known = new Set(Array.isArray(added) ? added.map((token) => token?.content) : []);
  if (!Array.isArray(added) || tokens.length === 0 || known.has(tokens.at(-1))) return json;
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const newTokens = tokens.filter((token) => !known.has(token)).map((content) => ({ id: 0, content, ...flags }));
  return { ...json, added_tokens: [...added, ...newTokens] };
}

/** Returns the default padding token of transformers' classes, for configurations without one. */
function paddingOf({ added_tokens: added }: { readonly added_tokens?: unknown }): TokenizerConfig {
  const contents = Array.isArray(added) ? added.map((token) => (token as { content?: unknown } | null)?.content) : [];
  const pad_token = ['[PAD]', '<pad>'].find((token) => contents.includes(token));
  return pad_token === undefined ? {} : { pad_token };
}

async function tokenizerJson(
  source: ModelSource,
  vocabulary: Family['vocabulary'],
  config: TokenizerConfig,
): Promise<TokenizerJson | object | null> {
  if (await source.has('tokenizer.json')) return source.json('tokenizer.json');
  if (vocabulary === 'bert' && (await source.has('vocab.txt')))
    return bertTokenizerJson(await textOf(source, 'vocab.txt'), config);
  const hasMerges = (await source.has('vocab.json')) && (await source.has('merges.txt'));
  if (hasMerges && (vocabulary === 'gpt2' || vocabulary === 'roberta' || vocabulary === 'blenderbot')) {
    const [vocab, merges] = [await source.json('vocab.json'), await textOf(source, 'merges.txt')];
    return vocabulary === 'blenderbot'
      ? blenderbotTokenizerJson(vocab, merges)
      : byteLevelTokenizerJson(vocabulary, vocab, merges, config);
  }
  if (vocabulary === 'ctc' && (await source.has('vocab.json')))
    return ctcTokenizerJson(await source.json('vocab.json'), config);
  if (vocabulary === 'vits' && (await source.has('vocab.json')))
    return vitsTokenizerJson(await source.json('vocab.json'), config);
  for (const name of OTHERS) if (await source.has(name)) throw new FormatError(withoutJson(source.name, name));
  return null;
}

/** The message that a folder has only an unsupported vocabulary. transformers writes no tokenizer.json of Marian's. */
function withoutJson(folder: string, name: string): string {
  const kind = name.endsWith('.txt') ? '' : ' of SentencePiece';
  const hint =
    name === 'source.spm'
      ? "put that of transformers.js' repository beside it (Xenova/opus-mt-… for Helsinki-NLP/opus-mt-…)"
      : "write one with Python's transformers, by AutoTokenizer.from_pretrained('FOLDER').save_pretrained('FOLDER')";
  return `${folder} has ${name}${kind} but no tokenizer.json: ${hint}`;
}

/** Reads tokenizer_config.json, completed by special_tokens_map.json and the files of chat templates. */
async function tokenizerConfig(source: ModelSource): Promise<TokenizerConfig> {
  const read = async (name: string) => ((await source.has(name)) ? source.json(name) : {});
  const config: TokenizerConfig = {
    ...(await read('special_tokens_map.json')),
    ...(await read('tokenizer_config.json')),
  };
  const main = (await source.has(TEMPLATE)) ? await textOf(source, TEMPLATE) : config.chat_template;
  const namedTemplates: [name: string, template: string][] = [];
  for (const file of (await source.list()) ?? []) {
    const name = NAMED_TEMPLATE.exec(file)?.[1];
    if (name !== undefined) namedTemplates.push([name, await textOf(source, file)]);
  }
  if (namedTemplates.length > 0 && typeof main === 'string') namedTemplates.push(['default', main]);
  const chat_template = namedTemplates.length > 0 ? Object.fromEntries(namedTemplates) : main;
  return chat_template === undefined ? config : { ...config, chat_template };
}

async function textOf(source: ModelSource, name: string): Promise<string> {
  const bytes = await source.bytes(name);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(`${source.name}: ${name} is not valid UTF-8`, { cause });
  }
}
