// Transcribes a recording in progress. The model reads the part that is not final again as it grows. The part becomes
// final at a pause, or at a quiet position if it is long. Both depend only on the samples, not on timing.

import { describeValue, isObject } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { joinFloats } from '../../core/join-floats.js';
import { isTyped } from '../../core/kinds.js';
import { quietest } from './quietest.js';

/** Samples of one channel at the model's rate, piece by piece, as a microphone gives them. */
export type SoundStream = AsyncIterable<Float32Array> | ReadableStream<Float32Array>;

/** The text of a recording in progress. */
export interface PartialTranscript {
  /** All text so far. */
  readonly text: string;
  /** The beginning of `text` that does not change any more. */
  readonly final: string;
}

interface FollowOptions {
  readonly samplingRate: number;
  /** Maximum number of seconds that may still change. */
  readonly seconds: number;
  readonly signal?: AbortSignal | undefined;
}

/** Seconds of new samples between two attempts to find the end of a part. */
const STEP = 0.2;
/** Seconds of a pause that ends a part, and minimum seconds of a part. */
const [PAUSE, MIN_PART] = [0.6, 1];
/** Seconds of the pieces whose loudness is compared. */
const PIECE = 0.02;
/** Loudness of a pause, relative to the loudest piece of the part. */
const QUIET = 0.05;
/** Root mean square of silence: -60 dB of full scale. Models invent words for it. */
const SILENT = 1e-3;
/** Fraction of the maximum length, at its end, in which a quiet position is searched. */
const SEARCHED = 0.2;

/** True for a `SoundStream`. */
export function isSoundStream(value: unknown): value is SoundStream {
  return isObject(value) && (Symbol.asyncIterator in value || 'getReader' in value);
}

/**
 * Transcribes a stream, and yields the text each time that it may have changed. `transcribe` gives the text of samples.
 * Throws ArgumentError for an item that is not a Float32Array, the reason of `signal`, and the errors of the stream and
 * of `transcribe`.
 */
export async function* follow(
  task: string,
  stream: SoundStream,
  transcribe: (samples: Float32Array) => Promise<string>,
  { samplingRate, seconds, signal }: FollowOptions,
): AsyncGenerator<PartialTranscript, void, void> {
  const step = Math.round(STEP * samplingRate);
  const maxSamples = Math.max(step, Math.round(seconds * samplingRate));
  const source = new Source(task, stream, 2 * maxSamples, signal);
  const texts: string[] = [];
  const joined = (...more: string[]) => [...texts, ...more].filter((text) => text !== '').join(' ');
  let reported: PartialTranscript = { text: '', final: '' };
  /** Returns the text with `more`, if it was not reported yet. */
  const changes = (more = ''): PartialTranscript[] => {
    const now = { text: joined(more), final: joined() };
    if (now.text === reported.text && now.final === reported.final) return [];
    reported = now;
    return [now];
  };
  try {
    let open: Float32Array = new Float32Array(0);
    let searched = 0; // samples of `open` in which no end was found
    for (let isOver = false; !isOver; ) {
      const more = await source.next();
      isOver = more === null;
      if (more !== null) open = joinFloats([open, more]);
      let changed = false;
      for (; searched + step <= open.length; searched += step) {
        changed = true;
        const end = endOf(open.subarray(0, searched + step), maxSamples, samplingRate);
        if (end === null) continue;
        texts.push(await textOf(open.subarray(0, end), transcribe));
        signal?.throwIfAborted();
        yield* changes();
        open = open.slice(end);
        searched = -step;
        changed = false;
      }
      searched = Math.max(0, searched);
      if (isOver) texts.push(await textOf(open, transcribe));
      else if (changed) yield* changes(await textOf(open, transcribe));
      signal?.throwIfAborted();
    }
    yield { text: joined(), final: joined() };
  } finally {
    await source.close();
  }
}

/** Returns the sample at which a part ends: in a pause, or at a quiet position of a long part. Null if it continues. */
function endOf(samples: Float32Array, maxSamples: number, rate: number): number | null {
  const width = Math.max(1, Math.round(PIECE * rate));
  if (samples.length >= maxSamples)
    return quietest(samples, Math.floor((1 - SEARCHED) * maxSamples), maxSamples, width);
  const pause = Math.round(PAUSE * rate);
  if (samples.length < Math.round(MIN_PART * rate)) return null;
  const isPause = maxRms(samples.subarray(-pause), width) <= Math.max(SILENT, QUIET * maxRms(samples, width));
  return isPause ? samples.length - Math.floor(pause / 2) : null;
}

async function textOf(samples: Float32Array, transcribe: (samples: Float32Array) => Promise<string>): Promise<string> {
  return maxRms(samples, samples.length) < SILENT ? '' : (await transcribe(samples)).trim();
}

/** The root mean square of the loudest piece of `width` samples. */
function maxRms(samples: Float32Array, width: number): number {
  let maxPower = 0;
  for (let start = 0; start < samples.length; start += width) {
    const piece = samples.subarray(start, start + width);
    maxPower = Math.max(maxPower, piece.reduce((sum, sample) => sum + sample * sample, 0) / piece.length);
  }
  return Math.sqrt(maxPower);
}

/** Reads a stream while the model works, up to a number of samples. */
class Source {
  readonly #iterator: AsyncIterator<unknown>;
  readonly #maxSamples: number;
  readonly #stopped: Promise<never>;
  #pieces: Float32Array[] = [];
  #count = 0;
  #state: 'open' | 'over' | { readonly error: unknown } = 'open';
  /** Ends the wait of `next` or of the reader. */
  #wake: () => void = () => {};
  readonly #forget: () => void;

  constructor(
    private readonly task: string,
    stream: SoundStream,
    maxSamples: number,
    signal: AbortSignal | undefined,
  ) {
    this.#maxSamples = maxSamples;
    this.#iterator = iteratorOf(stream);
    let stop: (reason: unknown) => void = () => {};
    this.#stopped = new Promise<never>((_, reject) => {
      stop = reject;
    });
    this.#stopped.catch(() => {});
    const onAbort = () => stop(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#forget = () => signal?.removeEventListener('abort', onAbort);
    void this.#read();
  }

  /** Returns all samples that arrived since the last call, at least one. Null if the stream is over. */
  async next(): Promise<Float32Array | null> {
    while (this.#count === 0 && this.#state === 'open') await Promise.race([this.#changed(), this.#stopped]);
    await Promise.race([this.#stopped, null]); // throws if the signal came in the meantime
    if (this.#count > 0) {
      const all = joinFloats(this.#pieces.splice(0));
      this.#count = 0;
      this.#wake();
      return all;
    }
    if (typeof this.#state === 'object') throw this.#state.error;
    return null;
  }

  /** Ends the stream. A stream that waits for its next item ends when the item arrives. */
  async close(): Promise<void> {
    this.#forget();
    const wasOpen = this.#state === 'open';
    this.#state = 'over';
    this.#wake();
    if (wasOpen) void Promise.resolve(this.#iterator.return?.()).catch(() => {});
  }

  async #read(): Promise<void> {
    try {
      while (this.#state === 'open') {
        const { value, done } = await this.#iterator.next();
        if (done || this.#state !== 'open') break;
        if (!isTyped(value, 'Float32Array'))
          throw new ArgumentError(
            `${this.task}: an item of the stream is ${describeValue(value)}, expected a Float32Array`,
          );
        this.#pieces.push(value.slice());
        this.#count += value.length;
        this.#wake();
        while (this.#count >= this.#maxSamples && this.#state === 'open') await this.#changed();
      }
      if (this.#state === 'open') this.#state = 'over';
    } catch (error) {
      if (this.#state === 'open') this.#state = { error };
      void Promise.resolve(this.#iterator.return?.()).catch(() => {});
    }
    this.#wake();
  }

  #changed(): Promise<void> {
    const before = this.#wake;
    return new Promise((resolve) => {
      this.#wake = () => {
        before();
        resolve();
        this.#wake = () => {};
      };
    });
  }
}

function iteratorOf(stream: SoundStream): AsyncIterator<unknown> {
  if (Symbol.asyncIterator in stream) return stream[Symbol.asyncIterator]();
  const reader = (stream as ReadableStream<Float32Array>).getReader();
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    return: async () => {
      await reader.cancel();
      return { value: undefined, done: true };
    },
  };
}
