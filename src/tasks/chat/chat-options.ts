import { checkArray, checkOptions, describeValue, isObject } from '../../core/check.js';
import { ArgumentError, SimdformerError } from '../../core/errors.js';
import type { FinishReason, GenerateOptions } from '../../generate/generate-options.js';
import type { Generative } from '../../generate/generative.js';
import { CACHE_TYPES, type CacheType } from '../../ops/kv-cache.js';
import type { PretrainedTokenizer } from '../../tokenizers/huggingface.js';
import type { ChatMessage, ChatTool } from '../../tokenizers/index.js';
import type { ToolCall } from './tool-calls.js';

/** A decoder-only model with its tokenizer, as `loadModel` gives it. */
export interface ChatModel extends Generative {
  readonly tokenizer: PretrainedTokenizer | null;
}

/** What `send` passes on to `generate`: all but what a conversation decides itself. */
export type ChatGenerateOptions = Omit<
  GenerateOptions,
  | ('cache' | 'numBeams' | 'numReturnSequences' | 'lengthPenalty' | 'earlyStopping' | 'cropContext' | 'batchSize')
  | ('maxLength' | 'minLength' | 'decoderStartTokenId' | 'prefix' | 'outputAttentions')
>;

/** Values of `whenFull`; the first one is the default. */
export const WHEN_FULL = ['refuse', 'shift'] as const;
export type WhenFull = (typeof WHEN_FULL)[number];

export interface ChatOptions {
  /** What the model is told before all else. Default none. */
  system?: string | undefined;
  /** What the model may call, by its template. Default none. */
  tools?: readonly ChatTool[] | undefined;
  /** A conversation to go on from, without the system's message. Default none. */
  messages?: readonly ChatMessage[] | undefined;
  /** Tokens of the context at most. Default: the model's maxLength. Memory is taken as the conversation grows. */
  maxLength?: number | undefined;
  /**
   * What keys and values are kept as, see `generate`. Forks and restored conversations keep them so, too. Default: the
   * model's `cacheType`.
   */
  cache?: CacheType | undefined;
  /**
   * Action if a message leaves no room for an answer. 'refuse': `send` throws ContextFullError, and the conversation stays
   * unchanged. 'shift': the oldest turns are hidden from the model, as few as possible; the system message and `messages`
   * stay. Default 'refuse', here and in the command line.
   */
  whenFull?: WhenFull | undefined;
  /** Another template than the tokenizer's, in Jinja. */
  chatTemplate?: string | undefined;
  /** What else the template knows, such as `{ enable_thinking: false }`. Default none. */
  variables?: Readonly<Record<string, unknown>> | undefined;
  /** How answers are written where `send` does not say it; where neither does, the model's own settings. */
  generation?: ChatGenerateOptions | undefined;
}

/** What the model has answered. */
export interface ChatAnswer {
  /** Without the calls. */
  readonly text: string;
  /** Of tools, in order; [] without any. */
  readonly toolCalls: readonly ToolCall[];
  /** 'length': maxNewTokens, or the end of the context. */
  readonly finishReason: FinishReason;
  /** Tokens of the conversation that it answers. */
  readonly promptTokens: number;
  /** Those of them that the model had read before. */
  readonly cachedTokens: number;
  readonly newTokens: number;
  /** Turns at the beginning that the model did not see, with `whenFull: 'shift'`. */
  readonly hiddenTurns: number;
}

/** A conversation that leaves no room for an answer. */
export class ContextFullError extends SimdformerError {
  override name = 'ContextFullError';

  constructor(
    /** Of the conversation with its newest message. */
    readonly tokens: number,
    /** Of the context. */
    readonly maxLength: number,
    /** That an answer was to have. */
    readonly wanted: number,
  ) {
    super(
      `Chat: the conversation has ${tokens} tokens, which leaves no room for an answer of ${wanted} in a context of ` +
        `${maxLength}: rewind, begin another, or give { whenFull: 'shift' }`,
    );
  }
}

export function checkChatOptions(model: ChatModel, options: ChatOptions): ChatOptions {
  if (!isObject(model) || typeof (model as Partial<ChatModel>).startDecoding !== 'function')
    throw new ArgumentError(`Chat: the model is ${describeValue(model)}, expected what loadModel gives`);
  if (!model.tokenizer) throw new ArgumentError('Chat: the model has no tokenizer; set model.tokenizer');
  if (!model.tokenizer.chatTemplate && !options?.chatTemplate)
    throw new ArgumentError(
      'Chat: the tokenizer has no chat template, as of models that were not made for conversations; give { chatTemplate }',
    );
  checkOptions('Chat', options, {
    system: 'string',
    tools: 'array',
    messages: 'array',
    maxLength: 'count',
    cache: CACHE_TYPES,
    whenFull: WHEN_FULL,
    chatTemplate: 'string',
    variables: 'object',
    generation: 'object',
  });
  checkGeneration(options.generation ?? {});
  return options;
}

/** That they are none which the conversation decides itself; all else is checked by `generate`. */
export function checkGeneration<Options extends ChatGenerateOptions>(options: Options): Options {
  checkOptions('Chat', options);
  const decided = ['cache', 'numBeams', 'numReturnSequences', 'cropContext', 'batchSize', 'maxLength', 'minLength'];
  const own = [...decided, 'lengthPenalty', 'earlyStopping', 'decoderStartTokenId', 'prefix', 'outputAttentions'];
  const name = own.find((each) => each in options);
  if (name === undefined) return options;
  throw new ArgumentError(`Chat: ${name} is decided by the conversation: leave it out`);
}

/** What is sent: a user's text, or messages such as the results of tools. */
export function messagesOf(message: string | ChatMessage | readonly ChatMessage[]): readonly ChatMessage[] {
  if (typeof message === 'string') return [{ role: 'user', content: message }];
  const list = Array.isArray(message) ? (message as readonly ChatMessage[]) : [message as ChatMessage];
  checkArray('Chat.send', 'the message', list, 'text, a message or several');
  for (const each of list)
    if (!isObject(each) || typeof each.role !== 'string')
      throw new ArgumentError(`Chat.send: the message is ${describeValue(each)}, expected text or { role, content }`);
  return list;
}
