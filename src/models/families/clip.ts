import type { Tensor } from '../../core/tensor.js';
import type { Randomness } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import type { TokenBatch } from '../../nn/token-batch.js';
import { argmax } from '../../ops/axis.js';
import { add, equal, where } from '../../ops/binary.js';
import { gather, unpack } from '../../ops/move.js';
import { type Contrast, contrast, DualEncoderModel, pairLoss } from '../dual-encoder-model.js';
import type { Family } from '../family.js';
import { labelsOf } from '../labels.js';
import { ModelConfig } from '../model-config.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import {
  patchesOf,
  TextTower,
  type TowerPooler,
  towerDefaults,
  towerEncoder,
  towerNames,
  towerTokens,
  VisionTower,
} from '../towers.js';

/**
 * CLIP (Radford et al. 2021, arXiv 2103.00020): a causal encoder of texts and an encoder of images with comparable
 * vectors. The model types `clip_text_model` and `clip_vision_model` have one of them.
 */
export class Clip extends DualEncoderModel {
  readonly text: TextTower | null;
  readonly vision: VisionTower | null;
  override readonly textProjection: Linear | null;
  override readonly visualProjection: Linear | null;
  /** A scalar: the logarithm of the factor of the cosines. */
  readonly logitScale: Tensor | null;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    const { init, config, head } = context;
    const isBoth = config.type === 'clip';
    super(context, [isBoth ? 'image-classification' : 'projection']);
    const towerConfig = (side: 'text' | 'vision') => {
      if (config.type === `clip_${side}_model`) return config;
      const isUsed = isBoth && !(side === 'text' && head === 'image-classification');
      return isUsed ? new ModelConfig(config.object(`${side}_config`)) : null;
    };
    const [text, vision] = [towerConfig('text'), towerConfig('vision')];
    this.text = text && new TextTower(init, text, true, new EndPooler(text), this.randomness);
    this.vision = vision && clipVision(init, vision, this.randomness);
    const isProjected = head === 'projection' || (isBoth && head === 'none');
    const projection = (side: ModelConfig | null) =>
      side && isProjected ? new Linear(init, side.size('hidden_size'), config.size('projection_dim'), false) : null;
    this.visualProjection = projection(vision);
    this.textProjection = projection(text);
    this.logitScale = text && vision ? init.constant([], config.number('logit_scale_init_value')) : null;
    this.head =
      vision && head === 'image-classification'
        ? new PredictionHead({
            pick: 'meanOfRest',
            out: new Linear(init, vision.size('hidden_size'), labelsOf(config.values).length),
          })
        : null;
  }

  protected override compare(text: Tensor, image: Tensor): Contrast {
    return contrast(text, image, this.logitScale as Tensor);
  }

  /** Returns the mean of two cross entropies: of the image for each text, and of the text for each image. */
  protected override contrastLoss(logits: Tensor): Tensor {
    return pairLoss(logits);
  }

  protected override get stateNames(): StateNames {
    return {
      ...towerNames('text'),
      'vision.start': 'vision_model.pre_layrnorm',
      'vision.pooler.norm': 'vision_model.post_layernorm',
      ...towerNames('vision'),
      'head.out': 'classifier',
    };
  }
}

/** The tower of images of CLIP, CLIPSeg and OWL. `interpolate`: whether images may have other sizes. */
export function clipVision(
  init: Initializer,
  config: ModelConfig,
  randomness: Randomness,
  interpolate = false,
): VisionTower {
  const norm = () => new LayerNorm(init, config.size('hidden_size'), config.number('layer_norm_eps'));
  return new VisionTower({
    patches: patchesOf(init, config, { bias: false, interpolate }),
    start: norm(),
    encoder: towerEncoder(init, config, false, randomness),
    pooler: new PredictionHead({ pick: 'first', norm: norm() }),
  });
}

/**
 * Selects the row of each text's first end token. If the config has the old end id, 2, it selects the row with the
 * largest id.
 */
export class EndPooler extends Module implements TowerPooler<TokenBatch> {
  readonly #end: number;
  readonly #vocabulary: number;

  /** `end`: the end id; the default is the config's. */
  constructor(config: ModelConfig, end = config.number('eos_token_id')) {
    super();
    this.#end = end;
    this.#vocabulary = config.size('vocab_size');
  }

  forward(features: Tensor, batch: TokenBatch): Tensor {
    const { device } = features;
    const { ids, lengths, longest, starts } = batch;
    const ranks =
      this.#end === OLD_END
        ? gather(device.tensor(Float32Array.from({ length: this.#vocabulary }, (_, id) => id)), ids)
        : where(equal(ids, this.#end), device.full([], 1), 0);
    const maxIndex = argmax(unpack(ranks.reshape(-1, 1), lengths, longest).reshape(batch.size, longest), { axis: 1 });
    return gather(features, add(maxIndex, device.tensor(starts)));
  }
}

/** Wrong end id in older configs. It means that the token with the largest id ends a text. */
export const OLD_END = 2;

export const clip: Family = {
  model: Clip,
  className: 'CLIP',
  defaults: { projection_dim: 512, logit_scale_init_value: 2.6592 },
  parts: { text_config: 'clip_text_model', vision_config: 'clip_vision_model' },
  towerHead: 'projection',
};

const towers = { ...towerDefaults, projection_dim: 512, hidden_act: 'quick_gelu', layer_norm_eps: 1e-5 };

export const clipTextModel: Family = {
  model: Clip,
  className: 'CLIPText',
  defaults: {
    ...towers,
    ...towerTokens,
    vocab_size: 49408,
    hidden_size: 512,
    intermediate_size: 2048,
    num_attention_heads: 8,
    max_position_embeddings: 77,
  },
};

export const clipVisionModel: Family = {
  model: Clip,
  className: 'CLIPVision',
  defaults: { ...towers, num_channels: 3, image_size: 224, patch_size: 32 },
};
