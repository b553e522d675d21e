import { ArgumentError, FormatError } from '../../../core/errors.js';
import { atOnce } from '../../../core/slices.js';
import type { Tensor } from '../../../core/tensor.js';
import { packed, TokenBatch } from '../../../nn/token-batch.js';
import { contentOf } from '../../../tokenizers/json.js';
import type { PretrainedTokenizer } from '../../../tokenizers/pretrained-tokenizer.js';
import { hasSegments } from '../../segments.js';
import { type ChatForm, chatRow } from '../chat-rows.js';
import { type EncodedTexts, InputModule, type ReadOptions, type TextFeatures, type TextTask } from '../features.js';
import { type TextReader, tokenLimit } from '../reader.js';

/** The tokens that fill queries up, as ColBERT does. */
export interface QueryExpansion {
  /** `fixed`: all queries have `length` tokens. `min`: longer queries keep their tokens. */
  readonly strategy: 'fixed' | 'min';
  readonly length: number;
  /** True if other tokens attend to them. */
  readonly attend: boolean;
  /** Null: the tokenizer's mask, or its end of text. */
  readonly token: string | null;
}

export interface ReadingSettings {
  /** Maximum number of tokens of a text. Null: the limit of the model and its tokenizer. */
  readonly maxTokens?: number | null;
  /** Maximum number of tokens for this task only. */
  readonly queryTokens?: number | null;
  readonly documentTokens?: number | null;
  readonly expansion?: QueryExpansion | null;
  /** True to make texts lower case. */
  readonly lowercase?: boolean;
  /** Texts that prompts begin with and that are one token each, which the tokenizer would split. */
  readonly markers?: readonly string[];
  /** False to leave out [CLS], [SEP] and the like. */
  readonly addSpecialTokens?: boolean;
  /** True to leave out unknown words. */
  readonly dropsUnknown?: boolean;
  /** If given, texts are messages of a user in the tokenizer's chat template, and the prompt is the system's. */
  readonly chat?: ChatForm | null;
}

/** Reads texts with a tokenizer and a model. */
export class Transformer extends InputModule {
  override readonly ownLimit: number | null;
  readonly #model: TextReader;
  readonly #settings: ReadingSettings;
  /** Tokens of prompts, whose length some poolings need. */
  readonly #promptTokens = new Map<string, Promise<number>>();
  /** A model that belongs only to this module, not to the model that contains the module. */
  readonly #owned: { dispose(): void } | null;

  constructor(model: TextReader, settings: ReadingSettings = {}, owned: { dispose(): void } | null = null) {
    super();
    this.#model = model;
    this.#settings = settings;
    this.ownLimit = settings.maxTokens ?? null;
    this.#owned = owned;
  }

  get model(): TextReader {
    return this.#model;
  }

  override get maxTokens(): number {
    return Math.min(this.#settings.maxTokens ?? tokenLimit(this.#model), this.#model.maxLength);
  }

  override token(id: number): string | undefined {
    return this.#model.tokenizer?.idToToken(id);
  }

  override async encode(
    texts: readonly string[],
    { prompt, task, secondTexts, truncate = true }: ReadOptions,
  ): Promise<EncodedTexts> {
    const { expansion = null, chat = null } = this.#settings;
    if (chat)
      return this.#conversations(
        texts,
        prompt,
        truncate ? this.#limit(task, null) : Number.POSITIVE_INFINITY,
        chat,
        secondTexts,
      );
    const promptTokens = prompt === '' ? 0 : await this.#lengthOf(prompt);
    const expanded = task === 'query' ? expansion : null;
    const limit = truncate ? this.#limit(task, expanded) : Number.POSITIVE_INFINITY;
    const rows = await this.#rowsOf(texts, prompt, limit, secondTexts);
    const encoded = { ...rows, promptTokens, attentionMask: null };
    return expanded === null ? encoded : this.#expanded(encoded, expanded);
  }

  override read(encoded: EncodedTexts, task: TextTask): TextFeatures {
    return atOnce(this.readInParts(encoded, task));
  }

  override *readInParts(encoded: EncodedTexts, task: TextTask): Generator<unknown, TextFeatures> {
    const model = this.#model;
    const { attentionMask } = encoded;
    // The first row of the table stands for a text without tokens. Poolings count those of `encoded`.
    const [inputIds, tokenTypeIds] = [
      withARow(encoded.inputIds),
      encoded.tokenTypeIds && withARow(encoded.tokenTypeIds),
    ];
    const batch = TokenBatch.from(model.device, 'inputIds', packed(inputIds), null);
    const isRead = tokenTypeIds && hasSegments(model) && tokenTypeIds.some((row) => row.some((type) => type !== 0));
    const types = isRead ? { tokenTypeIds } : {};
    const ids = attentionMask === null ? { inputIds: batch } : { inputIds, attentionMask };
    // sentence-transformers passes all layers on if the model's config asks for them.
    const layers = model.config.output_hidden_states === true ? [] : undefined;
    const features = yield* model.featuresInParts({ ...ids, ...types }, layers);
    const tokens = this.#predicted(features, batch);
    return {
      encoded,
      task,
      batch,
      tokens,
      sentence: model.textVectors?.(features, batch) ?? null,
      isSparse: false,
      maxActiveDims: null,
      compared: null,
      layers,
    };
  }

  /** Output of a head that predicts words, for features. */
  #predicted(features: Tensor, batch: TokenBatch): Tensor {
    const { head, headKind } = this.#model;
    return headKind === 'masked-language-model' && head ? head.forward(features, batch) : features;
  }

  protected override release(): void {
    this.#owned?.dispose();
  }

  #limit(task: TextTask, expansion: QueryExpansion | null): number {
    const { queryTokens = null, documentTokens = null } = this.#settings;
    const max = this.#model.maxLength;
    if (expansion?.strategy === 'fixed') return Math.min(expansion.length, max);
    const taskMax = (task === 'query' ? queryTokens : task === 'document' ? documentTokens : null) ?? this.maxTokens;
    return Math.min(Math.max(taskMax, expansion?.length ?? 0), max);
  }

  /** sentence-transformers does not tell how long the prompt is in a conversation, either. */
  async #conversations(
    texts: readonly string[],
    prompt: string,
    limit: number,
    chat: ChatForm,
    secondTexts?: readonly string[],
  ): Promise<EncodedTexts> {
    const inputIds: number[][] = [];
    for (const [i, text] of texts.entries()) {
      const other = secondTexts?.[i];
      const pair = other === undefined ? [text] : [text, other];
      inputIds.push(await chatRow(this.#tokenizer(), pair, prompt, limit, chat));
    }
    return { inputIds, tokenTypeIds: null, promptTokens: 0, attentionMask: null };
  }

  async #rowsOf(texts: readonly string[], prompt: string, limit: number, secondTexts?: readonly string[]) {
    const { lowercase = false, addSpecialTokens = true, dropsUnknown = false } = this.#settings;
    const tokenizer = this.#tokenizer();
    const marker = this.#markerOf(prompt);
    const written = texts.map((text) => prompt.slice(marker?.text.length ?? 0) + text);
    const limits = Number.isFinite(limit)
      ? ({ truncation: true, maxLength: limit - (marker ? 1 : 0) } as const)
      : { truncation: false };
    const { inputIds, tokenTypeIds, specialTokensMask } = await tokenizer.encodeBatchAsync(
      lowercase ? written.map((text) => text.toLowerCase()) : written,
      { ...limits, addSpecialTokens, returnOffsets: false, ...(secondTexts && { textPair: secondTexts }) },
    );
    if (marker)
      for (const [i, row] of inputIds.entries()) {
        const index = specialTokensMask[i]?.[0] === 1 ? 1 : 0;
        row.splice(index, 0, marker.id);
        tokenTypeIds[i]?.splice(index, 0, 0);
      }
    const known = dropsUnknown ? inputIds.map((row) => row.filter((id) => id !== tokenizer.unkId)) : inputIds;
    return { inputIds: known, tokenTypeIds: dropsUnknown ? null : tokenTypeIds };
  }

  /** The marker that a prompt begins with, and its id; null if the vocabulary has none. */
  #markerOf(prompt: string): { text: string; id: number } | null {
    const tokenizer = this.#tokenizer();
    for (const marker of this.#settings.markers ?? []) {
      if (marker === '' || !prompt.startsWith(marker)) continue;
      // PyLate stores a marker with a space after it, ColBERT without.
      for (const token of [marker, marker.split(/\s/)[0] as string]) {
        const id = tokenizer.tokenToId(token);
        if (id !== undefined && id !== tokenizer.unkId) return { text: marker, id };
      }
    }
    return null;
  }

  /** The number of tokens that a prompt has before a text. A special token at its end is not counted. */
  #lengthOf(prompt: string): Promise<number> {
    const known = this.#promptTokens.get(prompt);
    if (known) return known;
    const length = this.#rowsOf([''], prompt, this.maxTokens).then(({ inputIds }) => {
      const row = inputIds[0] as number[];
      return row.length - (this.#isSpecial(row.at(-1)) ? 1 : 0);
    });
    this.#promptTokens.set(prompt, length);
    return length;
  }

  #isSpecial(id: number | undefined): boolean {
    const tokenizer = this.#tokenizer();
    if (id === undefined) return false;
    const added = tokenizer.toJSON().added_tokens as readonly { id: number; special?: boolean }[] | undefined;
    return added?.some((token) => token.id === id && token.special === true) ?? false;
  }

  #expanded(encoded: EncodedTexts, { length, attend, token }: QueryExpansion): EncodedTexts {
    const id = this.#expansionId(token);
    const missing = encoded.inputIds.map((row) => Math.max(0, length - row.length));
    const filled = (rows: EncodedTexts['inputIds'], value: number) =>
      rows.map((row, i) => [...row, ...new Array<number>(missing[i] as number).fill(value)]);
    const mask = encoded.inputIds.map((row) => row.map(() => 1));
    const isHidden = !attend && missing.some((count) => count > 0);
    if (isHidden && this.#model.encoder === null)
      throw new ArgumentError('encodeTokens: expanded queries whose tokens are not attended to need an encoder');
    return {
      ...encoded,
      inputIds: filled(encoded.inputIds, id),
      tokenTypeIds: encoded.tokenTypeIds && filled(encoded.tokenTypeIds, 0),
      attentionMask: isHidden ? filled(mask, 0) : null,
    };
  }

  #expansionId(token: string | null): number {
    const tokenizer = this.#tokenizer();
    const { mask_token: mask } = (tokenizer.config ?? {}) as { mask_token?: string | { content: string } };
    const name = token ?? contentOf(mask as Parameters<typeof contentOf>[0]) ?? null;
    const id = name === null ? tokenizer.eosId : tokenizer.tokenToId(name);
    if (id !== undefined) return id;
    throw new FormatError(`encodeTokens: the tokenizer has no token ${name ?? 'of the end'} to expand queries with`);
  }

  #tokenizer(): PretrainedTokenizer {
    const { tokenizer } = this.#model;
    if (tokenizer) return tokenizer;
    throw new FormatError("encode: the model's folder has no tokenizer, expected tokenizer.json beside config.json");
  }
}

/** Rows with at least one number. */
const withARow = (rows: EncodedTexts['inputIds']) => rows.map((row) => (row.length === 0 ? [0] : row));
