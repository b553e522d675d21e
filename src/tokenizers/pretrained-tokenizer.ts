import type { BatchEncoding, EncodeBatchOptions } from './batch-encoding.js';
import type { ApplyChatTemplateOptions, ChatMessage, ChatTemplate } from './chat-template.js';
import type { Tokenizer } from './tokenizer.js';

/** A tokenizer of a pretrained model, made from a tokenizer.json. */
export interface PretrainedTokenizer extends Tokenizer {
  /**
   * Encodes texts, or pairs of texts, as a model reads them: with special tokens, truncation, padding and offsets.
   * Throws ArgumentError for options that contradict each other, and UnknownTokenError as `encode`.
   */
  encodeBatch(texts: readonly string[], options?: EncodeBatchOptions): BatchEncoding;
  /** Like `encode`, but yields to the event loop during long texts, if the tokenizer can process them in slices. */
  encodeAsync(text: string, options?: { addSpecial?: boolean | undefined }): Promise<number[]>;
  /** Like `encodeBatch`, but yields to the event loop between texts and slices. */
  encodeBatchAsync(texts: readonly string[], options?: EncodeBatchOptions): Promise<BatchEncoding>;
  /**
   * Decodes `ids`. Special tokens are omitted unless `skipSpecial` is false. `cleanUp` removes spaces before
   * punctuation and English contractions. Its default is the config's `clean_up_tokenization_spaces`. Byte-level
   * tokenizers need no clean-up, because their tokens contain the spaces.
   */
  decode(ids: Iterable<number>, options?: { skipSpecial?: boolean | undefined; cleanUp?: boolean | undefined }): string;
  /** Decodes several rows of ids; see `decode`. */
  batchDecode(
    batch: readonly Iterable<number>[],
    options?: { skipSpecial?: boolean | undefined; cleanUp?: boolean | undefined },
  ): string[];
  /** The template of conversations: `chat_template` of the config, or null. */
  chatTemplate: ChatTemplate | null;
  /**
   * Renders a conversation by `chatTemplate` as ids, or as text with `tokenize: false`. The first call loads the
   * renderer.
   *
   * ```ts
   * const ids = await tokenizer.applyChatTemplate([{ role: 'user', content: 'Hello!' }], { addGenerationPrompt: true });
   * ```
   *
   * Throws ArgumentError for a missing template, contradicting options, or messages that the template refuses. Throws
   * FormatError for a template that cannot be rendered, and UnknownTokenError as `encode`.
   */
  applyChatTemplate(
    messages: readonly ChatMessage[],
    options: ApplyChatTemplateOptions & { tokenize: false },
  ): Promise<string>;
  applyChatTemplate(
    messages: readonly ChatMessage[],
    options?: ApplyChatTemplateOptions & { tokenize?: true | undefined },
  ): Promise<number[]>;
  /** @internal Loads what chat templates need. Returns a function that renders a conversation as text. */
  chatRenderer(): Promise<(messages: readonly ChatMessage[], options: ApplyChatTemplateOptions) => string>;
}
