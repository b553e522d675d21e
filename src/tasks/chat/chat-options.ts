import { checkKnown, checkMethod, checkOptions, describeValue, isObject } from '../../core/check.js';
import { ArgumentError, SimdformerError } from '../../core/errors.js';
import type { FinishReason, GenerateOptions } from '../../generate/generate-options.js';
import type { Generative } from '../../generate/generative.js';
import { OPTION_RULES } from '../../generate/option-rules.js';
import { checkKinds } from '../../generate/settings.js';
import { CACHE_TYPES, type CacheType } from '../../ops/kv-cache.js';
import { checkMessages, toolsOf } from '../../tokenizers/chat-options.js';
import type { PretrainedTokenizer } from '../../tokenizers/huggingface.js';
import type { ChatMessage, ChatTool, ChatTools } from '../../tokenizers/index.js';
import type { ToolCall } from './tool-calls.js';

/** A decoder-only model with its tokenizer, as `loadModel` returns it. */
export interface ChatModel extends Generative {
  readonly tokenizer: PretrainedTokenizer | null;
}

/** Options of `generate` that `send` accepts: all except those that the conversation sets itself. */
export type ChatGenerateOptions = Omit<
  GenerateOptions,
  | (
      | 'cache'
      | 'cacheType'
      | 'numBeams'
      | 'numReturnSequences'
      | 'lengthPenalty'
      | 'earlyStopping'
      | 'cropContext'
      | 'batchSize'
    )
  | ('maxLength' | 'minLength' | 'decoderStartTokenId' | 'prefix' | 'outputAttentions')
>;

/** Values of `whenFull`; the first one is the default. */
export const WHEN_FULL = ['refuse', 'shift'] as const;
export type WhenFull = (typeof WHEN_FULL)[number];

export interface ChatOptions {
  /** The system message. Default: none. */
  system?: string | undefined;
  /** Tools that the model may call, if its template supports them. Default: none. */
  tools?: ChatTools | undefined;
  /** Messages to continue from, without the system message. Default: none. */
  messages?: readonly ChatMessage[] | undefined;
  /** Maximum number of tokens of the context. Memory grows with the conversation. Default: the model's maxLength. */
  maxLength?: number | undefined;
  /**
   * Type of the cached keys and values, see `generate`. Forks and restored conversations have the same type. Default:
   * the model's `cacheType`.
   */
  cacheType?: CacheType | undefined;
  /**
   * Action if a message leaves no room for an answer. 'refuse': `send` throws ContextFullError, and the conversation
   * stays unchanged. 'shift': the oldest turns are hidden from the model, as few as possible; the system message and
   * `messages` stay. Default: 'refuse', here and in the command line.
   */
  whenFull?: WhenFull | undefined;
  /** A template in Jinja. Default: the tokenizer's. */
  chatTemplate?: string | undefined;
  /** Other variables of the template, such as `{ enable_thinking: false }`. Default: none. */
  variables?: Readonly<Record<string, unknown>> | undefined;
  /** Defaults for the options of `send`. Default: the model's own settings. */
  generation?: ChatGenerateOptions | undefined;
}

/** An answer of the model. */
export interface ChatAnswer {
  /** The text without tool calls. */
  readonly text: string;
  /** Tool calls in order; [] if there are none. */
  readonly toolCalls: readonly ToolCall[];
  /** 'length' stands for maxNewTokens or the end of the context. */
  readonly finishReason: FinishReason;
  /** Number of tokens of the prompt. */
  readonly promptTokens: number;
  /** Number of tokens of the prompt that were not read again. */
  readonly cachedTokens: number;
  readonly newTokens: number;
  /** Number of turns that were hidden from the model, with `whenFull: 'shift'`. */
  readonly hiddenTurns: number;
}

/** Thrown if a conversation is so long that the context has no room for an answer. */
export class ContextFullError extends SimdformerError {
  override get name() {
    return 'ContextFullError';
  }

  constructor(
    /**
     * Number of tokens of the conversation with its newest message, or fewer if the text is too long to be tokenized.
     */
    readonly tokens: number,
    /** Maximum number of tokens of the context. */
    readonly maxLength: number,
    /** Number of tokens that the answer needs. */
    readonly wanted: number,
  ) {
    super(
      `Chat: the conversation has at least ${tokens} tokens, which leaves no room for an answer of ${wanted} in a context of ` +
        `${maxLength}: rewind, begin another, or give { whenFull: 'shift' }`,
    );
  }
}

/** The options of a chat, with the tools in one form. */
export interface CheckedChatOptions extends ChatOptions {
  tools?: readonly ChatTool[];
}

export function checkChatOptions(model: ChatModel, options: ChatOptions): CheckedChatOptions {
  checkMethod('Chat', 'model', model, 'startDecoding', 'the result of loadModel');
  if (!model.tokenizer) throw new ArgumentError('Chat: the model has no tokenizer; set model.tokenizer');
  if (!model.tokenizer.chatTemplate && !options?.chatTemplate)
    throw new ArgumentError(
      'Chat: the tokenizer has no chat template: choose a model that was trained for conversations, or give { chatTemplate }',
    );
  checkOptions('Chat', options, {
    system: 'string',
    tools: 'array',
    messages: 'array',
    maxLength: 'count',
    cacheType: CACHE_TYPES,
    whenFull: WHEN_FULL,
    chatTemplate: 'string',
    variables: 'object',
    generation: 'object',
  });
  checkMessages('Chat', options.messages ?? []);
  checkGeneration(options.generation ?? {}, 'Chat: generation');
  const { tools, ...others } = options;
  return { ...others, ...(tools && { tools: toolsOf('Chat', tools) }) };
}

/** Throws ArgumentError for values of the wrong type, and for options that the conversation sets itself. */
export function checkGeneration<Options extends ChatGenerateOptions>(options: Options, op = 'Chat'): Options {
  checkOptions(op, options);
  const decided = [
    'cache',
    'cacheType',
    'numBeams',
    'numReturnSequences',
    'cropContext',
    'batchSize',
    'maxLength',
    'minLength',
  ];
  const excluded = [...decided, 'lengthPenalty', 'earlyStopping', 'decoderStartTokenId', 'prefix', 'outputAttentions'];
  const name = excluded.find((excludedName) => excludedName in options);
  if (name !== undefined) throw new ArgumentError(`${op}: ${name} is decided by the conversation: leave it out`);
  const known = Object.keys(OPTION_RULES).filter((optionName) => !excluded.includes(optionName));
  checkKnown(op, options, known as (keyof Options & string)[]);
  checkKinds(options);
  return options;
}

/** Returns the messages to send. A text becomes a message of the user. Throws ArgumentError for other values. */
export function messagesOf(message: string | ChatMessage | readonly ChatMessage[]): readonly ChatMessage[] {
  if (typeof message === 'string') return [{ role: 'user', content: message }];
  const list = Array.isArray(message) ? (message as readonly ChatMessage[]) : [message as ChatMessage];
  if (!Array.isArray(message) && !isObject(message))
    throw new ArgumentError(`Chat.send: the message is ${describeValue(message)}, expected text or { role, content }`);
  checkMessages('Chat.send', list, (i) => (Array.isArray(message) ? `message ${i}` : 'the message'));
  return list;
}
