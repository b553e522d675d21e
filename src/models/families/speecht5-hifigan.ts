import { checkNumber, describeShape, describeValue } from '../../core/check.js';
import { ArgumentError, ShapeError } from '../../core/errors.js';
import { Tensor } from '../../core/tensor.js';
import { HifiGan } from '../../nn/hifi-gan.js';
import { inferenceAsync } from '../../nn/inference-async.js';
import type { StateNames } from '../../nn/state-names.js';
import { div, sub } from '../../ops/binary.js';
import type { Family } from '../family.js';
import { HIFI_GAN_DEFAULTS, hifiGanOptions } from '../hifi-gan-config.js';
import type { ModelInputs, ModelOutput } from '../inputs.js';
import { checkHead } from '../prediction-head.js';
import { type FamilyContext, PretrainedModel } from '../pretrained-model.js';

/** SpeechT5's vocoder: log-mel spectrograms → samples. */
export class SpeechT5HifiGan extends PretrainedModel {
  readonly generator: HifiGan;
  /** Mean and standard deviation of each bin in the spectrograms of training, both [bins]. */
  readonly mean: Tensor;
  readonly scale: Tensor;
  override readonly encoder = null;
  override readonly decoder = null;
  override readonly head = null;

  constructor(context: FamilyContext) {
    super(context);
    checkHead(context, ['none']);
    const { init, config } = context;
    const bins = config.size('model_in_dim');
    this.generator = new HifiGan(init, { ...hifiGanOptions(config), inputs: bins, outBias: true });
    this.mean = init.buffer([bins], 0);
    this.scale = init.buffer([bins], 1);
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['spectrogram'];
  }

  protected override *runInParts({ spectrogram }: ModelInputs): Generator<undefined, ModelOutput> {
    const bins = this.settings.size('model_in_dim');
    const expected = `a tensor [batch, frames, ${bins}]`;
    if (!(spectrogram instanceof Tensor))
      throw new ArgumentError(`forward: spectrogram is ${describeValue(spectrogram)}, expected ${expected}`);
    if (spectrogram.shape.length !== 3 || spectrogram.shape[2] !== bins)
      throw new ShapeError(`forward: spectrogram is ${describeShape(spectrogram.shape)}, expected ${expected}`);
    const isNormed = this.settings.flag('normalize_before');
    const x = isNormed ? div(sub(spectrogram, this.mean), this.scale) : spectrogram;
    return { waveform: yield* this.generator.forwardInParts(x) };
  }

  /**
   * Turns a spectrogram [frames, bins], row by row, into samples from −1 to 1. Rejects with the errors of `forward`.
   */
  async speak(spectrogram: Float32Array): Promise<Float32Array> {
    const bins = this.settings.size('model_in_dim');
    checkNumber('speak', 'the number of values', spectrogram.length, (n) => n > 0 && n % bins === 0, `rows of ${bins}`);
    const model = this;
    const waveform = await inferenceAsync(this, function* () {
      const frames = model.device.tensor(spectrogram, [1, spectrogram.length / bins, bins]);
      return (yield* model.forwardInParts({ spectrogram: frames })).waveform as Tensor;
    });
    const samples = (await waveform.data()) as Float32Array;
    waveform.dispose();
    return samples;
  }

  get samplingRate(): number {
    return this.settings.size('sampling_rate');
  }

  protected override mapsOf(): ModelOutput {
    return {};
  }

  protected override embedSource(): Tensor {
    throw new ArgumentError('encode: the model reads spectrograms, expected forward() with spectrogram');
  }

  protected override embedTarget(): Tensor {
    throw new ArgumentError('step: the model has no decoder');
  }

  override get startId(): number | null {
    return null;
  }

  protected override get stateNames(): StateNames {
    return { generator: '' };
  }
}

export const speechT5HifiGan: Family = {
  model: SpeechT5HifiGan,
  className: 'SpeechT5HifiGan',
  defaults: {
    model_in_dim: 80,
    sampling_rate: 16000,
    ...HIFI_GAN_DEFAULTS,
    upsample_rates: [4, 4, 4, 4],
    upsample_kernel_sizes: [8, 8, 8, 8],
    normalize_before: true,
  },
};
