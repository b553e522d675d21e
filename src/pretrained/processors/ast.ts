import { atOnce } from '../../core/slices.js';
import type { Features } from './features.js';
import { type FilterBank, KaldiFilterBank, single } from './filter-banks.js';
import { type Json, Settings } from './settings.js';

/** Features of the audio spectrogram Transformer: Kaldi's filter banks of a fixed length, with zeros at the end. */
export class AstFeatureExtractor implements FilterBank {
  readonly samplingRate: number;
  readonly step = 160;
  readonly #columns: number;
  /** Mean and deviation of the training data; null if features are not normalized. */
  readonly #norm: { readonly mean: number; readonly deviation: number } | null;
  readonly #bank: KaldiFilterBank;

  /** Takes the content of preprocessor_config.json. Throws FormatError for settings that are not supported. */
  constructor(config: Json = {}, where = 'preprocessor_config.json') {
    const settings = new Settings(where, config);
    this.samplingRate = settings.count('sampling_rate', 16000, 192000);
    this.#columns = settings.count('max_length', 1024, 65536);
    const [mean, deviation] = [settings.number('mean', -4.2677393), settings.number('std', 4.5689974)];
    this.#norm = settings.boolean('do_normalize', true) ? { mean, deviation: 2 * deviation } : null;
    this.#bank = new KaldiFilterBank(settings.count('num_mel_bins', 128, 1024), this.samplingRate, 1, 1);
  }

  columnsOf(): number {
    return this.#columns;
  }

  process(recordings: readonly [Float32Array]): Features {
    return atOnce(this.processInParts(recordings));
  }

  *processInParts(recordings: readonly [Float32Array]): Generator<undefined, Features> {
    const samples = single('audio-spectrogram-transformer', recordings);
    const { bins } = this.#bank;
    const values = yield* this.#bank.read(samples, Math.min(this.#columns, this.#bank.framesOf(samples.length)));
    const data = new Float32Array(this.#columns * bins);
    data.set(values);
    const norm = this.#norm;
    return { data: norm ? data.map((x) => (x - norm.mean) / norm.deviation) : data, shape: [1, this.#columns, bins] };
  }
}
