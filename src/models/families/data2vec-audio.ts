import type { Tensor } from '../../core/tensor.js';
import { Conv1d } from '../../nn/conv.js';
import type { Initializer } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { PlainLayerNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { type Activation, activate } from '../../ops/activation.js';
import { slice } from '../../ops/move.js';
import { activationOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import type { FamilyContext } from '../pretrained-model.js';
import { type FramePositions, Wav2Vec2, wav2vec2, wav2vec2Defaults } from './wav2vec2.js';

/** Position embeddings from several grouped convolutions, each with a norm and an activation. */
class ConvPositionStack extends Module {
  readonly layers: readonly Conv1d[];
  readonly norm: PlainLayerNorm;
  readonly #activation: Activation;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    const dModel = config.size('hidden_size');
    const kernel = config.size('conv_pos_kernel_size');
    const options = { kernel, padding: Math.floor(kernel / 2), groups: config.size('num_conv_pos_embedding_groups') };
    const conv = () => new Conv1d(init, { inputs: dModel, outputs: dModel, ...options, channelsLast: true });
    this.layers = Array.from({ length: config.size('num_conv_pos_embeddings') }, conv);
    this.norm = new PlainLayerNorm(init, dModel);
    this.#activation = activationOf(config.text('feat_extract_activation'));
  }

  forward(x: Tensor): Tensor {
    const time = x.shape[1] as number;
    // With an even kernel size, the output of a convolution is one frame too long.
    const layer = (y: Tensor, conv: Conv1d) =>
      activate('ConvPositionStack', this.norm.forward(slice(conv.forward(y), 1, 0, time)), this.#activation);
    return this.layers.reduce(layer, x);
  }
}

/** data2vec for sound (Baevski et al. 2022, arXiv 2202.03555): wav2vec 2.0 with several convolutions for positions. */
class Data2VecAudio extends Wav2Vec2 {
  protected override positionsOf({ init, config }: FamilyContext): FramePositions {
    return new ConvPositionStack(init, config);
  }

  protected override get stateNames(): StateNames {
    return {
      ...super.stateNames,
      'positions.layers.*': 'data2vec_audio.encoder.pos_conv_embed.layers.*.conv',
    };
  }
}

export const data2VecAudio: Family = {
  ...wav2vec2,
  model: Data2VecAudio,
  className: 'Data2VecAudio',
  defaults: {
    ...wav2vec2Defaults,
    feat_extract_norm: 'layer',
    conv_pos_kernel_size: 19,
    num_conv_pos_embeddings: 5,
  },
};
