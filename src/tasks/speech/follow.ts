// Transcribes a recording in progress. The model reads the part that is not final again as it grows. The part becomes
// final at a pause, or at a quiet position if it is long. Both depend only on the samples, not on timing.

import { describeValue, isObject } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { EventQueue } from '../../core/event-queue.js';
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
  let open: Float32Array = new Float32Array(0);
  let searched = 0; // samples of `open` in which no end was found
  for await (const more of samplesOf(task, stream, 2 * maxSamples, signal)) {
    open = joinFloats([open, more]);
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
    if (changed) yield* changes(await textOf(open, transcribe));
    signal?.throwIfAborted();
  }
  texts.push(await textOf(open, transcribe));
  signal?.throwIfAborted();
  yield { text: joined(), final: joined() };
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

/**
 * Yields all samples that arrived since the last time, at least one. Reads the stream while the model works, until
 * `maxSamples` wait. If the reader leaves while the stream waits for its next item, the stream ends when the item
 * arrives.
 */
async function* samplesOf(
  task: string,
  stream: SoundStream,
  maxSamples: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Float32Array, void, void> {
  const iterator = iteratorOf(stream);
  const pieces = new EventQueue<Float32Array>();
  let count = 0; // samples that wait
  let isOpen = true;
  let goOn = () => {};
  const close = () => {
    if (isOpen) void Promise.resolve(iterator.return?.()).catch(() => {});
    isOpen = false;
    goOn();
  };
  const read = async () => {
    while (isOpen) {
      const { value, done } = await iterator.next();
      if (done) isOpen = false;
      if (!isOpen) return;
      if (!isTyped(value, 'Float32Array'))
        throw new ArgumentError(`${task}: an item of the stream is ${describeValue(value)}, expected a Float32Array`);
      pieces.push(value.slice());
      count += value.length;
      while (isOpen && count >= maxSamples)
        await new Promise<void>((resolve) => {
          goOn = resolve;
        });
    }
  };
  const onAbort = () => pieces.fail(signal?.reason);
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  read().then(
    () => pieces.end(),
    (error) => {
      pieces.fail(error);
      close();
    },
  );
  try {
    for await (const arrived of pieces) {
      signal?.throwIfAborted();
      count = 0;
      goOn();
      const samples = joinFloats(arrived);
      if (samples.length > 0) yield samples;
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    close();
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
