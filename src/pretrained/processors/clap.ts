// CLAP's features: decibels of a spectrogram on the mel scale, as transformers' ClapFeatureExtractor computes them.

import { ArgumentError } from '../../core/errors.js';
import { atOnce } from '../../core/slices.js';
import type { Features } from './features.js';
import { PART, Spectrum, single } from './filter-banks.js';
import { melFilters } from './mel.js';
import { type Json, Settings } from './settings.js';

/** Lower limit of a filter's sum. */
const FLOOR = 1e-10;
/** Number of crops of a long recording, besides the whole of it. */
const CROPS = 3;
const PADDINGS = ['repeatpad', 'repeat', 'pad'] as const;

/**
 * Converts recordings to log-mel features. Each recording is padded or cut to one length. transformers cuts at random
 * positions. Here cuts are in the middle of the allowed range, so that equal recordings have equal features.
 */
export class ClapFeatureExtractor {
  /** Hertz of the expected samples. */
  readonly samplingRate: number;
  /** Samples of a recording after padding or cutting. */
  readonly samples: number;
  /** True if the features are a whole recording and three crops of it. */
  readonly fuses: boolean;
  readonly #bins: number;
  readonly #hop: number;
  readonly #padding: (typeof PADDINGS)[number];
  readonly #window: Float64Array;
  readonly #spectrum: Spectrum;

  /** Takes the content of preprocessor_config.json. Throws FormatError for settings that are not supported. */
  constructor(config: Json = {}, where = 'preprocessor_config.json') {
    const settings = new Settings(where, config);
    this.#bins = settings.count('feature_size', 64, 1024);
    this.samplingRate = settings.count('sampling_rate', 48000, 192000);
    this.#hop = settings.count('hop_length', 480, 65536);
    this.samples = settings.count('max_length_s', 10, 600) * this.samplingRate;
    const size = settings.count('fft_window_size', 1024, 65536);
    if (size % 2 !== 0) settings.refuse('fft_window_size', size, 'an even number');
    if (size / 2 >= this.samples)
      settings.refuse('fft_window_size', size, `less than two times ${this.samples} samples`);
    const { truncation = 'fusion', padding = 'repeatpad' } = config;
    if (truncation !== 'fusion' && truncation !== 'rand_trunc')
      settings.refuse('truncation', truncation, 'fusion or rand_trunc');
    const known = PADDINGS.find((name) => name === padding);
    this.#padding = known ?? settings.refuse('padding', padding, PADDINGS.join(', '));
    this.fuses = truncation === 'fusion';
    this.#window = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / size)); // Hann's
    const [min, max] = [settings.number('frequency_min', 0), settings.number('frequency_max', 14000)];
    if (!(min >= 0 && min < max)) settings.refuse('frequency_min', min, `0 or more, below ${max}`);
    const sizes = { count: this.#bins, bins: size / 2 + 1, samplingRate: this.samplingRate, min, max };
    this.#spectrum = new Spectrum(size, melFilters(this.fuses ? 'htk' : 'slaney', sizes));
  }

  /**
   * Features of one recording, [1, channels, frames, feature_size]: one channel, or with fusion the whole recording and
   * three crops. Throws ArgumentError for values other than a Float32Array, without samples, or with samples that
   * are not finite numbers.
   */
  process(recordings: readonly [Float32Array]): Features {
    return atOnce(this.processInParts(recordings));
  }

  /** @internal Same as `process`, with a pause after every few milliseconds of work. */
  *processInParts(recordings: readonly [Float32Array]): Generator<undefined, Features> {
    const samples = single('clap', recordings);
    if (samples.length === 0) throw new ArgumentError('clap: the recording is empty, expected at least one sample');
    const frames = this.#framesOf(this.samples);
    const channels = yield* this.#channels(samples, frames);
    const data = new Float32Array(channels.length * frames * this.#bins);
    for (const [i, channel] of channels.entries()) data.set(channel, i * frames * this.#bins);
    return { data, shape: [1, channels.length, frames, this.#bins] };
  }

  #framesOf(samples: number): number {
    return 1 + Math.floor(samples / this.#hop);
  }

  *#channels(samples: Float32Array, frames: number): Generator<undefined, readonly Float32Array[]> {
    const overflow = samples.length - this.samples;
    if (!this.fuses) {
      const start = Math.floor(Math.max(0, overflow) / 2);
      const window = overflow > 0 ? samples.subarray(start, start + this.samples) : this.#padded(samples);
      return [yield* this.#columns(window, 0, frames)];
    }
    const total = this.#framesOf(samples.length);
    if (overflow > 0 && total > frames) {
      const channels = [yield* this.#shrunk(samples, total, frames)];
      for (const first of middles(total - frames + 1)) channels.push(yield* this.#columns(samples, first, frames));
      return channels;
    }
    const whole = yield* this.#columns(overflow > 0 ? samples : this.#padded(samples), 0, frames);
    return Array<Float32Array>(1 + CROPS).fill(whole);
  }

  /** Repeats a short recording if the setting `padding` says so, and pads it with silence. */
  #padded(samples: Float32Array): Float32Array {
    const all = new Float32Array(this.samples);
    const times = this.samples / samples.length;
    const copies = { pad: 1, repeat: Math.ceil(times), repeatpad: Math.floor(times) }[this.#padding];
    for (let i = 0; i < copies; i++) {
      const offset = i * samples.length;
      all.set(samples.subarray(0, all.length - offset), offset);
    }
    return all;
  }

  /** Returns `count` columns from column `first` on, [count, bins]. */
  *#columns(samples: Float32Array, first: number, count: number): Generator<undefined, Float32Array> {
    const values = new Float64Array(count * this.#bins);
    for (let i = 0; i < count; i++) {
      if (i % PART === PART - 1) yield;
      this.#column(samples, first + i, values, i * this.#bins);
    }
    return Float32Array.from(values);
  }

  /** Writes the decibels of one column. Samples before the start and after the end are mirrored. */
  #column(samples: Float32Array, column: number, into: Float64Array, offset: number): void {
    const { re } = this.#spectrum;
    const last = samples.length - 1;
    const start = column * this.#hop - re.length / 2;
    for (let i = 0; i < re.length; i++) {
      const index = Math.abs(start + i);
      re[i] = (samples[index > last ? 2 * last - index : index] as number) * (this.#window[i] as number);
    }
    this.#spectrum.write(into, offset, (sum) => 10 * Math.log10(Math.max(sum, FLOOR)));
  }

  /** Resizes all `total` columns to `count` by linear interpolation. */
  *#shrunk(samples: Float32Array, total: number, count: number): Generator<undefined, Float32Array> {
    const bins = this.#bins;
    const pair = new Float64Array(2 * bins);
    const result = new Float32Array(count * bins);
    for (let i = 0; i < count; i++) {
      if (i % PART === PART - 1) yield;
      const position = Math.max(0, ((i + 0.5) * total) / count - 0.5);
      const column = Math.floor(position);
      this.#column(samples, column, pair, 0);
      this.#column(samples, Math.min(column + 1, total - 1), pair, bins);
      for (let bin = 0; bin < bins; bin++) {
        const [before, after] = [pair[bin] as number, pair[bins + bin] as number];
        result[i * bins + bin] = before + (position - column) * (after - before);
      }
    }
    return result;
  }
}

/** Returns the middle of each third of the range from 0 to `count`. If a third is empty, its crop begins at 0. */
function middles(count: number): number[] {
  let start = 0;
  return Array.from({ length: CROPS }, (_, i) => {
    const size = Math.floor(count / CROPS) + (i < count % CROPS ? 1 : 0);
    const middle = size === 0 ? 0 : start + Math.floor((size - 1) / 2);
    start += size;
    return middle;
  });
}
