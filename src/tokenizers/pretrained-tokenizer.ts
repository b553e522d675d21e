import type { BatchEncoding, EncodeBatchOptions } from './batch-encoding.js';
import type { ApplyChatTemplateOptions, ChatMessage, ChatTemplate } from './chat-template.js';
import type { Tokenizer } from './tokenizer.js';

/** A tokenizer that was loaded. */
export interface PretrainedTokenizer extends Tokenizer {
  /**
   * Texts, or pairs of them, as a model reads them: with special tokens, cut and padded if wanted, and where each token
   * comes from. Throws ArgumentError for options that make no sense, UnknownTokenError as `encode`.
   */
  encodeBatch(texts: readonly string[], options?: EncodeBatchOptions): BatchEncoding;
  /**
   * Same as `encode`, giving way to the event loop while a long text is tokenized: in slices where the tokenizer allows
   * it.
   */
  encodeAsync(text: string, options?: { addSpecial?: boolean | undefined }): Promise<number[]>;
  /** Same as `encodeBatch`, giving way to the event loop between texts and slices. */
  encodeBatchAsync(texts: readonly string[], options?: EncodeBatchOptions): Promise<BatchEncoding>;
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
