import type { Tensor } from '../../core/tensor.js';
import { Linear } from '../../nn/linear.js';
import { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import { activate } from '../../ops/activation.js';
import { add, mul } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat, slice } from '../../ops/move.js';
import { mean } from '../../ops/reduce.js';
import { activationOf } from '../config-values.js';
import type { Family } from '../family.js';
import { framesWithPadding } from '../frame-adapter.js';
import type { FamilyContext } from '../pretrained-model.js';
import { CLASSIFYING } from '../sound-heads.js';
import type { Frames, SoundSize } from '../sound-model.js';
import { ConvPositions, type FramePositions, Wav2Vec2, wav2vec2, wav2vec2Defaults } from './wav2vec2.js';

/**
 * SEW (Wu et al. 2021, arXiv 2109.06870): wav2vec 2.0 whose encoder reads the means of several frames. A projection
 * makes several frames of each of its results.
 */
class Sew extends Wav2Vec2 {
  readonly upsampling: Linear;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config, head } = context;
    if (CLASSIFYING.includes(head)) config.expect('use_weighted_layer_sum', false); // its frames are not those of the mask
    const dModel = config.size('hidden_size');
    this.upsampling = new Linear(init, dModel, dModel * this.#factor);
  }

  /** Number of frames that the encoder reads as one. */
  get #factor(): number {
    return this.settings.size('squeeze_factor');
  }

  protected override projects(channels: number, dModel: number): boolean {
    return channels !== dModel;
  }

  protected override positionsOf({ init, config }: FamilyContext): FramePositions {
    const [taps, groups] = [config.size('num_conv_pos_embeddings'), config.size('num_conv_pos_embedding_groups')];
    const activation = activationOf(config.text('feat_extract_activation'));
    const stride = config.size('squeeze_factor');
    return new ConvPositions(init, config.size('hidden_size'), taps, groups, activation, { stride });
  }

  protected override encodedFramesOf(samples: number): number {
    return Math.floor(this.featureFramesOf(samples) / this.#factor);
  }

  /** Frames that are partly padding count. */
  protected override ownEncodedFramesOf(samples: number): number {
    return Math.ceil(this.featureFramesOf(samples) / this.#factor);
  }

  protected override embedSound(values: Tensor, batch: Sequences, counts: readonly number[] | null): Tensor {
    const features = this.extracted(values);
    const [size, time, dModel] = features.shape as [number, number, number];
    const all = Sequences.of(values.device, Array<number>(size).fill(time));
    const augmented = this.specAugment?.forward(features.reshape(size * time, dModel), all) ?? features;
    const frames = framesWithPadding(
      all,
      time,
      counts?.map((count) => this.featureFramesOf(count)),
    );
    const mask = frames.tokenMask?.reshape(size, time, 1);
    const x = augmented.reshape(size, time, dModel);
    const visible = mask ? mul(x, mask) : x;
    const squeezed = batch.longest;
    const whole = contiguous(slice(visible, 1, 0, squeezed * this.#factor));
    const means = mean(whole.reshape(size, squeezed, this.#factor, dModel), { axis: 2 });
    const placed = add(means, (this.positions as FramePositions).forward(visible)).reshape(batch.total, dModel);
    return this.startDropout.forward(this.startNorm?.forward(placed) ?? placed);
  }

  protected override adapt({ x, batch }: Frames, { longest, counts }: SoundSize): Frames {
    const { size } = batch;
    const time = this.featureFramesOf(longest);
    const activation = activationOf(this.settings.text('feat_extract_activation'));
    const y = activate('Sew', this.upsampling.forward(x), activation).reshape(size, batch.longest * this.#factor, -1);
    const [, made, dModel] = y.shape as [number, number, number];
    const padded = made < time ? concat([y, x.device.zeros([size, time - made, dModel])], 1) : y;
    const after = framesWithPadding(
      batch,
      time,
      counts?.map((count) => this.featureFramesOf(count)),
    );
    return { x: padded.reshape(after.total, dModel), batch: after };
  }

  protected override get stateNames(): StateNames {
    return {
      ...super.stateNames,
      feature_norm: 'sew.layer_norm',
      feature_projection: 'sew.feature_projection',
      upsampling: 'sew.encoder.upsample.projection',
    };
  }
}

export const sew: Family = {
  ...wav2vec2,
  model: Sew,
  className: 'SEW',
  defaults: {
    ...wav2vec2Defaults,
    squeeze_factor: 2,
    conv_dim: [64, 128, 128, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512],
    conv_stride: [5, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1],
    conv_kernel: [10, 3, 1, 3, 1, 3, 1, 3, 1, 2, 1, 2, 1],
    ctc_loss_reduction: 'mean',
  },
};
