import { checkOptions, describeValue, isObject } from '../core/check.js';
import { ArgumentError, FormatError, SimdformerError } from '../core/errors.js';
import type { BatchEncoding, EncodeBatchOptions } from './batch-encoding.js';
import { type ApplyChatTemplateOptions, type ChatMessage, type ChatTemplate, chatTemplateOf } from './chat-template.js';
import type { Engine } from './engine.js';
import {
  type ConfiguredToken,
  contentOf,
  specialTokensOf,
  type TokenizerConfig,
  type TokenizerJson,
  typeOf,
} from './json.js';
import { checkText, knownIds, type Tokenizer } from './tokenizer.js';

/**
 * Reads a `tokenizer.json` (its text or what it parses to) with a BPE, Unigram, WordLevel or WordPiece model, for what
 * Hugging Face's `tokenizers` in Rust makes of text: ids and where they come from, and text of ids. Truncation, padding
 * and dropout of the file are left out. `config` is the `tokenizer_config.json` beside it, if there is one; without it,
 * the tokens for pad, begin, end and unknown are found where the file itself says them.
 *
 * ```ts
 * const tokenizer = await loadTokenizer(await readFile('tokenizer.json', 'utf8'));
 * const { inputIds, offsets } = tokenizer.encodeBatch(['Hello, world!']);
 * ```
 *
 * Throws FormatError if it cannot be read or has a step that is not known, such as the pre-tokenizer UnicodeScripts,
 * ArgumentError for a path or a URL instead of what lies there, or if the config is not an object, SimdformerError if the
 * code that reads it does not load.
 */
export async function loadTokenizer(json: string | object, config?: TokenizerConfig): Promise<PretrainedTokenizer> {
  checkOptions('loadTokenizer', config ?? {});
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
  try {
    const parsed = parts.checkTokenizerJson(typeof json === 'string' ? JSON.parse(json) : json);
    return new HuggingFaceTokenizer(new parts.Engine(parsed), parsed, parts, config);
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`this tokenizer.json cannot be read: ${(cause as Error).message}`, { cause });
  }
}

/** A tokenizer that was loaded. */
export interface PretrainedTokenizer extends Tokenizer {
  /**
   * Texts, or pairs of them, as a model reads them: with special tokens, cut and padded if wanted, and where each token
   * comes from. Throws ArgumentError for options that make no sense, UnknownTokenError as `encode`.
   */
  encodeBatch(texts: readonly string[], options?: EncodeBatchOptions): BatchEncoding;
  /**
   * As of every tokenizer. `cleanUp`, by default the config's `clean_up_tokenization_spaces`, leaves out spaces before
   * punctuation and contractions of English, but not of byte pairs, whose spaces are those of the text.
   */
  decode(ids: Iterable<number>, options?: { skipSpecial?: boolean | undefined; cleanUp?: boolean | undefined }): string;
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
    this.vocabSize = engine.size;
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
    const { postProcessor } = this.engine;
    const parts = postProcessor.process([[this.engine.items(text, 0)]], options.addSpecial ?? false);
    return parts.flatMap(([items]) => (items ?? []).map(({ id }) => id));
  }

  decode(
    ids: Iterable<number>,
    options: { skipSpecial?: boolean | undefined; cleanUp?: boolean | undefined } = {},
  ): string {
    const { skipSpecial = true, cleanUp = this.config?.clean_up_tokenization_spaces === true } = checkOptions(
      'decode',
      options,
      { skipSpecial: 'boolean', cleanUp: 'boolean' },
    );
    return this.engine.decode(knownIds(this, ids), skipSpecial, cleanUp && this.#isCleanedUp());
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
    const { padding_side: side, truncation_side, model_max_length: most, pad_token_type_id: type } = this.config ?? {};
    return this.parts.encodeBatch(texts, options, {
      postProcessor: this.engine.postProcessor,
      padId: this.padId,
      padTypeId: typeof type === 'number' ? type : 0,
      paddingSide: side === 'left' ? 'left' : 'right',
      truncationSide: truncation_side === 'left' ? 'left' : 'right',
      maxLength: typeof most === 'number' && most < 1e9 ? most : undefined, // transformers writes 1e30 for none
      items: (text, type) => this.engine.items(text, type),
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

  /** Byte pairs write the spaces that the text had, so that none is cleaned away unless the config insists. */
  #isCleanedUp(): boolean {
    const insists = this.config?.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output;
    return typeOf(this.json.model) !== 'BPE' || insists === true;
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

  tokenToId(token: string): number | undefined {
    return this.engine.tokenToId(token);
  }

  idToToken(id: number): string | undefined {
    return this.engine.idToToken(id);
  }

  toJSON(): TokenizerJson {
    return this.json;
  }

  #idOf(configured: ConfiguredToken | undefined, found: string | undefined): number | undefined {
    const token = contentOf(configured) ?? found;
    return token === undefined ? undefined : this.engine.tokenToId(token);
  }
}
