// Log-mel filter banks, one column per 10 ms: Parakeet's, and Kaldi's for wav2vec2-BERT.

import { describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { isTyped } from '../../core/kinds.js';
import { atOnce } from '../../core/slices.js';
import type { Features } from './features.js';
import { Fft } from './fft.js';
import { type MelFilter, melFilters } from './mel.js';
import { type Json, Settings } from './settings.js';

/** Converts recordings to columns of features. */
export interface FilterBank {
  /** Hertz of the expected samples. */
  readonly samplingRate: number;
  /** Number of samples from one column to the next. */
  readonly step: number;
  /** Number of columns for this number of samples. */
  columnsOf(samples: number): number;
  /** Features of one recording, [1, columns, width]. Throws ArgumentError for values other than a Float32Array. */
  process(recordings: readonly [Float32Array]): Features;
  /** @internal Same as `process`, with a pause after every few milliseconds of work. */
  processInParts(recordings: readonly [Float32Array]): Generator<undefined, Features>;
}

/** Columns between two pauses: a few milliseconds. */
export const PART = 128;

/** Sums of filters over the power spectrum of a frame. */
export class Spectrum {
  readonly #fft: Fft;
  readonly #im: Float64Array;
  readonly re: Float64Array;

  constructor(
    size: number,
    private readonly filters: readonly MelFilter[],
  ) {
    this.#fft = new Fft(size);
    this.re = new Float64Array(size);
    this.#im = new Float64Array(size);
  }

  /** Writes `log` of each filter's sum over |FFT(re)|². */
  write(into: Float64Array, offset: number, log: (sum: number) => number): void {
    const { re } = this;
    const im = this.#im.fill(0);
    this.#fft.transform(re, im);
    for (const [i, { first, weights }] of this.filters.entries()) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) {
        const [a, b] = [re[first + k] as number, im[first + k] as number];
        sum += (weights[k] as number) * (a * a + b * b);
      }
      into[offset + i] = log(sum);
    }
  }
}

/** Parakeet's features: emphasized high frequencies, and each filter normalized over the recording. */
export class ParakeetFeatureExtractor implements FilterBank {
  readonly samplingRate: number;
  readonly step: number;
  readonly #bins: number;
  readonly #emphasis: number;
  readonly #window: Float64Array;
  readonly #spectrum: Spectrum;

  /** Takes the content of preprocessor_config.json. Throws FormatError for settings that are not supported. */
  constructor(config: Json = {}, where = 'preprocessor_config.json') {
    const settings = new Settings(where, config);
    this.#bins = settings.count('feature_size', 80, 1024);
    this.samplingRate = settings.count('sampling_rate', 16000);
    this.step = settings.count('hop_length', 160, 65536);
    const size = settings.count('n_fft', 512, 65536);
    const length = settings.count('win_length', 400, size);
    if (size % 2 !== 0) settings.refuse('n_fft', size, 'an even number');
    this.#emphasis = config.preemphasis === null ? 0 : settings.number('preemphasis', 0.97);
    const before = Math.floor((size - length) / 2);
    this.#window = new Float64Array(size);
    for (let i = 0; i < length; i++) this.#window[before + i] = hann(i, length);
    const { samplingRate } = this;
    const sizes = { count: this.#bins, bins: size / 2 + 1, samplingRate, min: 0, max: samplingRate / 2 };
    this.#spectrum = new Spectrum(size, melFilters('slaney', sizes));
  }

  columnsOf(samples: number): number {
    return Math.floor(samples / this.step);
  }

  process(recordings: readonly [Float32Array]): Features {
    return atOnce(this.processInParts(recordings));
  }

  *processInParts(recordings: readonly [Float32Array]): Generator<undefined, Features> {
    const samples = single('parakeet', recordings);
    const bins = this.#bins;
    const columns = this.columnsOf(samples.length);
    const values = new Float64Array(columns * bins);
    const window = this.#window;
    const { re } = this.#spectrum;
    const sampleAt = (i: number) => (i < 0 || i >= samples.length ? 0 : (samples[i] as number));
    for (let column = 0; column < columns; column++) {
      if (column % PART === PART - 1) yield;
      const start = column * this.step - window.length / 2;
      for (let i = 0; i < window.length; i++) {
        const index = start + i;
        const sample = index < samples.length ? sampleAt(index) - this.#emphasis * sampleAt(index - 1) : 0;
        re[i] = sample * (window[i] as number);
      }
      this.#spectrum.write(values, column * bins, (sum) => Math.log(sum + 2 ** -24));
    }
    return { data: normalized(values, bins, (deviation) => deviation + 1e-5, 0), shape: [1, columns, bins] };
  }
}

/** Kaldi's filter banks: logarithms of sums over frames of 25 ms, one frame per 10 ms. */
export class KaldiFilterBank {
  readonly #window: Float64Array;
  readonly #spectrum: Spectrum;

  /** `scale` multiplies the samples. `power`: exponent of Hann's window. */
  constructor(
    readonly bins: number,
    samplingRate: number,
    private readonly scale: number,
    power: number,
  ) {
    this.#window = Float64Array.from({ length: FRAME }, (_, i) => hann(i, FRAME) ** power);
    const sizes = { count: bins, bins: 257, samplingRate, min: 20, max: Math.floor(samplingRate / 2) };
    this.#spectrum = new Spectrum(512, melFilters('kaldi', sizes));
  }

  /** Number of whole frames in this number of samples. */
  framesOf(samples: number): number {
    return samples < FRAME ? 0 : 1 + Math.floor((samples - FRAME) / HOP);
  }

  /** The first `frames` frames, [frames, bins]. */
  *read(samples: Float32Array, frames: number): Generator<undefined, Float64Array> {
    const { bins, scale } = this;
    const values = new Float64Array(frames * bins);
    const { re } = this.#spectrum;
    for (let frame = 0; frame < frames; frame++) {
      if (frame % PART === PART - 1) yield;
      const frameSamples = samples.subarray(frame * HOP, frame * HOP + FRAME);
      const mean = frameSamples.reduce((sum, sample) => sum + sample, 0) / FRAME;
      const centeredAt = (i: number) => ((frameSamples[i] as number) - mean) * scale;
      re.fill(0);
      for (let i = 0; i < FRAME; i++)
        re[i] = (centeredAt(i) - EMPHASIS * centeredAt(Math.max(0, i - 1))) * (this.#window[i] as number);
      this.#spectrum.write(values, frame * bins, (sum) => Math.log(Math.max(sum, 2 ** -23)));
    }
    return values;
  }
}

/** Kaldi's filter banks. Each is normalized over the recording, and neighbouring columns are joined. */
export class SeamlessM4TFeatureExtractor implements FilterBank {
  readonly samplingRate: number;
  readonly step: number;
  readonly #stride: number;
  readonly #bank: KaldiFilterBank;

  /** Takes the content of preprocessor_config.json. Throws FormatError for settings that are not supported. */
  constructor(config: Json = {}, where = 'preprocessor_config.json') {
    const settings = new Settings(where, config);
    const bins = settings.count('num_mel_bins', 80, 1024);
    this.samplingRate = settings.count('sampling_rate', 16000);
    this.#stride = settings.count('stride', 2, 64);
    this.step = HOP * this.#stride;
    this.#bank = new KaldiFilterBank(bins, this.samplingRate, 2 ** 15, 0.85); // Povey's window
  }

  /** Frames are padded to an even number. A column counts if its second frame is not padding, as in transformers. */
  columnsOf(samples: number): number {
    const frames = this.#bank.framesOf(samples);
    if (this.#stride === 1 || frames === 0) return frames;
    return Math.min(Math.floor((frames + (frames % 2)) / this.#stride), Math.ceil((frames - 1) / this.#stride));
  }

  process(recordings: readonly [Float32Array]): Features {
    return atOnce(this.processInParts(recordings));
  }

  *processInParts(recordings: readonly [Float32Array]): Generator<undefined, Features> {
    const samples = single('wav2vec2-bert', recordings);
    const { bins } = this.#bank;
    const values = yield* this.#bank.read(samples, this.#bank.framesOf(samples.length));
    const all = normalized(values, bins, (deviation) => Math.sqrt(deviation ** 2 + 1e-7), Number.NaN);
    const columns = this.columnsOf(samples.length);
    const width = bins * this.#stride;
    const data = new Float32Array(columns * width);
    data.set(all.subarray(0, data.length));
    return { data, shape: [1, columns, width] };
  }
}

/** Samples of a frame and between frames, and the pre-emphasis coefficient. */
const [FRAME, HOP, EMPHASIS] = [400, 160, 0.97];

const hann = (i: number, length: number) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (length - 1));

/** Normalizes each column of [rows, width]: subtracts its mean, and divides by its deviation times `scale`. */
function normalized(values: Float64Array, width: number, scale: (deviation: number) => number, alone: number) {
  const rows = values.length / width;
  const result = new Float32Array(values.length);
  for (let i = 0; i < width; i++) {
    let [sum, squares] = [0, 0];
    for (let row = 0; row < rows; row++) sum += values[row * width + i] as number;
    const mean = sum / rows;
    for (let row = 0; row < rows; row++) squares += ((values[row * width + i] as number) - mean) ** 2;
    const deviation = rows > 1 ? Math.sqrt(squares / (rows - 1)) : alone;
    for (let row = 0; row < rows; row++)
      result[row * width + i] = ((values[row * width + i] as number) - mean) / scale(deviation);
  }
  return result;
}

/** The samples of the only recording. Throws ArgumentError for other values. */
export function single(family: string, recordings: readonly Float32Array[]): Float32Array {
  const [samples] = recordings;
  if (!Array.isArray(recordings) || recordings.length !== 1 || !isTyped(samples, 'Float32Array'))
    throw new ArgumentError(
      `${family}: the recordings are ${describeValue(recordings)}, expected an array of one Float32Array`,
    );
  if (!samples.every(Number.isFinite))
    throw new ArgumentError(`${family}: a sample is not a finite number, expected those from -1 to 1`);
  return samples;
}
