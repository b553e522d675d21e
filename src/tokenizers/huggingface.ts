import { checkOptions, describeValue, isObject } from '../core/check.js';
import { ArgumentError, FormatError, SimdformerError } from '../core/errors.js';
import type { BatchEncoding, EncodeBatchOptions } from './batch-encoding.js';
import { type ApplyChatTemplateOptions, type ChatMessage, type ChatTemplate, chatTemplateOf } from './chat-template.js';
import type { Engine } from './engine-parts.js';
import {
  type ConfiguredToken,
  contentOf,
  specialTokensOf,
  type TokenizerConfig,
  type TokenizerJson,
  typeOf,
} from './json.js';
import type { Item } from './template.js';
import { checkText, codePointsBefore, knownIds, type Tokenizer, UnknownTokenError } from './tokenizer.js';

/**
 * Reads a `tokenizer.json` (its text or what it parses to) with a BPE, Unigram, WordLevel or WordPiece model, for the ids
 * that Hugging Face's `tokenizers` gives. `@huggingface/tokenizers` does the work, loaded on the first call. Refused, as
 * it would give other ids, are: BPE with a `continuing_subword_prefix`; the pre-tokenizers
 * UnicodeScripts, Metaspace with the scheme `first` after others, and Split with a behavior other than Isolated at what
 * refers back or, unless it is Removed, matches where there is nothing; ids around text that are no token's;
 * post-processors after a template, but for ByteLevel. Truncation, padding and dropout are left out. `config` is the
 * `tokenizer_config.json` beside it, if there is one; without it, the tokens for pad, begin, end and unknown are found
 * where the file itself says them. Throws FormatError if it cannot be read, ArgumentError for a path or a URL instead of
 * what lies there, or if the config is not an object,
 * SimdformerError if the code that reads it does not load.
 */
export async function loadTokenizer(json: string | object, config?: TokenizerConfig): Promise<PretrainedTokenizer> {
  const options = checkOptions('loadTokenizer', config ?? {});
  if (typeof json === 'string' && !json.trimStart().startsWith('{')) {
    const given = json.length > 100 ? `${json.slice(0, 100)}…` : json;
    throw new ArgumentError(
      `loadTokenizer: json is ${describeValue(given)}, expected the text of a tokenizer.json: of a path or a URL read it ` +
        "first, as with await readFile(path, 'utf8') of node:fs/promises or await (await fetch(url)).text()",
    );
  }
  if (typeof json !== 'string' && !isObject(json))
    throw new ArgumentError(`loadTokenizer: json is ${describeValue(json)}, expected the text of a tokenizer.json`);
  const parts = await import('./engine.js').catch((cause) => {
    throw new SimdformerError(
      `loadTokenizer: what reads a tokenizer.json did not load: ${cause.message}. A service worker has no import(): use a ` +
        'bundler, without splitting',
      { cause },
    );
  });
  const { HuggingFace, bytePairsOf, checkTokenizerJson, mended, rewritten, useBytePairs, withoutTables } = parts;
  try {
    const parsed = checkTokenizerJson(typeof json === 'string' ? JSON.parse(json) : json);
    // Decoding gives back what was encoded: no spaces are cleaned away unless the config asks for it.
    const unk_token = contentOf(options.unk_token) ?? parsed.model.unk_token;
    const pairs = typeOf(parsed.model) === 'BPE' ? bytePairsOf(parsed.model) : null;
    const read = rewritten(parsed, pairs);
    const model = {
      ...(pairs ? withoutTables(read.model) : read.model),
      unk_token: parsed.model.unk_token ?? NO_TOKEN,
    };
    const engine: Engine = new HuggingFace(
      { ...read, model },
      { clean_up_tokenization_spaces: false, ...options, unk_token },
    );
    if (pairs !== null) useBytePairs(engine, pairs, parsed);
    return new HuggingFaceTokenizer(mended(engine, parsed, pairs), parsed, parts, config);
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`this tokenizer.json cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** Without a name for it, the engine leaves text out that the vocabulary lacks. No token has this one. */
const NO_TOKEN = '\0unknown';

/** A tokenizer that was loaded. */
export interface PretrainedTokenizer extends Tokenizer {
  /**
   * Texts, or pairs of them, as a model reads them: with special tokens, cut and padded if wanted, and where each token
   * comes from. Throws ArgumentError for options that make no sense, UnknownTokenError as `encode`.
   */
  encodeBatch(texts: readonly string[], options?: EncodeBatchOptions): BatchEncoding;
  /** The texts of several rows of ids; see `decode`. */
  batchDecode(
    batch: readonly Iterable<number>[],
    options?: { skipSpecial?: boolean | undefined; cleanUp?: boolean | undefined },
  ): string[];
  /** How conversations are written for the model, if it was made for them: of the config's `chat_template`. */
  chatTemplate: ChatTemplate | null;
  /**
   * A conversation as the model reads it, by `chatTemplate`: ids, or with `tokenize: false` the text. The first call
   * loads what renders it.
   *
   * ```ts
   * const ids = await tokenizer.applyChatTemplate([{ role: 'user', content: 'Hello!' }], { addGenerationPrompt: true });
   * ```
   *
   * Throws ArgumentError for options that make no sense, messages that the template refuses, and without a template;
   * FormatError for a template that cannot be rendered; UnknownTokenError as `encode`.
   */
  applyChatTemplate(
    messages: readonly ChatMessage[],
    options: ApplyChatTemplateOptions & { tokenize: false },
  ): Promise<string>;
  applyChatTemplate(
    messages: readonly ChatMessage[],
    options?: ApplyChatTemplateOptions & { tokenize?: true | undefined },
  ): Promise<number[]>;
}

class HuggingFaceTokenizer implements PretrainedTokenizer {
  readonly vocabSize: number;
  readonly padId: number | undefined;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly unkId: number | undefined;
  chatTemplate: ChatTemplate | null;

  constructor(
    private readonly engine: Engine,
    private readonly json: TokenizerJson,
    private readonly parts: typeof import('./engine.js'),
    readonly config?: TokenizerConfig | undefined,
  ) {
    this.vocabSize = engine.model.vocab.length;
    const { pad, bos, eos, unk } = specialTokensOf(json);
    this.padId = this.#idOf(config?.pad_token, pad);
    this.bosId = this.#idOf(config?.bos_token, bos);
    this.eosId = this.#idOf(config?.eos_token, eos);
    this.unkId = this.#idOf(config?.unk_token, unk);
    this.chatTemplate = chatTemplateOf(config ?? {});
  }

  encode(text: string, options: { addSpecial?: boolean | undefined } = {}): number[] {
    checkText('encode', text);
    checkOptions('encode', options, { addSpecial: 'boolean' });
    const { ids, tokens } = this.#encoded(text, options.addSpecial);
    const unknown = ids.findIndex(isUnknown);
    if (unknown < 0) return ids as number[];
    const token = tokens[unknown] as string;
    if (token !== NO_TOKEN) throw new UnknownTokenError(token, this.#placeOfUnknown(text));
    const characters = [...text];
    const at = characters.findIndex((each) => this.#encoded(each).ids.some(isUnknown));
    throw new UnknownTokenError(characters[at] ?? text, at < 0 ? undefined : at);
  }

  decode(
    ids: Iterable<number>,
    options: { skipSpecial?: boolean | undefined; cleanUp?: boolean | undefined } = {},
  ): string {
    const { skipSpecial = true, cleanUp } = checkOptions('decode', options, {
      skipSpecial: 'boolean',
      cleanUp: 'boolean',
    });
    const list = knownIds(this, ids);
    if (list.length === 0) return '';
    const clean = cleanUp === undefined ? {} : { clean_up_tokenization_spaces: cleanUp };
    return this.engine.decode(list, { skip_special_tokens: skipSpecial, ...clean });
  }

  batchDecode(
    batch: readonly Iterable<number>[],
    options: { skipSpecial?: boolean | undefined; cleanUp?: boolean | undefined } = {},
  ): string[] {
    if (!Array.isArray(batch))
      throw new ArgumentError(`batchDecode: the batch is ${describeValue(batch)}, expected rows of ids`);
    return batch.map((ids) => this.decode(ids, options));
  }

  encodeBatch(texts: readonly string[], options: EncodeBatchOptions = {}): BatchEncoding {
    const { templateOf, trimmer, encodeBatch } = this.parts;
    const { padding_side: side, model_max_length: most, pad_token_type_id: type } = this.config ?? {};
    return encodeBatch(texts, options, {
      template: templateOf(this.json),
      trim: trimmer(this.json.post_processor),
      padId: this.padId,
      padTypeId: typeof type === 'number' ? type : 0,
      paddingSide: side === 'left' ? 'left' : 'right',
      maxLength: typeof most === 'number' && most < 1e9 ? most : undefined, // transformers writes 1e30 for none
      items: (text, isSecond) => this.#items(text, Number(isSecond)),
    });
  }

  applyChatTemplate(
    messages: readonly ChatMessage[],
    options: ApplyChatTemplateOptions & { tokenize: false },
  ): Promise<string>;
  applyChatTemplate(messages: readonly ChatMessage[], options?: ApplyChatTemplateOptions): Promise<number[]>;
  async applyChatTemplate(messages: readonly ChatMessage[], options: ApplyChatTemplateOptions = {}) {
    const { chatRendering, namedTokens, renderChat } = await import('./render-chat.js');
    const tokens = { ...this.#foundTokens(), ...namedTokens(this.config ?? {}) };
    const text = renderChat(chatRendering(this.chatTemplate, messages, options, tokens));
    return (options.tokenize ?? true) ? this.encode(text) : text;
  }

  /** Special tokens that the file itself shows, by the names of a config. */
  #foundTokens(): Record<string, string> {
    const found = { bos_token: this.bosId, eos_token: this.eosId, unk_token: this.unkId, pad_token: this.padId };
    const known = Object.entries(found).flatMap(([name, id]) => {
      const token = id === undefined ? undefined : this.idToToken(id);
      return token === undefined ? [] : [[name, token]];
    });
    return Object.fromEntries(known);
  }

  #items(text: string, type: number): Item[] {
    const characters = charactersBefore(text);
    return this.parts.traceTokens(this.engine, this.json, text).map(({ token, text: own, start, end, word }) => {
      const id = this.#idOfTraced(token);
      if (id === undefined) this.encode(text); // which throws
      const offset = [characters[start] as number, characters[end] as number] as const;
      return { id: id as number, token: own, type, special: 0, offset, word };
    });
  }

  /** As the engine: what has no id is unknown text. */
  #idOfTraced(token: string): number | undefined {
    return this.engine.token_to_id(token) ?? this.engine.model.unk_token_id ?? undefined;
  }

  tokenToId(token: string): number | undefined {
    return this.engine.token_to_id(token);
  }

  idToToken(id: number): string | undefined {
    return this.engine.id_to_token(id);
  }

  toJSON(): TokenizerJson {
    return this.json;
  }

  #encoded(text: string, add_special_tokens = false) {
    return this.engine.encode(text, { add_special_tokens });
  }

  #placeOfUnknown(text: string): number | undefined {
    const { ids, tokens } = this.#encoded(text);
    return placeOfLast(text, tokens.slice(0, 1 + ids.findIndex(isUnknown)));
  }

  #idOf(configured: ConfiguredToken | undefined, found: string | undefined): number | undefined {
    const token = contentOf(configured) ?? found;
    return token === undefined ? undefined : this.engine.token_to_id(token);
  }
}

/** What the engine gives for text without a token: null in Unigram models. */
function isUnknown(id: number | null | undefined): boolean {
  return typeof id !== 'number';
}

/**
 * Where the last of the tokens that a text begins with is, in code points. Undefined if it cannot be known, as the
 * tokens are not written as the text is: one after another, or after white space.
 */
function placeOfLast(text: string, tokens: readonly string[]): number | undefined {
  const space = /\p{White_Space}*/uy;
  let start: number | undefined;
  for (const token of tokens) {
    if (!text.startsWith(token, space.lastIndex)) space.test(text);
    start = space.lastIndex;
    if (!text.startsWith(token, start)) return undefined;
    space.lastIndex = start + token.length;
  }
  return start === undefined ? undefined : codePointsBefore(text, start);
}

/** For each place in UTF-16 units, how many characters are before it. */
function charactersBefore(text: string): Int32Array {
  const before = new Int32Array(text.length + 1);
  let count = 0;
  let unit = 0;
  for (const character of text) {
    before.fill(count, unit, unit + character.length);
    unit += character.length;
    count++;
  }
  before[unit] = count;
  return before;
}
