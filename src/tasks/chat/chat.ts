import { checkNumber, isCount } from '../../core/check.js';
import { ArgumentError, DisposedError, FormatError } from '../../core/errors.js';
import { orDispose } from '../../core/or-dispose.js';
import { stream } from '../../generate/generate.js';
import type { FinishReason } from '../../generate/generate-options.js';
import type { Generative } from '../../generate/generative.js';
import { commonLength, PromptCache } from '../../generate/prompt-cache.js';
import type { ChatMessage } from '../../tokenizers/index.js';
import {
  type ChatAnswer,
  type ChatGenerateOptions,
  type ChatModel,
  type ChatOptions,
  checkChatOptions,
  checkGeneration,
  messagesOf,
} from './chat-options.js';
import { type Context, contextOf, NOTHING, type Read, turnsOf } from './context.js';
import { checkSavedChat, type SavedChat, savedChat } from './saved-chat.js';
import { stopsOf } from './stops.js';
import { TextStream } from './text-stream.js';
import { CALL_MARKS, CallFilter, parseToolCalls } from './tool-calls.js';

/** Tokens that are worth copying from another conversation instead of reading them. */
const WORTH_SHARING = 16;

/** The conversations with each model: those that begin alike read that once. */
const conversations = new WeakMap<Generative, Set<PromptCache>>();

/**
 * A conversation with a model. Template, stop tokens and settings of generation are the model's; what it has read and
 * written stays in memory, so that it reads no more than what is new.
 *
 * ```ts
 * const chat = new Chat(model, { system: 'You are terse.' });
 * for await (const piece of chat.send('Why is the sky blue?')) process.stdout.write(piece);
 * ```
 *
 * One answer at a time. Lives until `dispose()`, or the model's.
 */
export class Chat {
  readonly #options: ChatOptions;
  readonly #cache: PromptCache;
  readonly #stops: readonly number[];
  #messages: ChatMessage[];
  #read: Read = NOTHING;
  #answer: ChatAnswer | null = null;
  #isAnswering = false;

  /** Throws ArgumentError for options that make no sense, and for models without a tokenizer or a template. */
  constructor(
    readonly model: ChatModel,
    options: ChatOptions = {},
  ) {
    const { messages = [], ...others } = checkChatOptions(model, options);
    this.#options = others;
    this.#messages = messages.length > 0 ? [...messagesOf(messages)] : [];
    const template = options.chatTemplate ?? JSON.stringify(model.tokenizer?.chatTemplate);
    this.#stops = stopsOf(model, template);
    this.#cache = new PromptCache(model, { maxLength: options.maxLength, cache: options.cache });
    const known = conversations.get(model) ?? new Set();
    conversations.set(model, known.add(this.#cache));
  }

  /** What was said, without the system's message, as templates take it. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** The latest answer; null before the first, and after `rewind`. */
  get answer(): ChatAnswer | null {
    return this.#answer;
  }

  /** Tokens that the model has in memory. */
  get length(): number {
    return this.#cache.tokens.length;
  }

  /**
   * Says something, a user's text or messages such as `{ role: 'tool', content, tool_call_id }`, and gives the answer
   * piece by piece, never half a character and without calls of tools; what the iterator returns at its end is the whole
   * of it, and so is `answer` then. Options are those of `generate`.
   *
   * Leaving the loop, or `signal`, ends the answer: what there is of it stays in the conversation; if there is nothing,
   * so does the message that was sent. Throws ContextFullError, what the template refuses, the signal's reason, and what
   * `generate` throws.
   */
  async *send(
    message: string | ChatMessage | readonly ChatMessage[],
    options: ChatGenerateOptions = {},
  ): AsyncGenerator<string, ChatAnswer, void> {
    const said = messagesOf(message);
    const generation = checkGeneration({ ...this.#options.generation, ...options });
    this.#begin('send');
    try {
      return yield* this.#respond([...this.#messages, ...said], generation);
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
      messages,
      this.#read,
      maxLength,
      this.#wanted(generation),
    );
    this.#share(context.ids);
    const cachedTokens = commonLength(this.#cache.tokens, context.ids);
    const hasTools = (this.#options.tools?.length ?? 0) > 0;
    const [text, filter] = [new TextStream(tokenizer), hasTools ? new CallFilter() : null];
    const marks = new Set(hasTools ? CALL_MARKS.map((mark) => tokenizer.tokenToId(mark)) : []);
    const pass = (piece: string) => filter?.push(piece) ?? piece;
    const ids: number[] = [];
    let finishReason: FinishReason | null = null;
    const done = () => this.#finish(messages, context, ids, finishReason ?? 'length', cachedTokens);
    try {
      const room = maxLength - context.ids.length + 1;
      const own = this.model.generationConfig?.maxNewTokens ?? Number.POSITIVE_INFINITY;
      const maxNewTokens = generation.maxNewTokens ?? Math.min(room, own);
      const events = stream(this.model, [context.ids], {
        ...{ stopTokens: this.#stops, ...generation, maxNewTokens: Math.min(room, maxNewTokens) },
        cache: this.#cache,
      });
      for (;;) {
        const event = await events.next();
        if (event.done) {
          finishReason = event.value.finishReasons[0] as FinishReason;
          break;
        }
        const { token } = event.value;
        ids.push(token);
        if (marks.has(token)) filter?.close();
        const piece = pass(text.push(token));
        if (piece === '') continue;
        let isLeft = true;
        try {
          yield piece;
          isLeft = false;
        } finally {
          if (isLeft) await events.return(undefined as never);
        }
      }
      const rest = pass(text.end());
      if (rest !== '') yield rest;
    } finally {
      if (finishReason === null && ids.length > 0) done();
    }
    const answer = done();
    const held = answer.toolCalls.length > 0 ? '' : (filter?.end() ?? '');
    if (held !== '') yield held;
    return answer;
  }

  /** Takes what was written for the answer. */
  #finish(
    messages: readonly ChatMessage[],
    context: Context,
    ids: readonly number[],
    finishReason: FinishReason,
    cachedTokens: number,
  ): ChatAnswer {
    const { tools = [] } = this.#options;
    const decode = (skipSpecial: boolean) => this.model.tokenizer?.decode(ids, { skipSpecial }) ?? '';
    const names = tools.map(({ function: { name } }) => name);
    const before = messages.reduce((count, { tool_calls: calls }) => count + (calls?.length ?? 0), 0);
    const { text, calls } = tools.length > 0 ? parseToolCalls(decode(false), names, before) : { text: '', calls: [] };
    const said = calls.length > 0 ? text : decode(true);
    const toolCalls = calls.map(({ id, name, arguments: args }) => {
      return { id, type: 'function' as const, function: { name, arguments: args } };
    });
    this.#messages = [
      ...messages,
      { role: 'assistant', content: said, ...(calls.length > 0 ? { tool_calls: toolCalls } : {}) },
    ];
    this.#read = { ids: [...context.ids, ...ids], text: context.text + decode(false) };
    this.#answer = {
      text: said,
      toolCalls: calls,
      finishReason,
      promptTokens: context.ids.length,
      cachedTokens: Math.min(cachedTokens, context.ids.length - 1),
      newTokens: ids.length,
      hiddenTurns: context.hiddenTurns,
    };
    return this.#answer;
  }

  /** Tokens that an answer is to have room for: what is asked for; else a sixteenth of the context. */
  #wanted({ maxNewTokens }: ChatGenerateOptions): number {
    const { maxLength } = this.#cache;
    return Math.min(maxNewTokens ?? Math.ceil(maxLength / 16), maxLength);
  }

  /** Takes the beginning from another conversation that is alike, if that is worth it. */
  #share(ids: readonly number[]): void {
    const own = commonLength(this.#cache.tokens, ids);
    let best: PromptCache | null = null;
    let most = own + WORTH_SHARING;
    for (const other of conversations.get(this.model) ?? []) {
      const isOther = other !== this.#cache && other.type === this.#cache.type;
      const common = !isOther || other.isBusy ? 0 : commonLength(other.tokens, ids);
      if (common >= most) [best, most] = [other, common];
    }
    if (best !== null) this.#cache.share(best, ids);
  }

  /** Another conversation that begins as this one, and goes its own way. Throws OutOfMemoryError. */
  fork(): Chat {
    this.#assertFree('fork');
    const fork = new Chat(this.model, { ...this.#options, messages: this.#messages });
    orDispose(fork, () => fork.#cache.begin(this.#cache));
    fork.#read = this.#read;
    fork.#answer = this.#answer;
    return fork;
  }

  /** Takes back the newest `turns`: a message of the user's, and what came after it. */
  rewind(turns = 1): void {
    this.#assertFree('rewind');
    const all = turnsOf(this.#messages);
    const isThere = (n: number) => isCount(n) && n <= all.length;
    checkNumber('Chat.rewind', 'turns', turns, isThere, `1 to ${all.length}, as many as there are`);
    this.#messages = all.slice(0, all.length - turns).flat();
    this.#read = NOTHING;
    this.#answer = null;
  }

  /** Forgets all that was said; the system's message stays. */
  reset(): void {
    this.#assertFree('reset');
    this.#messages = [];
    this.#read = NOTHING;
    this.#answer = null;
  }

  /**
   * Writes the conversation to a file of JSON, for `Chat.restore`; it is replaced whole, or stays. Node, Deno and Bun;
   * pages keep `toJSON()`. Throws the file system's errors.
   */
  async save(path: string | URL): Promise<void> {
    const { writeAtomically } = await import('../../io/atomic-write.js');
    const { nodeModule } = await import('../../backend/node.js');
    const { fileURLToPath } = await nodeModule<typeof import('node:url')>('url');
    const bytes = new TextEncoder().encode(`${JSON.stringify(this.toJSON(), null, 1)}\n`);
    await writeAtomically(new Map([[path instanceof URL ? fileURLToPath(path) : path, [bytes]]]));
  }

  /** What `save` writes. */
  toJSON(): SavedChat {
    return savedChat(this.#options, this.#messages, this.#read, this.model.vocabSize);
  }

  /**
   * The conversation of a file that `save` wrote, with the model that had it, which reads it again with the next message.
   * Throws the file system's errors, FormatError for another file, and as the constructor.
   */
  static async restore(model: ChatModel, path: string | URL): Promise<Chat> {
    const { nodeModule } = await import('../../backend/node.js');
    const { readFile } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
    let value: unknown;
    const text = await readFile(path, 'utf8');
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new FormatError(`${path} is no saved conversation: it is no JSON`, { cause });
    }
    return Chat.fromJSON(model, value, String(path));
  }

  /** As `restore`, of what `toJSON` gave; `name` is for errors. */
  static fromJSON(model: ChatModel, json: unknown, name = 'Chat.fromJSON: json'): Chat {
    const { options, messages, read, vocabSize } = checkSavedChat(name, json);
    const chat = new Chat(model, { ...options, messages });
    // Ids mean the same with the same vocabulary alone.
    if (vocabSize === model.vocabSize && read.ids.every((id) => id < vocabSize)) chat.#read = read;
    return chat;
  }

  /** Frees the memory of what was read. */
  dispose(): void {
    conversations.get(this.model)?.delete(this.#cache);
    this.#cache.dispose();
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
