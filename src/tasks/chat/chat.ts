import { checkNumber, checkOptions, isCount } from '../../core/check.js';
import { ArgumentError, DisposedError, FormatError } from '../../core/errors.js';
import { orDispose } from '../../core/or-dispose.js';
import { canShare } from '../../generate/continuous-batching/shared-batch.js';
import { stream, withFormat } from '../../generate/generate.js';
import type { FinishReason, GenerateOptions } from '../../generate/generate-options.js';
import { PromptCache, reusableLength } from '../../generate/prompt-cache.js';
import type { ChatMessage } from '../../tokenizers/index.js';
import { AnswerStream, answerText, hasChannels } from './answer-stream.js';
import { answerInBatch, join, leave, share } from './batched-chats.js';
import {
  type ChatAnswer,
  type ChatGenerateOptions,
  type ChatModel,
  type ChatOptions,
  type CheckedChatOptions,
  checkChatOptions,
  checkGeneration,
  messagesOf,
} from './chat-options.js';
import { type Context, contextOf, NO_TEXT, type ReadTokens, turnsOf } from './context.js';
import { ConversationImages } from './conversation-images.js';
import { withoutReasoning } from './reasoning.js';
import { checkSavedChat, type SavedChat, savedChat } from './saved-chat.js';
import { stopsOf } from './stops.js';
import { CALL_MARKS, CallFilter, parseToolCalls } from './tool-calls.js';

/**
 * A conversation with a model. The model brings the template, the stop tokens and the generation settings. Everything
 * that it has read and written stays in memory, so it reads only new messages. Answers of several conversations with
 * one model that overlap in time are generated as one batch.
 *
 * ```ts
 * const chat = new Chat(model, { system: 'You are terse.' });
 * for await (const piece of chat.send('Why is the sky blue?')) process.stdout.write(piece);
 * ```
 *
 * A conversation has one answer at a time. It lives until `dispose()`, or the model's.
 */
export class Chat {
  readonly #options: CheckedChatOptions;
  readonly #cache: PromptCache;
  readonly #stops: readonly number[];
  readonly #images = new ConversationImages();
  #messages: ChatMessage[];
  #read: ReadTokens = NO_TEXT;
  #answer: ChatAnswer | null = null;
  #isAnswering = false;

  /** Throws ArgumentError for invalid options, and for models without a tokenizer or a template. */
  constructor(
    readonly model: ChatModel,
    options: ChatOptions = {},
  ) {
    const { messages = [], ...others } = checkChatOptions(model, options);
    this.#options = others;
    this.#messages = messages.length > 0 ? [...messagesOf(messages)] : [];
    this.#stops = stopsOf(model, others.chatTemplate);
    this.#cache = new PromptCache(model, { maxLength: others.maxLength, cacheType: others.cacheType });
    join(model, this.#cache);
  }

  /** The messages in the format of chat templates, without the system message. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** The latest answer; null before the first, and after `rewind`. */
  get answer(): ChatAnswer | null {
    return this.#answer;
  }

  /** Number of tokens that the model has in memory. */
  get length(): number {
    return this.#cache.tokens.length;
  }

  /**
   * Sends a user's text, or messages such as `{ role: 'tool', content, tool_call_id }`. A message for a model that
   * reads images may have parts: `content: [{ type: 'image', image }, { type: 'text', text }]`. Yields the answer in
   * pieces of whole characters, without tool calls. The iterator returns the whole answer, which is then `answer`, too.
   * Options are those of `generate`.
   *
   * Leaving the loop, or `signal`, ends the answer. The part that was written stays in the conversation; if there is
   * none, the conversation stays unchanged. Throws ContextFullError, ArgumentError for messages that the template
   * refuses, the signal's reason, and the errors of `generate`.
   */
  async *send(
    message: string | ChatMessage | readonly ChatMessage[],
    options: ChatGenerateOptions = {},
  ): AsyncGenerator<string, ChatAnswer, void> {
    const newMessages = messagesOf(message);
    const generation = checkGeneration({ ...this.#options.generation, ...checkOptions('Chat.send', options) });
    this.#begin('send');
    try {
      return yield* this.#respond([...this.#messages, ...newMessages], generation);
    } finally {
      this.#isAnswering = false;
    }
  }

  async *#respond(
    messages: readonly ChatMessage[],
    generation: ChatGenerateOptions,
  ): AsyncGenerator<string, ChatAnswer, void> {
    const { tokenizer } = this.model;
    if (tokenizer === null) throw new ArgumentError('Chat: the model has no tokenizer any more');
    const { maxLength } = this.#cache;
    const context = await contextOf(
      this.model,
      this.#options,
      { messages, read: this.#read, images: this.#images },
      { maxLength, newTokens: this.#wanted(generation) },
    );
    share(this.model, this.#cache, context.ids);
    const cachedTokens = reusableLength(this.#cache.tokens, context.ids);
    const ids: number[] = [];
    const answer: Answering = { messages, context, ids, finishReason: null, cachedTokens };
    const hasTools = (this.#options.tools?.length ?? 0) > 0;
    const [text, filter] = [new AnswerStream(tokenizer, true), hasTools ? new CallFilter() : null];
    const marks = new Set(hasTools ? CALL_MARKS.map((mark) => tokenizer.tokenToId(mark)) : []);
    const pass = (piece: string) => filter?.push(piece) ?? piece;
    const tokens = this.#tokens(context.ids, generation);
    try {
      for (;;) {
        const { value, done } = await tokens.next();
        if (done) {
          Object.assign(answer, value);
          break;
        }
        ids.push(value);
        if (marks.has(value)) filter?.close();
        const piece = pass(text.push(value));
        if (piece !== '') yield piece;
      }
      const rest = pass(text.end());
      if (rest !== '') yield rest;
    } finally {
      await tokens.return(undefined as never); // frees the cache if the caller left the loop
      if (answer.finishReason === null && ids.length > 0) this.#finish(answer);
    }
    const finished = this.#finish(answer);
    const held = finished.toolCalls.length > 0 ? '' : (filter?.end() ?? '');
    if (held !== '') yield held;
    return finished;
  }

  /** Yields the tokens of an answer to `ids`, which is generated in a batch with those of other conversations. */
  async *#tokens(ids: readonly number[], generation: ChatGenerateOptions): AsyncGenerator<number, TokensEnd, void> {
    const room = this.#cache.maxLength - ids.length + 1;
    const modelMax = this.model.generationConfig?.maxNewTokens ?? Number.POSITIVE_INFINITY;
    const maxNewTokens = Math.min(room, generation.maxNewTokens ?? Math.min(room, modelMax));
    const options: GenerateOptions = { stopTokens: this.#stops, ...generation, maxNewTokens };
    const isBatched = options.draft === undefined && canShare(this.model);
    return yield* isBatched ? this.#batchedTokens(ids, options) : this.#ownTokens(ids, options);
  }

  async *#batchedTokens(ids: readonly number[], options: GenerateOptions): AsyncGenerator<number, TokensEnd, void> {
    const { responseFormat, ...free } = options;
    const { onToken, ...batched } =
      responseFormat === undefined ? free : await withFormat(this.model, responseFormat, options);
    const { draft: _, cache: __, ...batchOptions } = batched;
    const answer = answerInBatch(this.model, this.#cache, ids, batchOptions);
    try {
      for (;;) {
        const { value, done } = await answer.next();
        if (done) return value;
        const { token, logProbability } = value;
        await onToken?.({ sequence: 0, token, logProbability });
        yield token;
      }
    } finally {
      await answer.return(undefined as never);
    }
  }

  /**
   * Yields the tokens of an answer that is generated alone, because it uses drafts or a model whose states cannot be
   * shared.
   */
  async *#ownTokens(ids: readonly number[], options: GenerateOptions): AsyncGenerator<number, TokensEnd, void> {
    const cachedTokens = reusableLength(this.#cache.tokens, ids);
    const events = stream(this.model, [[...ids]], { ...options, cache: this.#cache });
    try {
      for (;;) {
        const { value, done } = await events.next();
        if (done) return { finishReason: value.finishReasons[0] as FinishReason, cachedTokens };
        yield value.token;
      }
    } finally {
      await events.return(undefined as never);
    }
  }

  /** Adds an answer to the conversation. */
  #finish({ messages, context, ids, finishReason, cachedTokens }: Answering): ChatAnswer {
    const { tools = [] } = this.#options;
    const { tokenizer } = this.model;
    const decode = (skipSpecial: boolean) => (tokenizer ? answerText(tokenizer, ids, skipSpecial) : '');
    const names = tools.map(({ function: { name } }) => name);
    const { text, calls } = tools.length > 0 ? parseToolCalls(decode(false), names) : { text: '', calls: [] };
    const spoken = calls.length > 0 ? text : decode(true);
    const toolCalls = calls.map(({ id, name, arguments: args }) => {
      return { id, type: 'function' as const, function: { name, arguments: args } };
    });
    this.#messages = [
      ...messages,
      { role: 'assistant', ...this.#asMessage(spoken), ...(calls.length > 0 ? { tool_calls: toolCalls } : {}) },
    ];
    this.#read = {
      ids: [...context.ids, ...ids],
      text: context.text + (tokenizer?.decode(ids, { skipSpecial: false }) ?? ''),
    };
    this.#answer = {
      text: spoken,
      toolCalls: calls,
      finishReason: finishReason ?? 'length',
      promptTokens: context.ids.length,
      cachedTokens,
      newTokens: ids.length,
      hiddenTurns: context.hiddenTurns,
    };
    return this.#answer;
  }

  /**
   * Returns an answer in the format of templates. Templates with channels expect reasoning separately; others find it
   * in the text.
   */
  #asMessage(answer: string): Pick<ChatMessage, 'content'> {
    const { tokenizer } = this.model;
    if (tokenizer === null || !hasChannels(tokenizer)) return { content: answer };
    const { text, reasoning } = withoutReasoning(answer);
    return { content: text, ...(reasoning !== '' && { reasoning_content: reasoning }) };
  }

  /** Returns the number of tokens to leave room for: `maxNewTokens`, or by default a sixteenth of the context. */
  #wanted({ maxNewTokens }: ChatGenerateOptions): number {
    const { maxLength } = this.#cache;
    return Math.min(maxNewTokens ?? Math.ceil(maxLength / 16), maxLength);
  }

  /** An independent copy of the conversation. Throws OutOfMemoryError. */
  fork(): Chat {
    this.#assertFree('fork');
    const fork = new Chat(this.model, { ...this.#options, messages: this.#messages });
    orDispose(fork, () => fork.#cache.copyPrefix(this.#cache));
    fork.#read = this.#read;
    fork.#answer = this.#answer;
    return fork;
  }

  /** Removes the newest `turns`. A turn is a user's message and everything after it. */
  rewind(turns = 1): void {
    this.#assertFree('rewind');
    const all = turnsOf(this.#messages);
    const isThere = (n: number) => isCount(n) && n <= all.length;
    checkNumber('Chat.rewind', 'turns', turns, isThere, `1 to ${all.length}, as many as there are`);
    this.#messages = all.slice(0, all.length - turns).flat();
    this.#read = NO_TEXT;
    this.#answer = null;
  }

  /** Removes all messages except the system message. */
  reset(): void {
    this.#assertFree('reset');
    this.#messages = [];
    this.#read = NO_TEXT;
    this.#answer = null;
  }

  /**
   * Writes the conversation to a JSON file for `Chat.restore`. The file is replaced as a whole, or stays unchanged. For
   * Node, Deno and Bun; pages use `toJSON()`. Throws the file system's errors.
   */
  async save(path: string | URL): Promise<void> {
    const [{ writeAtomically }, { pathOf }] = await Promise.all([
      import('../../io/atomic-write.js'),
      import('../../io/folder.js'),
    ]);
    const bytes = new TextEncoder().encode(`${JSON.stringify(this.toJSON(), null, 1)}\n`);
    await writeAtomically(new Map([[await pathOf(path), [bytes]]]));
  }

  /** The content of the file that `save` writes. */
  toJSON(): SavedChat {
    if (this.#messages.some(({ content }) => Array.isArray(content) && content.some(({ type }) => type !== 'text')))
      throw new ArgumentError('Chat.save: the conversation has images, which files of conversations cannot hold');
    return savedChat(this.#options, this.#messages, this.#read, this.model.vocabSize);
  }

  /**
   * Restores a conversation from a file that `save` wrote. The model reads it again with the next message. Throws the
   * file system's errors, FormatError for any other file, and the errors of the constructor.
   */
  static async restore(model: ChatModel, path: string | URL): Promise<Chat> {
    let value: unknown;
    const [{ readWhole }, { pathOf }] = await Promise.all([import('../../io/file.js'), import('../../io/folder.js')]);
    const bytes = await readWhole(await pathOf(path));
    try {
      value = JSON.parse(bytes.toString());
    } catch (cause) {
      throw new FormatError(`${path} is not a saved conversation: it is not JSON`, { cause });
    }
    return Chat.fromJSON(model, value, String(path));
  }

  /** Same as `restore`, for the result of `toJSON`. `name` appears in errors. */
  static fromJSON(model: ChatModel, json: unknown, name = 'Chat.fromJSON: json'): Chat {
    const { options, messages, read, vocabSize } = checkSavedChat(name, json);
    const chat = new Chat(model, { ...options, messages });
    // With another vocabulary, the saved ids would mean other tokens.
    if (vocabSize === model.vocabSize && read.ids.every((id) => id < vocabSize)) chat.#read = read;
    return chat;
  }

  /** Frees the memory of the conversation. */
  dispose(): void {
    leave(this.model, this.#cache);
    this.#cache.dispose();
    this.#images.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #begin(op: string): void {
    this.#assertFree(op);
    this.#isAnswering = true;
  }

  #assertFree(op: string): void {
    if (this.#cache.isDisposed)
      throw new DisposedError(`Chat.${op}: the conversation was disposed of, or its model was`);
    if (this.#isAnswering) throw new ArgumentError(`Chat.${op}: an answer is under way; wait for its end, or leave it`);
  }
}

/** The reason why an answer ended, and the number of prompt tokens that were not read again. */
interface TokensEnd {
  readonly finishReason: FinishReason;
  readonly cachedTokens: number;
}

/** An answer that is being generated. */
interface Answering {
  readonly messages: readonly ChatMessage[];
  readonly context: Context;
  readonly ids: readonly number[];
  /** Null if the caller left the loop. */
  readonly finishReason: FinishReason | null;
  readonly cachedTokens: number;
}
