import { checkOptions } from '../core/check.js';
import { type AnswerEnd, type AnswerPlan, planAnswer, streamAnswer, tokenizerOf } from '../frameworks/answer.js';
import { streamOf } from '../frameworks/stream-of.js';
import type { Tool } from '../frameworks/tool-formats.js';
import type { ChatGenerateOptions, ChatModel } from '../tasks/index.js';
import type { ChatMessage } from '../tokenizers/index.js';
import {
  type CreateOptions,
  checkPrompt,
  formatOf,
  initialMessages,
  messagesOf,
  type PromptInput,
  type PromptOptions,
  samplingFor,
  toolsOf,
} from './prompt-input.js';

/** Maximum number of answers in a row that may call tools. */
const MAX_ROUNDS = 16;

/** Cancels the call that receives it. */
export interface SignalOption {
  readonly signal?: AbortSignal | undefined;
}

interface State {
  readonly messages: readonly ChatMessage[];
  readonly usage: number;
}

/** A conversation with the methods and events of the Prompt API's `LanguageModel`. Prompts run one after the other. */
export interface LanguageModelSession extends EventTarget {
  /** Number of tokens that fit into the context. */
  readonly contextWindow: number;
  /** Number of tokens of the conversation. */
  readonly contextUsage: number;
  /** Earlier name of `contextWindow`. */
  readonly inputQuota: number;
  /** Earlier name of `contextUsage`. */
  readonly inputUsage: number;
  /** Called when the oldest messages were removed because the context was full. */
  oncontextoverflow: ((event: Event) => unknown) | null;
  /**
   * Answers, and adds both messages to the conversation. A prompt that fails leaves the conversation unchanged. Rejects
   * with ArgumentError, or with the reason of the signal. Rejects with an InvalidStateError after `destroy()`, and with
   * a QuotaExceededError for a prompt that is longer than the context.
   */
  prompt(input: PromptInput, options?: PromptOptions): Promise<string>;
  /** Same as `prompt`, as a stream of pieces. */
  promptStreaming(input: PromptInput, options?: PromptOptions): ReadableStream<string>;
  /** Adds messages without asking for an answer. Rejects as `prompt` does. */
  append(input: PromptInput, options?: SignalOption): Promise<void>;
  /** Number of tokens that `input` would add. */
  measureContextUsage(input: PromptInput): Promise<number>;
  /** Earlier name of `measureContextUsage`. */
  measureInputUsage(input: PromptInput): Promise<number>;
  /** An independent session that continues this conversation. `signal` ends the new session. */
  clone(options?: SignalOption): Promise<LanguageModelSession>;
  /** Ends the session and its prompts. */
  destroy(): void;
}

/** A session on a model of this package. */
export class LocalSession extends EventTarget implements LanguageModelSession {
  oncontextoverflow: ((event: Event) => unknown) | null = null;
  readonly #tools: readonly Tool[];
  readonly #generation: ChatGenerateOptions;
  readonly #end = new AbortController();
  #state: State;
  #last: Promise<void> = Promise.resolve();

  private constructor(
    private readonly model: ChatModel,
    private readonly options: CreateOptions,
    state: State,
  ) {
    super();
    this.#state = state;
    this.#tools = toolsOf(options);
    this.#generation = samplingFor(options);
    options.signal?.addEventListener('abort', () => this.#end.abort(options.signal?.reason), { once: true });
    this.addEventListener('contextoverflow', (event) => this.oncontextoverflow?.(event));
  }

  /** `options` are checked. Rejects with a QuotaExceededError if the first messages do not fit. */
  static async create(model: ChatModel, options: CreateOptions): Promise<LanguageModelSession> {
    const messages = initialMessages(options);
    const session = new LocalSession(model, options, { messages, usage: 0 });
    session.#state = { messages, usage: await session.#count(messages) };
    if (session.contextUsage > session.contextWindow) throw quotaExceeded(session.contextUsage, session.contextWindow);
    return session;
  }

  get contextWindow(): number {
    return this.model.maxLength;
  }

  get contextUsage(): number {
    return this.#state.usage;
  }

  get inputQuota(): number {
    return this.contextWindow;
  }

  get inputUsage(): number {
    return this.contextUsage;
  }

  async prompt(input: PromptInput, options: PromptOptions = {}): Promise<string> {
    let text = '';
    for await (const piece of this.#pieces(input, checkPrompt('prompt', options))) text += piece;
    return text;
  }

  promptStreaming(input: PromptInput, options: PromptOptions = {}): ReadableStream<string> {
    return streamOf(this.#pieces(input, checkPrompt('promptStreaming', options)));
  }

  async append(input: PromptInput, options: SignalOption = {}): Promise<void> {
    const { signal } = checkOptions('append', options, { signal: 'signal' });
    const added = messagesOf(input);
    const leave = await this.#turn();
    try {
      this.#signal(signal).throwIfAborted();
      this.#state = await this.#fitting([...this.#state.messages, ...added], added.length, null);
    } finally {
      leave();
    }
  }

  async measureContextUsage(input: PromptInput): Promise<number> {
    this.#signal().throwIfAborted();
    const { messages } = this.#state;
    return (await this.#count([...messages, ...messagesOf(input)])) - (await this.#count(messages));
  }

  measureInputUsage(input: PromptInput): Promise<number> {
    return this.measureContextUsage(input);
  }

  async clone(options: SignalOption = {}): Promise<LanguageModelSession> {
    const { signal } = checkOptions('clone', options, { signal: 'signal' });
    this.#signal(signal).throwIfAborted();
    return new LocalSession(this.model, { ...this.options, signal }, this.#state);
  }

  destroy(): void {
    this.#end.abort(new DOMException('the session was destroyed', 'InvalidStateError'));
  }

  #signal(signal?: AbortSignal): AbortSignal {
    return signal ? AbortSignal.any([this.#end.signal, signal]) : this.#end.signal;
  }

  /** Waits for the end of earlier prompts. Returns the function that starts the next one. */
  async #turn(): Promise<() => void> {
    const before = this.#last;
    let leave: () => void = () => {};
    this.#last = new Promise<void>((resolve) => {
      leave = resolve;
    });
    await before;
    return leave;
  }

  async *#pieces(input: PromptInput, options: PromptOptions): AsyncGenerator<string, void, void> {
    const newMessages = messagesOf(input);
    const format = formatOf(options);
    const leave = await this.#turn();
    try {
      const signal = this.#signal(options.signal);
      signal.throwIfAborted();
      const added = [...newMessages];
      let messages = [...this.#state.messages, ...newMessages];
      const request = { messages, tools: this.#tools, format, generation: { ...this.#generation, signal } };
      const plan = await planAnswer(this.model, request);
      for (let round = 0; round < MAX_ROUNDS; round++) {
        messages = [...(await this.#fitting(messages, added.length, plan.variables)).messages];
        const { text, end } = yield* this.#answer({ ...plan, request: { ...request, messages } });
        const usage = end.promptTokens + end.newTokens;
        if (end.toolCalls.length === 0) {
          this.#state = { messages: [...messages, { role: 'assistant', content: text }], usage };
          return;
        }
        const called = await this.#called(text, end);
        added.push(...called);
        messages.push(...called);
        signal.throwIfAborted();
      }
      throw new DOMException(`the model called tools in ${MAX_ROUNDS} answers in a row`, 'OperationError');
    } finally {
      leave();
    }
  }

  /** Yields the text of one answer. Returns it with its calls. */
  async *#answer(plan: AnswerPlan): AsyncGenerator<string, { text: string; end: AnswerEnd }, void> {
    const pieces = streamAnswer(this.model, plan);
    let text = '';
    try {
      for (;;) {
        const { value, done } = await pieces.next();
        if (done) return { text, end: value };
        if (value.type !== 'text') continue; // reasoning is not part of the answer
        text += value.text;
        yield value.text;
      }
    } finally {
      await pieces.return(undefined as never);
    }
  }

  /** The message with calls, and the results of the tools. */
  async #called(content: string, { toolCalls }: AnswerEnd): Promise<ChatMessage[]> {
    const calls = toolCalls.map(({ id, name, arguments: args }) => {
      return { id, type: 'function' as const, function: { name, arguments: args } };
    });
    const results = toolCalls.map(async ({ id, name, arguments: args }): Promise<ChatMessage> => {
      const tool = this.options.tools?.find((candidate) => candidate.name === name);
      return { role: 'tool', tool_call_id: id, name, content: String(await tool?.execute(args)) };
    });
    return [{ role: 'assistant', content, tool_calls: calls }, ...(await Promise.all(results))];
  }

  /**
   * The conversation without its oldest messages, until it fits. The system message and the `kept` newest messages
   * always stay. If an answer follows, there is room for the tokens with which the template begins it, given
   * `variables`. Rejects with a QuotaExceededError if these do not fit.
   */
  async #fitting(
    messages: readonly ChatMessage[],
    kept: number,
    variables: AnswerPlan['variables'] | null,
  ): Promise<State> {
    let left = messages;
    for (;;) {
      const usage = await this.#count(left, variables);
      if (usage < this.contextWindow) {
        if (left !== messages) this.dispatchEvent(new Event('contextoverflow'));
        return { messages: left, usage };
      }
      const first = left[0]?.role === 'system' ? 1 : 0;
      const older = left.length - first - kept;
      if (older <= 0) throw quotaExceeded(usage, this.contextWindow);
      // A question is removed together with its answers.
      const next = left.findIndex(({ role }, i) => i > first && role === 'user');
      const end = next < 0 ? first + older : Math.min(next, first + older);
      left = [...left.slice(0, first), ...left.slice(end)];
    }
  }

  /** The tokens of messages. With `variables` these include the tokens that begin an answer. */
  async #count(messages: readonly ChatMessage[], variables: AnswerPlan['variables'] | null = null): Promise<number> {
    if (messages.length === 0) return 0;
    const tools = this.#tools.length > 0 ? this.#tools : null;
    const answer = variables === null ? {} : { variables, addGenerationPrompt: true };
    return (await tokenizerOf(this.model).applyChatTemplate(messages, { tools, ...answer })).length;
  }
}

function quotaExceeded(requested: number, quota: number): DOMException {
  const message = `the prompt has ${requested} tokens, but the context has room for ${quota}`;
  return Object.assign(new DOMException(message, 'QuotaExceededError'), { requested, quota });
}
