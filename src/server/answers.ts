// The answers to one request, generated in parallel.

import { setMaxListeners } from 'node:events';
import type { BatchedOptions, BatchedStream } from '../generate/index.js';
import { StopStrings } from '../tasks/chat/stop-strings.js';
import { logprobsOf, type TokenLogprobs, textAfter } from './answer-text.js';
import type { Phases } from './endpoint.js';
import { ApiError } from './errors.js';
import type { Writer } from './served-model.js';

/** Prompts, and the options for their answers. */
export interface AnswerRequest {
  readonly prompts: readonly (readonly number[])[];
  /** Called when the answers have ended. */
  readonly release?: (() => void) | undefined;
  /** The number of answers to each prompt. */
  readonly choices: number;
  readonly options: BatchedOptions;
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
  readonly phases: Phases[] = [];
  readonly #begin = Date.now();
  /** Milliseconds until each answer joined the batch. */
  readonly #places: number[] = [];
  readonly #streams: BatchedStream[];
  readonly #controller = new AbortController();

  /** Throws ApiError for a prompt that is too long, and QueueFullError. */
  constructor(
    private readonly writer: Writer,
    private readonly request: AnswerRequest,
    signal: AbortSignal,
  ) {
    const { prompts, choices, options, maxTokens, logprobs, client, prefixScope } = request;
    const { batching } = writer;
    this.usage = { prompt: prompts.reduce((sum, { length }) => sum + length, 0), completion: 0, cached: 0 };
    const all = AbortSignal.any([signal, this.#controller.signal]);
    setMaxListeners(0, all); // one listener for each answer
    const requests = prompts.flatMap((prompt) => {
      const room = batching.context - prompt.length;
      if (room < 1) throw tooLong(`${prompt.length}`, batching.context);
      return Array.from({ length: choices }, (_, stream) => {
        const index = this.#places.push(0) - 1;
        return {
          prompt,
          options: {
            onPlace: () => {
              this.#places[index] = Date.now() - this.#begin;
            },
            ...options,
            maxNewTokens: Math.min(maxTokens ?? room, room), // the context has no more room
            topLogProbabilities: Math.min(logprobs ?? 0, writer.served.model.vocabSize),
            stream,
            client,
            prefixScope,
            adapter: writer.served.adapter,
            signal: all,
          },
        };
      });
    });
    this.#streams = batching.streamAll(requests);
  }

  /** The pieces of all answers in the order in which they are generated. Can be read once. */
  async *events(): AsyncGenerator<AnswerPiece | AnswerEnd, void, void> {
    const events: (AnswerPiece | AnswerEnd)[] = [];
    let open = this.#streams.length;
    let failure: { readonly error: unknown } | null = null;
    let wake = () => {};
    const runs = this.#streams.map(async (stream, index) => {
      try {
        for await (const event of this.#answer(stream, index)) {
          events.push(event);
          wake();
        }
      } catch (error) {
        failure ??= { error };
      } finally {
        open--;
        wake();
      }
    });
    try {
      for (;;) {
        yield* events.splice(0);
        if (failure) throw (failure as { readonly error: unknown }).error;
        if (open === 0 && events.length === 0) return;
        if (events.length > 0) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      this.request.release?.();
      this.#controller.abort(new DOMException('The client has left', 'AbortError'));
      await Promise.all(runs);
    }
  }

  async *#answer(stream: BatchedStream, index: number): AsyncGenerator<AnswerPiece | AnswerEnd, void, void> {
    const { prompts, choices, stops, logprobs, skipSpecial } = this.request;
    const { tokenizer } = this.writer;
    const prompt = prompts[Math.floor(index / choices)] as readonly number[];
    const pieces = textAfter(tokenizer, prompt, skipSpecial ?? true);
    const stopping = new StopStrings(stops);
    let first: number | null = null;
    let told: TokenLogprobs[] = [];
    let before = prompt.at(-1);
    const piece = (text: string): AnswerPiece => {
      const logprobs = told;
      told = [];
      return { index, text, logprobs };
    };
    const ended = (finishReason: string) => {
      const begin = this.#begin;
      const now = Date.now() - begin;
      const queue = this.#places[index] as number;
      const prefill = (first ?? now) - queue;
      this.phases.push({ begin, queue, prefill, decode: now - queue - prefill, finishReason });
    };
    try {
      for (;;) {
        const { value, done } = await stream.next();
        if (done) {
          this.usage.cached += value.cachedTokens;
          ended(stopping.stopped ? 'stop' : value.finishReason);
          const last = stopping.push(pieces.end());
          const text = stopping.stopped ? last : last + stopping.end();
          if (text !== '' || told.length > 0) yield piece(text);
          yield { index, finishReason: stopping.stopped ? 'stop' : value.finishReason, stop: stopping.found };
          return;
        }
        this.usage.completion++;
        first ??= Date.now() - this.#begin;
        if (logprobs !== null) told.push(logprobsOf(tokenizer, before, value));
        before = value.token;
        const text = stopping.push(pieces.push(value.token));
        if (stopping.stopped) told = within(told, text.length);
        if (text !== '') yield piece(text);
        if (!stopping.stopped) continue;
        ended('stop');
        yield { index, finishReason: 'stop', stop: stopping.found };
        return;
      }
    } finally {
      await stream.return(undefined as never);
    }
  }
}

/** Returns the tokens that begin within the first `length` characters. The others belong to a stop string. */
function within(told: readonly TokenLogprobs[], length: number): TokenLogprobs[] {
  let begin = 0;
  return told.filter(({ token }) => {
    begin += token.length;
    return begin - token.length < length;
  });
}

/** Returns the error for a prompt of `length` tokens. */
export function tooLong(length: string, context: number): ApiError {
  const message =
    `This model's maximum context length is ${context} tokens, but the prompt alone has ${length}, ` +
    'which leaves none for an answer';
  return new ApiError(400, message, 'context_length_exceeded', 'messages');
}

/** Waits for all answers. */
export async function collect(answers: Answers, count: number) {
  const collected = Array.from({ length: count }, () => ({
    text: '',
    logprobs: [] as TokenLogprobs[],
    finishReason: 'stop' as AnswerEnd['finishReason'],
  }));
  for await (const event of answers.events()) {
    const own = collected[event.index] as (typeof collected)[number];
    if ('finishReason' in event) own.finishReason = event.finishReason;
    else {
      own.text += event.text;
      own.logprobs.push(...event.logprobs);
    }
  }
  return collected;
}
