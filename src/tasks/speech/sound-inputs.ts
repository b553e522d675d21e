// Converts recordings of any form to samples of one channel at the model's rate.

import { checkNumber, describeValue, isCount, isObject } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { isTyped } from '../../core/kinds.js';
import { decodeAudio } from '../../pretrained/processors/decode-audio.js';
import { resampleMeanwhile } from '../../pretrained/processors/resample.js';
import { mixDown, type Recording } from '../../pretrained/processors/wav.js';
import { bytesOf, isMediaFile, type MediaFile } from '../media-source.js';
import type { CallOptions } from '../task.js';

/** Samples of one channel, from -1 to 1, at the rate of the model: 16,000 a second for Whisper. */
export type SoundSamples = Float32Array | Float64Array;

/** Samples at any rate in hertz. Several channels are averaged. */
export type RatedSamples =
  | { readonly array: SoundSamples; readonly sampling_rate: number }
  | { readonly raw: SoundSamples; readonly sampling_rate: number }
  | Recording;

/** A recording: samples, or a file that `decodeAudio` reads. */
export type SoundInput = SoundSamples | RatedSamples | MediaFile;

/** Maximum factor by which resampling increases the number of samples. */
const MAX_GROWTH = 48;

/**
 * Returns the samples of a recording at `rate`. Rejects with ArgumentError for values that are not a recording, and
 * with FormatError for files that cannot be decoded.
 */
export async function samplesOf(
  task: string,
  input: SoundInput,
  rate: number,
  signal?: AbortSignal,
  name = 'the recording',
): Promise<Float32Array> {
  if (isSamples(input)) return single(input);
  if (isMediaFile(input))
    return resampled(task, await decodeAudio(await bytesOf(task, input, signal), rate, signal), rate, signal);
  if (isObject(input)) {
    const { array, raw = array, sampling_rate: givenRate } = input as Partial<Record<string, unknown>>;
    if (isSamples(raw)) {
      checkNumber(task, 'sampling_rate', givenRate as number, isCount, 'a rate in hertz');
      return resampled(task, { samplingRate: givenRate as number, channels: [single(raw)] }, rate, signal);
    }
    const { channels, samplingRate } = input as Partial<Recording>;
    if (Array.isArray(channels) && channels.every(isSamples) && isCount(samplingRate as number))
      return resampled(task, { channels: channels.map(single), samplingRate: samplingRate as number }, rate, signal);
  }
  const expected = 'a Float32Array, { array, sampling_rate } or a file of sound';
  throw new ArgumentError(`${task}: ${name} is ${describeValue(input)}, expected ${expected}`);
}

/** Returns the result of a recording, or those of a list one after another, from its samples at `rate`. */
export async function eachRecording<Result>(
  task: string,
  recordings: SoundInput | readonly SoundInput[],
  rate: number,
  { signal, onProgress }: CallOptions,
  resultOf: (samples: Float32Array) => Promise<Result>,
): Promise<Result | Result[]> {
  const list: readonly SoundInput[] = Array.isArray(recordings) ? recordings : [recordings as SoundInput];
  const results: Result[] = [];
  for (const [i, recording] of list.entries()) {
    const name = list.length === 1 ? 'the recording' : `recordings[${i}]`;
    signal?.throwIfAborted();
    results.push(await resultOf(await samplesOf(task, recording, rate, signal, name)));
    onProgress?.({ done: results.length, total: list.length });
  }
  return Array.isArray(recordings) ? results : (results[0] as Result);
}

const isSamples = (value: unknown): value is SoundSamples =>
  isTyped(value, 'Float32Array') || isTyped(value, 'Float64Array');

const single = (samples: SoundSamples): Float32Array =>
  isTyped(samples, 'Float32Array') ? samples : Float32Array.from(samples);

async function resampled(
  task: string,
  recording: Recording,
  rate: number,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const [first, ...others] = recording.channels;
  if (others.some(({ length }) => length !== first?.length))
    throw new ArgumentError(`${task}: the channels of a recording have different numbers of samples`);
  // A small file that declares a tiny rate would become any number of samples.
  if (rate > MAX_GROWTH * recording.samplingRate)
    throw new ArgumentError(
      `${task}: the recording has ${recording.samplingRate} samples a second, expected at least ${Math.ceil(rate / MAX_GROWTH)}`,
    );
  const samples = mixDown(recording);
  return recording.samplingRate === rate ? samples : resampleMeanwhile(samples, recording.samplingRate, rate, signal);
}
