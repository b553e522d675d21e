// Samples for wav2vec 2.0, unchanged or with mean 0 and variance 1, as in transformers' Wav2Vec2FeatureExtractor.

import { describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import { isTyped } from '../../core/kinds.js';
import { atOnce } from '../../core/slices.js';
import type { Features } from './features.js';
import { type Json, Settings } from './settings.js';

/** Constant that is added to the variance, against division by zero. */
const EPSILON = 1e-7;
/** Samples between two pauses. */
const SAMPLES = 1 << 19;

export class Wav2Vec2FeatureExtractor {
  /** Hertz of the expected samples. */
  readonly samplingRate: number;
  /** True if padded batches come with a mask. Other models read padding as silence. */
  readonly hasMask: boolean;
  readonly #normalizes: boolean;

  /** Takes the content of preprocessor_config.json. Throws FormatError for settings that are not supported. */
  constructor(config: Json = {}, where = 'preprocessor_config.json') {
    const settings = new Settings(where, config);
    this.samplingRate = settings.count('sampling_rate', 16000);
    this.hasMask = settings.boolean('return_attention_mask', false);
    this.#normalizes = settings.boolean('do_normalize', true);
    const size = settings.count('feature_size', 1);
    if (size !== 1) settings.refuse('feature_size', size, '1: samples of one channel');
    const padding = settings.number('padding_value', 0);
    if (padding !== 0) settings.refuse('padding_value', padding, '0');
  }

  /**
   * Prepares recordings: samples of one channel from -1 to 1 at `samplingRate`. Shorter ones are padded with zeros.
   * Returns [recordings, samples]. Throws ArgumentError for values other than a Float32Array, or not finite.
   */
  process(recordings: readonly Float32Array[]): Features {
    return atOnce(this.processInParts(recordings));
  }

  /** Same as `process`. Pauses after every few milliseconds of work. */
  *processInParts(recordings: readonly Float32Array[]): Generator<undefined, Features> {
    const isSound = (samples: unknown) => isTyped(samples, 'Float32Array');
    if (!Array.isArray(recordings) || !recordings.every(isSound))
      throw new ArgumentError(
        `wav2vec2: the recordings are ${describeValue(recordings)}, expected an array of Float32Array`,
      );
    const longest = recordings.reduce((max, samples) => Math.max(max, samples.length), 0);
    const data = new Float32Array(recordings.length * longest);
    for (const [i, samples] of recordings.entries()) yield* this.#prepare(samples, data.subarray(i * longest));
    return { data, shape: [recordings.length, longest] };
  }

  *#prepare(samples: Float32Array, into: Float32Array): Generator<undefined, void> {
    let [sum, squares] = [0, 0];
    for (let i = 0; i < samples.length; i++) {
      if (i % SAMPLES === 0) yield;
      sum += samples[i] as number;
    }
    const mean = this.#normalizes ? sum / samples.length : 0;
    for (let i = 0; i < samples.length; i++) {
      if (i % SAMPLES === 0) yield;
      squares += ((samples[i] as number) - mean) ** 2;
    }
    if (!Number.isFinite(squares)) throw new ArgumentError('wav2vec2: a recording has a sample that is not finite');
    const factor = this.#normalizes ? 1 / Math.sqrt(squares / samples.length + EPSILON) : 1;
    for (let i = 0; i < samples.length; i++) {
      if (i % SAMPLES === 0) yield;
      into[i] = ((samples[i] as number) - mean) * factor;
    }
  }
}
