// Reads the settings of sentence-transformers, PyLate and ColBERT into one form.

import { describeValue, isCount, isObject } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { ChatForm } from '../../models/retrieval/chat-rows.js';
import type { QueryExpansion, ReadingSettings } from '../../models/retrieval/modules/transformer.js';
import { DEFAULT_SETTINGS, type SentenceSettings } from '../../models/retrieval/sentence-head.js';
import type { SimilarityName } from '../../models/retrieval/similarity.js';
import type { ModelSource } from '../source.js';
import { readingConfig } from './layout.js';

type Json = Readonly<Record<string, unknown>>;

const FILE = 'config_sentence_transformers.json';
const COLBERT_FILE = 'artifact.metadata';

/** Settings of late interaction that older folders store elsewhere. */
export interface LateInteraction {
  /** The single tokens that mark queries and documents. */
  readonly markers: readonly string[];
  readonly reading: Pick<ReadingSettings, 'queryTokens' | 'documentTokens' | 'expansion'>;
  /** Words of documents that are not compared. Null if a module decides that. */
  readonly skipped: readonly string[] | null;
}

export interface FolderSettings {
  readonly sentence: SentenceSettings;
  /** Null for a model that makes one vector per text. */
  readonly lateInteraction: LateInteraction | null;
}

/** ASCII punctuation, which ColBERT skips. */
const PUNCTUATION = [...'!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'];
/** Default length of ColBERT's queries, in tokens. */
const QUERY_LENGTH = 32;

/** The settings of a folder. `isColbert`: Stanford's ColBERT wrote it. Throws FormatError for invalid settings. */
export async function folderSettings(source: ModelSource, isColbert: boolean): Promise<FolderSettings> {
  const config = (await source.has(FILE)) ? await source.json(FILE) : {};
  const sentence = sentenceSettings(config);
  if (isColbert) return colbertSettings(source, sentence);
  switch (config.model_type) {
    case 'ColBERT':
      return pylateSettings(config, sentence);
    case 'MultiVectorEncoder':
      return { sentence, lateInteraction: { markers: [], reading: {}, skipped: null } };
    default:
      return { sentence, lateInteraction: null };
  }
}

const SIMILARITIES: readonly SimilarityName[] = ['cosine', 'dot', 'euclidean', 'manhattan', 'maxsim', 'meanmaxsim'];

function sentenceSettings(config: Json): SentenceSettings {
  const { prompts = {}, default_prompt_name: name = null, similarity_fn_name: similarity, activation_fn } = config;
  const isText = (value: unknown) => value === null || typeof value === 'string';
  if (!isObject(prompts) || !Object.values(prompts).every(isText))
    throw new FormatError(`${FILE}: prompts is ${describeValue(prompts)}, expected texts by name`);
  // sentence-transformers always defines these two prompts.
  const texts = Object.entries({ query: '', document: '', ...prompts }).map(([key, text]) => [key, `${text ?? ''}`]);
  const all = Object.fromEntries(texts) as Record<string, string>;
  if (!isText(name) || (name !== null && !Object.hasOwn(all, name as string)))
    throw new FormatError(
      `${FILE}: default_prompt_name is ${describeValue(name)}, expected one of ${Object.keys(all)}`,
    );
  const short = typeof similarity === 'string' ? similarity.toLowerCase() : null;
  return {
    ...DEFAULT_SETTINGS,
    prompts: all,
    defaultPromptName: name as string | null,
    similarity: SIMILARITIES.find((measure) => measure === short) ?? null,
    truncateDim: countOrNull(config, 'truncate_dim'),
    maxActiveDims: countOrNull(config, 'max_active_dims'),
    activation: typeof activation_fn === 'string' ? activation_fn : null,
  };
}

function countOrNull(config: Json, key: string, file = FILE): number | null {
  const value = config[key];
  if (value === undefined || value === null) return null;
  if (typeof value === 'number' && isCount(value)) return value;
  throw new FormatError(`${file}: ${key} is ${describeValue(value)}, expected a positive integer`);
}

/** PyLate up to version 3 has its settings at the top of the file, and inserts its markers as tokens. */
function pylateSettings(config: Json, sentence: SentenceSettings): FolderSettings {
  const { query_prefix: query, document_prefix: document, skiplist_words: words, do_query_expansion: expands } = config;
  const markers = [query, document].map((marker) => (typeof marker === 'string' ? marker : ''));
  const attend = (config.attend_to_expansion_tokens ?? config.attend_to_mask_tokens) === true;
  const length = countOrNull(config, 'query_length') ?? QUERY_LENGTH;
  const isOff = expands === false;
  return {
    sentence: withMarkers(sentence, markers),
    lateInteraction: {
      markers,
      reading: {
        queryTokens: isOff ? countOrNull(config, 'query_length') : null,
        documentTokens: countOrNull(config, 'document_length'),
        expansion: isOff ? null : { strategy: 'fixed', attend, length, token: null },
      },
      skipped: Array.isArray(words) ? (words as string[]) : PUNCTUATION,
    },
  };
}

/** The settings of Stanford's ColBERT. */
async function colbertSettings(source: ModelSource, sentence: SentenceSettings): Promise<FolderSettings> {
  const config = (await source.has(COLBERT_FILE)) ? await source.json(COLBERT_FILE) : {};
  const { query_token_id: query, doc_token_id: document, mask_punctuation: masks = true } = config;
  const markers = [`${query || '[unused0]'} `, `${document || '[unused1]'} `];
  const length = countOrNull(config, 'query_maxlen', COLBERT_FILE) ?? QUERY_LENGTH;
  const attend = config.attend_to_mask_tokens === true;
  return {
    sentence: withMarkers(sentence, markers),
    lateInteraction: {
      markers,
      reading: {
        documentTokens: countOrNull(config, 'doc_maxlen', COLBERT_FILE),
        expansion: { strategy: 'fixed', attend, length, token: null },
      },
      skipped: masks === true ? PUNCTUATION : [],
    },
  };
}

/** Prompts that begin with the markers. */
function withMarkers(sentence: SentenceSettings, [query, document]: readonly string[]): SentenceSettings {
  const { prompts } = sentence;
  const marked = (marker = '', prompt = '') => (prompt.startsWith(marker) ? prompt : marker + prompt);
  return {
    ...sentence,
    prompts: { ...prompts, query: marked(query, prompts.query), document: marked(document, prompts.document) },
  };
}

/** The settings that control how a Transformer module reads texts, from the settings file in its folder. */
export async function readingSettings(source: ModelSource): Promise<ReadingSettings> {
  const config = await readingConfig(source);
  const file = 'sentence_bert_config.json';
  const processing = partsOf(config.processing_kwargs);
  const lengths = [processing.text, processing.common].map((part) => countOrNull(partsOf(part), 'max_length', file));
  return {
    maxTokens: lengths.find((length) => length !== null) ?? countOrNull(config, 'max_seq_length', file),
    chat: chatOf(config, partsOf(processing.chat_template)),
    queryTokens: countOrNull(config, 'query_length', file),
    documentTokens: countOrNull(config, 'document_length', file),
    expansion: expansionOf(config.query_expansion),
    lowercase: config.do_lower_case === true,
  };
}

const partsOf = (value: unknown): Json => (isObject(value) ? value : {});

/** The form of conversations, if the model's modalities contain messages. */
function chatOf({ modality_config: modalities }: Json, options: Json): ChatForm | null {
  const { message } = partsOf(modalities);
  if (!isObject(message)) return null;
  const { add_generation_prompt: addGenerationPrompt, restore_suffix: _, ...variables } = options;
  return {
    format: message.format === 'flat' ? 'flat' : 'structured',
    addGenerationPrompt: addGenerationPrompt === true,
    variables,
  };
}

function expansionOf(value: unknown): QueryExpansion | null {
  if (value === undefined || value === null) return null;
  const { strategy, length, attend = false, token = null } = isObject(value) ? value : {};
  const isKnown = strategy === 'fixed' || strategy === 'min';
  const isToken = token === null || typeof token === 'string';
  if (isKnown && isCount(length as number) && typeof attend === 'boolean' && isToken)
    return { strategy, length: length as number, attend, token: token as string | null };
  throw new FormatError(
    `sentence_bert_config.json: query_expansion is ${JSON.stringify(value)}, expected strategy 'fixed' or 'min', and length`,
  );
}
