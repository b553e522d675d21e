import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import type { Randomness } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import type { PatchEmbedding } from '../../nn/patch-embedding.js';
import type { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { add, scale } from '../../ops/binary.js';
import { gather } from '../../ops/move.js';
import { activationOf, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import { labelsOf } from '../labels.js';
import type { Json } from '../model-config.js';
import { vitModule } from '../module-names.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { TowerModel } from '../tower-model.js';
import { patchesOf, VisionTower } from '../towers.js';

/**
 * The vision Transformer (Dosovitskiy et al. 2020, arXiv 2010.11929): pre-norm layers over patches and a class token.
 * The model type `deit` has a second token, which learned from a teacher (Touvron et al. 2020, arXiv 2012.12877).
 */
export class Vit extends TowerModel {
  override readonly text = null;
  readonly vision: VisionTower;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context, ['image-classification']);
    const { init, config, head } = context;
    const dModel = config.size('hidden_size');
    this.vision = vitTower(context, this.randomness, {
      patches: this.patchesOf(context),
      pools: head === 'none' && this.hasPooler,
    });
    const classifier = () => new Linear(init, dModel, labelsOf(config.values).length);
    const taught = () => new TaughtHead(classifier(), classifier());
    const plain = () => new PredictionHead({ pick: this.pick, out: classifier() });
    this.head = head === 'image-classification' ? (this.#isTaught ? taught() : plain()) : null;
  }

  protected patchesOf({ init, config }: FamilyContext): PatchEmbedding {
    return patchesOf(init, config, { registers: config.type === 'deit' ? 1 : 0 });
  }

  /** The rows that the classifier reads. */
  protected get pick(): 'first' | 'mean' {
    return 'first';
  }

  /** True if the body makes one vector of the class token. */
  protected get hasPooler(): boolean {
    return true;
  }

  /** True for a classifier that also learned from a teacher. */
  get #isTaught(): boolean {
    const { architectures } = this.settings.values;
    return String(architectures).endsWith('WithTeacher');
  }

  protected override get bodyName(): string {
    return this.settings.type;
  }

  override moduleName(name: string): string {
    return vitModule(name);
  }

  protected override get stateNames(): StateNames {
    const { bodyName } = this;
    return {
      ...vitNames(bodyName),
      'vision.patches.registers': { name: `${bodyName}.embeddings.distillation_token`, leading: [1] },
      'head.out': this.#isTaught ? 'cls_classifier' : 'classifier',
      'head.teacher': 'distillation_classifier',
    };
  }
}

/** Pre-norm layers over patches. `pools`: whether one vector is made of the class token. */
export function vitTower(
  { init, config }: FamilyContext,
  randomness: Randomness,
  { patches, pools }: { readonly patches: PatchEmbedding; readonly pools: boolean },
): VisionTower {
  const dModel = config.size('hidden_size');
  const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
  const dropout = () => dropoutOf(config, 'hidden_dropout_prob', randomness);
  const ofAttention = () => dropoutOf(config, 'attention_probs_dropout_prob', randomness);
  const attention = { dModel, heads: config.size('num_attention_heads'), bias: config.flag('qkv_bias') };
  const activation = activationOf(config.text('hidden_act'));
  const layer = () =>
    new TransformerLayer({
      selfAttn: () => new MultiHeadAttention(init, { ...attention, outBias: true, dropout: ofAttention() }),
      feedForward: () => new FeedForward(init, { dModel, dFF: config.size('intermediate_size'), activation }),
      norm,
      dropout,
      wiring: 'pre',
      randomness,
    });
  const pooler = () =>
    new PredictionHead({
      pick: 'first',
      dense: new Linear(init, dModel, config.size('pooler_output_size')),
      activation: activationOf(config.text('pooler_act')),
    });
  return new VisionTower({
    patches,
    start: dropout(),
    encoder: new Stack(config.size('num_hidden_layers'), layer, null),
    norm: norm(),
    pooler: pools ? pooler() : null,
  });
}

/** The mean of two classifiers: that of the class token, and that of the second token, which learned from a teacher. */
class TaughtHead extends PredictionHead {
  constructor(
    out: Linear,
    readonly teacher: Linear,
  ) {
    super({ pick: 'first', out });
  }

  override forward(features: Tensor, batch: Sequences): Tensor {
    const second = features.device.tensor(batch.starts.map((start) => start + 1));
    return scale(add(super.forward(features, batch), this.teacher.forward(gather(features, second))), 0.5);
  }
}

/** Names in checkpoints of ViT. */
export function vitNames(family: string): StateNames {
  const layer = `${family}.encoder.layer.*`;
  return {
    ...imageNames(family),
    'vision.encoder.layers.*.norm1': `${layer}.layernorm_before`,
    'vision.encoder.layers.*.norm2': `${layer}.layernorm_after`,
    'vision.encoder.layers.*.feed_forward.linear1': `${layer}.intermediate.dense`,
    'vision.encoder.layers.*.feed_forward.linear2': `${layer}.output.dense`,
    'vision.pooler.dense': `${family}.pooler.dense`,
  };
}

/** Names in checkpoints of ViT and its descendants. */
export function imageNames(family: string): StateNames {
  const [embeddings, attention] = [`${family}.embeddings`, `${family}.encoder.layer.*.attention`];
  return {
    'vision.patches.projection': `${embeddings}.patch_embeddings.projection`,
    'vision.patches.class_token': { name: `${embeddings}.cls_token`, leading: [1, 1] },
    'vision.patches.positions': { name: `${embeddings}.position_embeddings`, leading: [1] },
    'vision.encoder.layers.*.self_attn.qkv': ['query', 'key', 'value'].map((name) => `${attention}.attention.${name}`),
    'vision.encoder.layers.*.self_attn.out_proj': `${attention}.output.dense`,
    'vision.norm': `${family}.layernorm`,
    'head.out': 'classifier',
  };
}

/** Defaults of ViT and DINOv2. */
export const imageDefaults: Json = {
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  hidden_act: 'gelu',
  hidden_dropout_prob: 0,
  attention_probs_dropout_prob: 0,
  image_size: 224,
  patch_size: 16,
  num_channels: 3,
  qkv_bias: true,
};

export const vit: Family = {
  model: Vit,
  className: 'ViT',
  defaults: {
    ...imageDefaults,
    intermediate_size: 3072,
    layer_norm_eps: 1e-12,
    pooler_act: 'tanh',
    pooler_output_size: null,
  },
  complete: (config) => {
    config.pooler_output_size ??= config.hidden_size;
  },
};

export const deit: Family = { ...vit, className: 'DeiT' };

/** A ViT without a pooler, trained without labels (Assran et al. 2022, arXiv 2204.07141). */
class VitMsn extends Vit {
  protected override get hasPooler(): boolean {
    return false;
  }

  protected override get bodyName(): string {
    return 'vit';
  }
}

export const vitMsn: Family = {
  model: VitMsn,
  className: 'ViTMSN',
  defaults: { ...imageDefaults, intermediate_size: 3072, layer_norm_eps: 1e-6 },
};

/** I-JEPA (Assran et al. 2023, arXiv 2301.08243): a ViT without a class token. */
class IJepa extends VitMsn {
  protected override patchesOf({ init, config }: FamilyContext): PatchEmbedding {
    return patchesOf(init, config, { classToken: false });
  }

  protected override get pick(): 'first' | 'mean' {
    return 'mean';
  }

  protected override get bodyName(): string {
    return 'ijepa';
  }
}

export const iJepa: Family = {
  model: IJepa,
  className: 'IJepa',
  defaults: { ...imageDefaults, intermediate_size: 3072, layer_norm_eps: 1e-12 },
};

/**
 * The encoder of masked autoencoders (He et al. 2021, arXiv 2111.06377), which reads all patches: transformers computes
 * the same with `mask_ratio` 0, but in random order. The decoder, which restores masked patches, is not computed.
 */
class VitMae extends VitMsn {
  override readonly keptNames = /^decoder\./;

  override ignores(name: string): boolean {
    return this.keptNames.test(name);
  }
}

export const vitMae: Family = {
  model: VitMae,
  className: 'ViTMAE',
  defaults: { ...imageDefaults, intermediate_size: 3072, layer_norm_eps: 1e-12 },
};
