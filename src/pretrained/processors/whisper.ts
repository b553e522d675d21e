// Whisper's features: a logarithmic mel spectrogram (Radford et al., 2022, section 2.2), as in transformers'
// WhisperFeatureExtractor.

import { afterEvents } from '../../backend/after-events.js';
import { describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { isTyped } from '../../core/kinds.js';
import { atOnce } from '../../core/slices.js';
import type { Features } from './features.js';
import { Fft } from './fft.js';
import { type MelFilter, melFilters } from './mel.js';
import { type Json, Settings } from './settings.js';

/** Lower limit of a filter's sum. */
const FLOOR = 1e-10;
/** Number of frames that take a few milliseconds. */
const PART = 128;

export class WhisperFeatureExtractor {
  /** Number of mel filters: 80, or 128 for large-v3. */
  readonly featureSize: number;
  /** Expected sampling rate, in hertz. */
  readonly samplingRate: number;
  /** Samples of a window, 30 seconds. */
  readonly samples: number;
  /** Columns of the features of a window. */
  readonly frames: number;
  readonly #hop: number;
  readonly #window: Float64Array;
  readonly #filters: readonly MelFilter[];
  readonly #fft: Fft;

  /** Takes the content of preprocessor_config.json. Throws FormatError for settings that no Whisper has. */
  constructor(config: Json = {}, where = 'preprocessor_config.json') {
    const settings = new Settings(where, config);
    this.featureSize = settings.count('feature_size', 80, 1024);
    this.samplingRate = settings.count('sampling_rate', 16000);
    this.#hop = settings.count('hop_length', 160, 65536);
    this.samples = settings.count('chunk_length', 30, 3600) * this.samplingRate;
    this.frames = Math.floor(this.samples / this.#hop);
    const n = settings.count('n_fft', 400, 65536);
    if (n % 2 !== 0) settings.refuse('n_fft', n, 'an even number');
    if (settings.number('dither', 0) !== 0) settings.refuse('dither', config.dither, '0: noise would be added');
    this.#fft = new Fft(n);
    this.#window = Float64Array.from({ length: n }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / n)); // Hann's
    const sizes = { count: this.featureSize, bins: n / 2 + 1, samplingRate: this.samplingRate, min: 0, max: 8000 };
    this.#filters = melFilters('slaney', sizes);
  }

  /**
   * Features of recordings, [recordings, featureSize, frames]. Samples are one channel from −1 to 1 at `samplingRate`.
   * Each recording becomes one window: shorter ones are padded with silence, longer ones are cut. Throws ArgumentError
   * for values other than a Float32Array, and for samples that are not finite.
   */
  process(recordings: readonly Float32Array[]): Features {
    return atOnce(this.processInParts(recordings));
  }

  /** Same as `process`, but pauses after every few milliseconds of work. */
  *processInParts(recordings: readonly Float32Array[]): Generator<undefined, Features> {
    if (!Array.isArray(recordings) || !recordings.every((samples) => isTyped(samples, 'Float32Array')))
      throw new ArgumentError(
        `whisper: the recordings are ${describeValue(recordings)}, expected an array of Float32Array`,
      );
    const { featureSize, frames } = this;
    const data = new Float32Array(recordings.length * featureSize * frames);
    for (const [i, samples] of recordings.entries()) {
      const into = data.subarray(i * featureSize * frames, (i + 1) * featureSize * frames);
      yield* this.#logMel(samples.subarray(0, this.samples), this.samples, into);
    }
    return { data, shape: [recordings.length, featureSize, frames] };
  }

  /**
   * Features of a whole recording, [featureSize, frames], one frame per hop, without padding. Windows can be cut at any
   * frame. Yields to the event loop meanwhile. Throws as `process`, and the reason of `signal`.
   */
  async spectrogram(samples: Float32Array, signal?: AbortSignal): Promise<Features> {
    if (!isTyped(samples, 'Float32Array'))
      throw new ArgumentError(`whisper: the recording is ${describeValue(samples)}, expected a Float32Array`);
    const length = Math.max(this.samples, samples.length);
    const frames = Math.floor(length / this.#hop);
    const data = new Float32Array(this.featureSize * frames);
    for (const _ of this.#logMel(samples, length, data)) {
      await new Promise<void>((resolve) => afterEvents(resolve));
      signal?.throwIfAborted();
    }
    return { data, shape: [this.featureSize, frames] };
  }

  /** Samples from one frame to the next. */
  get step(): number {
    return this.#hop;
  }

  /** Number of columns of the features of a recording. */
  columnsOf(_samples: number): number {
    return this.frames;
  }

  /** Number of frames of a window that the samples cover. The frames behind them are padding. */
  framesOf(samples: number): number {
    return Math.ceil(samples / this.#hop);
  }

  /**
   * Writes log₁₀ of the filters' sums, [featureSize, frames]. Values are clipped to 8 below the largest, and scaled to
   * about −1 to 1. Samples are padded to `length`. Pauses after each part of the work.
   */
  *#logMel(samples: Float32Array, length: number, into: Float32Array): Generator<undefined, void> {
    const { n } = this.#fft;
    const frames = into.length / this.featureSize;
    const re = new Float64Array(n);
    const im = new Float64Array(n);
    const power = new Float64Array(n / 2 + 1);
    into.fill(Math.log10(FLOOR));
    let largest = Math.log10(FLOOR);
    const write = (frame: number, sign: 1 | -1) => {
      powerOf(re, im, sign, power);
      for (const [i, { first, weights }] of this.#filters.entries()) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) sum += (weights[k] as number) * (power[first + k] as number);
        const value = Math.log10(Math.max(sum, FLOOR));
        if (!(value < Number.POSITIVE_INFINITY))
          throw new ArgumentError('whisper: a sample is not a finite number, expected those from -1 to 1');
        into[i * frames + frame] = value;
        if (value > largest) largest = value;
      }
    };
    // One complex transform computes two frames, as its real and imaginary part.
    for (let frame = 0; frame < frames; frame += 2) {
      if (frame % PART === 0) yield;
      const some = this.#frame(samples, length, frame, re);
      const more = frame + 1 < frames ? this.#frame(samples, length, frame + 1, im) : !im.fill(0);
      if (!some && !more) continue; // silence, whose sums are all 0
      this.#fft.transform(re, im);
      write(frame, 1);
      if (frame + 1 < frames) write(frame + 1, -1);
    }
    for (let i = 0; i < into.length; i++) into[i] = (Math.max(into[i] as number, largest - 8) + 4) / 4;
  }

  /**
   * Writes a frame's samples times the window. Beyond both ends, samples are mirrored. Returns true if any is not 0.
   */
  #frame(samples: Float32Array, length: number, frame: number, into: Float64Array): boolean {
    const { n } = this.#fft;
    const last = length - 1;
    let some = false;
    for (let i = 0, index = frame * this.#hop - n / 2; i < n; i++, index++) {
      const inside = index < 0 ? -index : index > last ? 2 * last - index : index;
      const sample = inside < samples.length ? (samples[inside] as number) : 0;
      into[i] = sample * (this.#window[i] as number);
      if (sample !== 0) some = true;
    }
    return some;
  }
}

/**
 * |X[k]|² of one of two real signals. Z is the transform of the first signal plus i times the second. The first one has
 * X[k] = (Z[k] + Z*[n−k]) / 2, the second one X[k] = (Z[k] − Z*[n−k]) / 2i.
 */
function powerOf(re: Float64Array, im: Float64Array, sign: 1 | -1, into: Float64Array): void {
  const n = re.length;
  for (let k = 0; k < into.length; k++) {
    const other = k === 0 ? 0 : n - k;
    const a = (re[k] as number) + sign * (re[other] as number);
    const b = (im[k] as number) - sign * (im[other] as number);
    into[k] = (a * a + b * b) / 4;
  }
}
