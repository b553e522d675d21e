// The answers to one request, generated in parallel.

import { setMaxListeners } from 'node:events';
import { EventQueue } from '../core/event-queue.js';
import type { BatchedOptions, BatchedStream, BatchedToken } from '../generate/index.js';
import type { AnswerStream } from '../tasks/chat/answer-stream.js';
import { StopStrings } from '../tasks/chat/stop-strings.js';
import { formatRefusal, type WantedFormat } from './answer-format.js';
import { logprobsOf, type TokenLogprobs, textAfter } from './answer-text.js';
import type { FieldNames } from './dialect.js';
import type { AnswerPhases } from './endpoint.js';
import { ApiError } from './errors.js';
import type { ServedTextModel } from './served-model.js';

/** Prompts, and the options for their answers. */
export interface AnswerRequest {
  readonly prompts: readonly (readonly number[])[];
  /** Called when the answers have ended. */
  readonly release?: (() => void) | undefined;
  /** The number of answers to each prompt. */
  readonly choices: number;
  readonly options: BatchedOptions;
  /** The format that `options` enforce. */
  readonly wanted: WantedFormat | null;
  readonly fields: FieldNames;
  readonly maxTokens: number | undefined;
  readonly stops: readonly string[];
  /** The number of alternatives whose log-probabilities are reported for each token; null for none. */
  readonly logprobs: number | null;
  /** True (the default) if special tokens are left out of the text. */
  readonly skipSpecial?: boolean;
  readonly client: string;
  readonly prefixScope: string;
}

/** A part of an answer. */
export interface AnswerPiece {
  readonly index: number;
  readonly text: string;
  readonly logprobs: readonly TokenLogprobs[];
}

export interface AnswerEnd {
  readonly index: number;
  readonly finishReason: 'stop' | 'length';
  /** The stop string that ended the answer, if one did. */
  readonly stop: string | null;
}

export type AnswerEvent = AnswerPiece | AnswerEnd;

/** The numbers of tokens of a request. */
export interface Usage {
  prompt: number;
  completion: number;
  cached: number;
}

/** The answers to a request. Generation stops if `signal` is aborted, or if the reader of `events` leaves. */
export class Answers {
  readonly usage: Usage;
  /** The phases of the answers that have ended. */
  readonly phases: AnswerPhases[] = [];
  readonly #begin = Date.now();
  /** Milliseconds until each answer joined the batch. */
  readonly #queueMs: number[] = [];
  readonly #streams: BatchedStream[];
  readonly #controller = new AbortController();

  /** Throws ApiError for a prompt that is too long, and QueueFullError. */
  constructor(
    private readonly textModel: ServedTextModel,
    private readonly request: AnswerRequest,
    signal: AbortSignal,
  ) {
    const { prompts, choices, options, fields, maxTokens, logprobs, client, prefixScope } = request;
    const { batching } = textModel;
    this.usage = { prompt: prompts.reduce((sum, { length }) => sum + length, 0), completion: 0, cached: 0 };
    const all = AbortSignal.any([signal, this.#controller.signal]);
    setMaxListeners(0, all); // one listener for each answer
    const requests = prompts.flatMap((prompt) => {
      const room = batching.context - prompt.length;
      if (room < 1) throw tooLong(`${prompt.length}`, batching.context, fields);
      return Array.from({ length: choices }, (_, stream) => {
        const index = this.#queueMs.push(0) - 1;
        return {
          prompt,
          options: {
            onStart: () => {
              this.#queueMs[index] = Date.now() - this.#begin;
            },
            ...options,
            maxNewTokens: Math.min(maxTokens ?? room, room), // the context has no more room
            topLogProbabilities: Math.min(logprobs ?? 0, textModel.served.model.vocabSize),
            stream,
            client,
            prefixScope,
            adapter: textModel.served.adapter,
            signal: all,
          },
        };
      });
    });
    this.#streams = batching.streamAll(requests);
  }

  /** The pieces of all answers in the order in which they are generated. Can be read once. */
  async *events(): AsyncGenerator<AnswerEvent, void, void> {
    const events = new EventQueue<AnswerEvent>();
    const runs = this.#streams.map(async (stream, index) => {
      for await (const event of this.#answer(stream, index)) events.push(event);
    });
    Promise.all(runs).then(
      () => events.end(),
      (error) => events.fail(formatRefusal(error, this.request.wanted, this.request.fields)),
    );
    try {
      for await (const pieces of events) yield* pieces;
    } finally {
      this.request.release?.();
      this.#controller.abort(new DOMException('The client has left', 'AbortError'));
      await Promise.allSettled(runs);
    }
  }

  async *#answer(stream: BatchedStream, index: number): AsyncGenerator<AnswerEvent, void, void> {
    const { prompts, choices } = this.request;
    const prompt = prompts[Math.floor(index / choices)] as readonly number[];
    const answer = new AnswerText(index, prompt, this.textModel.tokenizer, this.request);
    let first: number | null = null;
    try {
      for (;;) {
        const { value, done } = await stream.next();
        if (!done) {
          this.usage.completion++;
          first ??= Date.now() - this.#begin;
        } else this.usage.cached += value.cachedTokens;
        const piece = done ? answer.end() : answer.push(value);
        const finishReason = answer.stop !== null ? 'stop' : done ? value.finishReason : null;
        if (finishReason !== null) this.#recordPhases(index, first, finishReason);
        if (piece !== null) yield piece;
        if (finishReason === null) continue;
        yield { index, finishReason, stop: answer.stop };
        return;
      }
    } finally {
      await stream.return(undefined as never);
    }
  }

  /** Notes the phases of an answer that has ended. `first`: milliseconds until its first token, if it has one. */
  #recordPhases(index: number, first: number | null, finishReason: AnswerEnd['finishReason']): void {
    const begin = this.#begin;
    const now = Date.now() - begin;
    const queue = this.#queueMs[index] as number;
    const prefill = (first ?? now) - queue;
    this.phases.push({ begin, queue, prefill, decode: now - queue - prefill, finishReason });
  }
}

/** The text of one answer up to a stop string. Text that may begin a stop string waits for the next tokens. */
class AnswerText {
  readonly #text: AnswerStream;
  readonly #stopping: StopStrings;
  /** Log-probabilities of the tokens whose text was not passed on yet. */
  #logprobs: TokenLogprobs[] = [];
  #before: number | undefined;

  constructor(
    private readonly index: number,
    prompt: readonly number[],
    private readonly tokenizer: ServedTextModel['tokenizer'],
    private readonly request: AnswerRequest,
  ) {
    this.#text = textAfter(tokenizer, prompt, request.skipSpecial ?? true);
    this.#stopping = new StopStrings(request.stops);
    this.#before = prompt.at(-1);
  }

  /** The stop string that ended the answer, or null. */
  get stop(): string | null {
    return this.#stopping.found;
  }

  /** Takes the next token. Returns the text that is certain now, or null if there is none. */
  push(value: BatchedToken): AnswerPiece | null {
    if (this.request.logprobs !== null) this.#logprobs.push(logprobsOf(this.tokenizer, this.#before, value));
    this.#before = value.token;
    const text = this.#stopping.push(this.#text.push(value.token));
    if (this.stop !== null) this.#logprobs = within(this.#logprobs, text.length);
    return text === '' ? null : this.#piece(text);
  }

  /** Returns the rest of the text after the last token, or null if there is none. */
  end(): AnswerPiece | null {
    const last = this.#stopping.push(this.#text.end());
    const text = this.stop === null ? last + this.#stopping.end() : last;
    return text === '' && this.#logprobs.length === 0 ? null : this.#piece(text);
  }

  #piece(text: string): AnswerPiece {
    return { index: this.index, text, logprobs: this.#logprobs.splice(0) };
  }
}

/** Returns the tokens that begin within the first `length` characters. The others belong to a stop string. */
function within(tokens: readonly TokenLogprobs[], length: number): TokenLogprobs[] {
  let begin = 0;
  return tokens.filter(({ token }) => {
    begin += token.length;
    return begin - token.length < length;
  });
}

/** Returns the error for a prompt of `length` tokens. */
export function tooLong(length: string, context: number, { input }: FieldNames): ApiError {
  const message =
    `This model's maximum context length is ${context} tokens, but the prompt alone has ${length}, ` +
    'which leaves none for an answer';
  return new ApiError(400, message, 'context_length_exceeded', input);
}

/** Waits for all answers. */
export async function collect(events: AsyncIterable<AnswerEvent>, count: number) {
  const collected = Array.from({ length: count }, () => ({
    text: '',
    logprobs: [] as TokenLogprobs[],
    finishReason: 'stop' as AnswerEnd['finishReason'],
  }));
  for await (const event of events) {
    const choice = collected[event.index] as (typeof collected)[number];
    if ('finishReason' in event) choice.finishReason = event.finishReason;
    else {
      choice.text += event.text;
      choice.logprobs.push(...event.logprobs);
    }
  }
  return collected;
}
