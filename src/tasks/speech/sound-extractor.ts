// Conversion of sounds to inputs of a model: samples, or columns of features.

import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import type { SoundModel } from '../../models/sound-model.js';
import type { LoadedModel } from '../../pretrained/load-later.js';
import type { Features } from '../../pretrained/processors/features.js';
import { Wav2Vec2FeatureExtractor } from '../../pretrained/processors/wav2vec2.js';

/** The feature extractor of a model, and its frames. */
export interface SoundExtractor {
  /** Hertz of the expected samples. */
  readonly samplingRate: number;
  /** Samples from one frame of the model to the next. */
  readonly step: number;
  /** Returns the number of the model's frames for a number of samples. */
  framesOf(samples: number): number;
  /** Pauses after every few milliseconds of work. */
  features(samples: Float32Array): Generator<undefined, Features>;
}

/** Returns the feature extractor of a model. Throws FormatError if there is none. */
export function extractorOf(task: string, model: LoadedModel): SoundExtractor {
  const { processor, config } = model;
  const { framesOf } = model as unknown as Pick<SoundModel, 'framesOf'>;
  const frames = (count: number) => (count < 1 ? 0 : framesOf.call(model, count));
  if (processor instanceof Wav2Vec2FeatureExtractor) {
    const strides = (config.conv_stride ?? [1]) as readonly number[];
    return {
      samplingRate: processor.samplingRate,
      step: strides.reduce((product, stride) => product * stride, 1),
      framesOf: frames,
      features: (samples) => processor.processInParts([samples]),
    };
  }
  if (processor && 'columnsOf' in processor) {
    const { subsampling_factor: factor = 1 } = (config.encoder_config ?? {}) as { subsampling_factor?: number };
    return {
      samplingRate: processor.samplingRate,
      step: processor.step * factor,
      framesOf: (samples) => frames(processor.columnsOf(samples)),
      features: (samples) => processor.processInParts([samples]),
    };
  }
  throw new FormatError(`${task}: the model's folder has no preprocessor_config.json for sound`);
}

/** Returns the model's input for a sound. Pauses after every few milliseconds of work. */
export function* inputOf(
  { device }: Pick<SoundModel, 'device'>,
  extractor: SoundExtractor,
  samples: Float32Array,
): Generator<undefined, Tensor> {
  const { data, shape } = yield* extractor.features(samples);
  yield;
  return device.tensor(data, shape);
}
