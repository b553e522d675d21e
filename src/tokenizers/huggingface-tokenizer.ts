// The tokenizer of a tokenizer.json. This module is loaded, with all readers, when the first tokenizer is made.

import { checkOptions, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { yieldToEventLoop } from '../core/yield-to-event-loop.js';
import {
  type BatchEncoding,
  type BatchSettings,
  checkedTexts,
  type EncodeBatchOptions,
  encodeBatch,
  tokensRead,
} from './batch-encoding.js';
import { prepareBytePairs } from './byte-pairs.js';
import { type ApplyChatTemplateOptions, type ChatMessage, type ChatTemplate, chatTemplateOf } from './chat-template.js';
import { Engine } from './engine.js';
import {
  type ConfiguredToken,
  contentOf,
  specialTokensOf,
  type TokenizerConfig,
  type TokenizerJson,
  typeOf,
} from './json.js';
import type { Item } from './post-processor.js';
import type { PretrainedTokenizer } from './pretrained-tokenizer.js';
import { checkText, knownIds } from './tokenizer.js';
import { prepareUnigram } from './unigram-model.js';
import { prepareWords } from './word-models.js';

export { parseJsonAsync } from '../core/parse-json.js';
export { checkTokenizerJson, checkTokenizerJsonAsync } from './check-json.js';

/** Placeholder for the ids of a text. */
const TEXT = -1;

export class HuggingFaceTokenizer implements PretrainedTokenizer {
  readonly vocabSize: number;
  readonly padId: number | undefined;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly unkId: number | undefined;
  chatTemplate: ChatTemplate | null;
  private readonly engine: Engine;

  /** Throws FormatError for unknown steps. */
  constructor(
    private readonly json: TokenizerJson,
    readonly config?: TokenizerConfig | undefined,
  ) {
    this.engine = new Engine(json);
    this.vocabSize = this.engine.size;
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
    const ids: number[] = [];
    for (const part of this.engine.itemsInParts(text, 0)) for (const { id } of part) ids.push(id);
    return this.#surrounded(ids, options.addSpecial ?? false);
  }

  async encodeAsync(text: string, options: { addSpecial?: boolean | undefined } = {}): Promise<number[]> {
    checkText('encode', text);
    checkOptions('encode', options, { addSpecial: 'boolean' });
    const ids: number[] = [];
    await yieldToEventLoop(); // many texts may be encoded at the same time
    for (const part of this.engine.itemsInParts(text, 0)) {
      for (const { id } of part) ids.push(id);
      await yieldToEventLoop();
    }
    return this.#surrounded(ids, options.addSpecial ?? false);
  }

  /** Adds the special tokens of the post-processor to ids. */
  #surrounded(ids: readonly number[], addsSpecial: boolean): number[] {
    if (!addsSpecial) return ids as number[];
    // The post-processor treats a text as a unit, so one token stands for all ids.
    const text: Item = { id: TEXT, token: '', type: 0, special: 0, offset: [0, 0], word: null };
    const around = this.engine.postProcessor.process([[[text]]], true).flatMap(([items]) => items ?? []);
    const index = around.findIndex(({ id }) => id === TEXT);
    const idsOf = (items: readonly Item[]) => items.map(({ id }) => id);
    if (index < 0) return idsOf(around);
    return [...idsOf(around.slice(0, index))].concat(ids as number[], idsOf(around.slice(index + 1)));
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
    return encodeBatch(
      texts,
      options,
      this.#batchSettings((text, type) => this.engine.items(text, type)),
    );
  }

  async encodeBatchAsync(texts: readonly string[], options: EncodeBatchOptions = {}): Promise<BatchEncoding> {
    const { textPair } = checkedTexts(texts, options);
    const max = tokensRead(
      options,
      this.#batchSettings(() => []),
    );
    const known: [Item[][], Item[][]] = [[], []];
    for (const [type, list] of [texts, textPair ?? []].entries())
      for (const text of list) {
        const items: Item[] = [];
        for (const part of this.engine.itemsInParts(text, type)) {
          for (const item of part) items.push(item);
          if (items.length > max) break;
          await yieldToEventLoop();
        }
        known[type as 0 | 1].push(items);
      }
    // encodeBatch requests the texts in order, so queues suffice. A map would have to hash long texts, which is slow.
    const items = (_: string, type: 0 | 1) => known[type].shift() as Item[];
    return encodeBatch(texts, options, this.#batchSettings(items));
  }

  #batchSettings(items: BatchSettings['items']): BatchSettings {
    const config = this.config ?? {};
    // XLNet is padded on the left, and padding tokens have a type of their own.
    const isXLNet = String(config.tokenizer_class).startsWith('XLNet');
    const { padding_side: side = isXLNet ? 'left' : 'right', pad_token_type_id: type = isXLNet ? 3 : 0 } = config;
    const { truncation_side, model_max_length: max } = config;
    return {
      postProcessor: this.engine.postProcessor,
      padId: this.padId,
      padTypeId: typeof type === 'number' ? type : 0,
      paddingSide: side === 'left' ? 'left' : 'right',
      truncationSide: truncation_side === 'left' ? 'left' : 'right',
      maxLength: typeof max === 'number' && max < 1e9 ? max : undefined, // transformers writes 1e30 for no limit
      items,
    };
  }

  applyChatTemplate(
    messages: readonly ChatMessage[],
    options: ApplyChatTemplateOptions & { tokenize: false },
  ): Promise<string>;
  applyChatTemplate(messages: readonly ChatMessage[], options?: ApplyChatTemplateOptions): Promise<number[]>;
  async applyChatTemplate(messages: readonly ChatMessage[], options: ApplyChatTemplateOptions = {}) {
    const render = await this.chatRenderer();
    await yieldToEventLoop(); // many conversations may have waited for this module
    const text = render(messages, options);
    return (options.tokenize ?? true) ? this.encodeAsync(text) : text;
  }

  /** @internal Loads what chat templates need. Returns a function that renders a conversation as text. */
  async chatRenderer(): Promise<(messages: readonly ChatMessage[], options: ApplyChatTemplateOptions) => string> {
    const { chatRendering, namedTokens, renderChat } = await import('./render-chat.js');
    return (messages, options) => {
      const tokens = { ...this.#foundTokens(), ...namedTokens(this.config ?? {}) };
      return renderChat(chatRendering(this.chatTemplate, messages, options, tokens));
    };
  }

  /** Byte-level tokens contain the spaces of the original text, so none is removed unless the config requires it. */
  #isCleanedUp(): boolean {
    const insists = this.config?.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output;
    return typeOf(this.json.model) !== 'BPE' || insists === true;
  }

  /** Returns the special tokens found in the file, by the names that a config uses. */
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

/**
 * Makes a tokenizer. Its tables are made in slices that yield to the event loop. Throws the errors of the constructor.
 */
export async function makeTokenizer(json: TokenizerJson, config?: TokenizerConfig): Promise<HuggingFaceTokenizer> {
  await yieldToEventLoop();
  const type = typeOf(json.model);
  if (type === 'BPE') await prepareBytePairs(json.model);
  else if (type === 'Unigram') await prepareUnigram(json.model);
  else await prepareWords(json.model);
  return new HuggingFaceTokenizer(json, config);
}
