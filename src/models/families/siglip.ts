import type { Tensor } from '../../core/tensor.js';
import { AttentionPooling } from '../../nn/attention-pooling.js';
import type { Randomness } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import type { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { scale } from '../../ops/binary.js';
import { bceWithLogits } from '../../ops/losses.js';
import { type Contrast, contrast, DualEncoderModel } from '../dual-encoder-model.js';
import type { Family } from '../family.js';
import type { PaddingUse } from '../inputs.js';
import { labelsOf } from '../labels.js';
import { type Json, ModelConfig } from '../model-config.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import {
  type ImageTower,
  patchesOf,
  TextTower,
  towerDefaults,
  towerEncoder,
  towerFeedForward,
  towerNames,
  towerTokens,
  VisionTower,
} from '../towers.js';

/**
 * SigLIP (Zhai et al. 2023, arXiv 2303.15343): an encoder of texts and one of images. They are trained to classify
 * single pairs as matching or not. The model types `siglip_text_model` and `siglip_vision_model` have one of them.
 * Texts are pooled at their last token. As in training, pad them to the full length, without a mask.
 */
export class Siglip extends DualEncoderModel {
  readonly text: TextTower | null;
  readonly vision: ImageTower | null;
  /** `logitScale` (a logarithm) and `logitBias`: float32 [1]. */
  readonly logitScale: Tensor | null;
  readonly logitBias: Tensor | null;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    const { init, config, head } = context;
    const isBoth = !/_(text|vision)_model$/.test(config.type);
    super(context, isBoth ? ['image-classification'] : []);
    const towerConfig = (side: 'text' | 'vision') => {
      if (config.type.endsWith(`_${side}_model`)) return config;
      const isUsed = isBoth && !(side === 'text' && head === 'image-classification');
      return isUsed ? new ModelConfig(config.object(`${side}_config`)) : null;
    };
    const [text, vision] = [towerConfig('text'), towerConfig('vision')];
    this.text = text && siglipText(init, text, this.randomness);
    this.vision = vision && this.makeVision(init, vision);
    this.logitScale = text && vision ? init.constant([1], 0) : null;
    this.logitBias = text && vision ? init.constant([1], 0) : null;
    this.head =
      vision && head === 'image-classification'
        ? new PredictionHead({
            pick: 'mean',
            out: new Linear(init, vision.size('hidden_size'), labelsOf(config.values).length),
          })
        : null;
  }

  protected makeVision(init: Initializer, config: ModelConfig): ImageTower {
    return siglipVision(init, config, this.randomness);
  }

  /** The last row represents a text, padding or not, because the model was trained on padded texts without a mask. */
  protected override get textPadding(): PaddingUse {
    return 'kept';
  }

  protected override compare(texts: Tensor, images: Tensor): Contrast {
    return contrast(texts, images, this.logitScale as Tensor, this.logitBias);
  }

  /** Returns the binary cross entropy of all pairs: the sum over images, and the mean over texts. */
  protected override contrastLoss(logits: Tensor): Tensor {
    const size = logits.shape[0] as number;
    const isPair = Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
    return scale(bceWithLogits(logits, logits.device.tensor(isPair, [size, size])), size);
  }

  protected override get stateNames(): StateNames {
    return {
      'text.pooler.dense': 'text_model.head',
      ...siglipNames,
      ...towerNames('text'),
      'head.out': 'classifier',
    };
  }
}

const POOLER = 'vision_model.head';

/** Names of the encoder of images. */
export const siglipNames: StateNames = {
  'vision.pooler.probe': { name: `${POOLER}.probe`, leading: [1, 1] },
  'vision.pooler.attention.qkv.weight': `${POOLER}.attention.in_proj_weight`,
  'vision.pooler.attention.qkv.bias': `${POOLER}.attention.in_proj_bias`,
  'vision.pooler.attention.out_proj': `${POOLER}.attention.out_proj`,
  'vision.pooler.norm': `${POOLER}.layernorm`,
  'vision.pooler.feed_forward.linear1': `${POOLER}.mlp.fc1`,
  'vision.pooler.feed_forward.linear2': `${POOLER}.mlp.fc2`,
  ...towerNames('vision'),
};

function siglipText(init: Initializer, config: ModelConfig, randomness: Randomness): TextTower {
  const dense = new Linear(init, config.size('hidden_size'), config.size('projection_size'));
  return new TextTower(init, config, false, new PredictionHead({ pick: 'last', dense }), randomness);
}

/** The encoder of images of a fixed size. */
export function siglipVision(init: Initializer, config: ModelConfig, randomness: Randomness): VisionTower {
  const patches = patchesOf(init, config, { classToken: false });
  return new VisionTower({ patches, ...siglipEncoder(init, config, randomness) });
}

/** The parts of the encoder of images after the patches. */
export function siglipEncoder(
  init: Initializer,
  config: ModelConfig,
  randomness: Randomness,
): Pick<ImageTower, 'pooler'> & { encoder: Stack; norm: LayerNorm } {
  const [dModel, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
  const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
  return {
    encoder: towerEncoder(init, config, false, randomness),
    norm: norm(),
    pooler: config.flag('vision_use_head')
      ? new AttentionPooling(init, { dModel, heads, norm, feedForward: () => towerFeedForward(init, config) })
      : null,
  };
}

export const siglip: Family = {
  model: Siglip,
  className: 'Siglip',
  defaults: {},
  parts: { text_config: 'siglip_text_model', vision_config: 'siglip_vision_model' },
  towerHead: 'none',
};

export const siglipTowerDefaults: Json = { ...towerDefaults, hidden_act: 'gelu_pytorch_tanh', layer_norm_eps: 1e-6 };

export const siglipTextModel: Family = {
  model: Siglip,
  className: 'SiglipText',
  defaults: {
    ...siglipTowerDefaults,
    ...towerTokens,
    vocab_size: 32000,
    max_position_embeddings: 64,
    projection_size: null,
  },
  complete: (config) => {
    config.projection_size ??= config.hidden_size;
  },
};

export const siglipVisionModel: Family = {
  model: Siglip,
  className: 'SiglipVision',
  defaults: { ...siglipTowerDefaults, num_channels: 3, image_size: 224, patch_size: 16, vision_use_head: true },
};
