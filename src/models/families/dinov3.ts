import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { AxialRotary } from '../../nn/axial-rotary.js';
import { DropPath } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerScale } from '../../nn/layer-scale.js';
import { LayerNorm } from '../../nn/norm.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { activationOf, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import { dinov3Module } from '../module-names.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { TowerModel } from '../tower-model.js';
import { patchesOf, VisionTower } from '../towers.js';

/**
 * DINOv3 (Siméoni et al. 2025, arXiv 2508.10104): a vision Transformer with registers and layer scale. Queries and keys
 * of a patch rotate by its row and column, so images may have any size.
 */
export class Dinov3 extends TowerModel {
  override readonly text = null;
  readonly vision: VisionTower;
  /** float32 [dModel]: replaces masked patches in pre-training. It is loaded and saved, but not used. */
  readonly maskToken: Tensor;
  override readonly head = null;

  constructor(context: FamilyContext) {
    super(context, []);
    const { init, config } = context;
    const [dModel, heads] = [config.size('hidden_size'), config.size('num_attention_heads')];
    const registers = config.number('num_register_tokens');
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    const rotary = new AxialRotary(init, {
      headSize: dModel / heads,
      theta: config.number('rope_theta'),
      prefix: 1 + registers,
    });
    const [queries, keys, values] = ['query_bias', 'key_bias', 'value_bias'].map((name) => config.flag(name));
    const attention = () =>
      new MultiHeadAttention(init, {
        dModel,
        heads,
        rotary,
        bias: [queries === true, keys === true, values === true],
        outBias: config.flag('proj_bias'),
        dropout: dropoutOf(config, 'attention_dropout', this.randomness),
      });
    const feedForward = () =>
      new FeedForward(init, {
        dModel,
        dFF: config.size('intermediate_size'),
        activation: activationOf(config.text('hidden_act')),
        gated: config.flag('use_gated_mlp'),
        bias: config.flag('mlp_bias'),
      });
    const layer = () =>
      new TransformerLayer({
        selfAttn: attention,
        feedForward,
        norm,
        postNorm: () => new LayerScale(init, dModel, config.number('layerscale_value')),
        dropout: () => new DropPath(config.numberOrNull('drop_path_rate') ?? 0, this.randomness),
        wiring: 'pre',
        randomness: this.randomness,
      });
    this.vision = new VisionTower({
      patches: patchesOf(init, config, { registers, positions: false, interpolate: true }),
      encoder: new Stack(config.size('num_hidden_layers'), layer, null),
      norm: norm(),
      pooler: new PredictionHead({ pick: 'first' }),
      onGrid: (grid) => rotary.start(grid),
    });
    this.maskToken = init.constant([dModel], 0);
  }

  override moduleName(name: string): string {
    return dinov3Module(name);
  }

  protected override get stateNames(): StateNames {
    const [layer, encoder] = ['layer.*', 'vision.encoder.layers.*'];
    const isGated = this.settings.flag('use_gated_mlp');
    const biased = (name: string) =>
      this.settings.flag(`${name}_bias`) ? `${layer}.attention.${name[0]}_proj.bias` : null;
    return {
      'vision.patches.projection': 'embeddings.patch_embeddings',
      'vision.patches.class_token': { name: 'embeddings.cls_token', leading: [1, 1] },
      'vision.patches.registers': { name: 'embeddings.register_tokens', leading: [1] },
      mask_token: { name: 'embeddings.mask_token', leading: [1, 1] },
      [`${encoder}.self_attn.qkv.bias`]: ['query', 'key', 'value'].map(biased),
      [`${encoder}.self_attn.qkv`]: ['q', 'k', 'v'].map((name) => `${layer}.attention.${name}_proj`),
      [`${encoder}.self_attn.out_proj`]: `${layer}.attention.o_proj`,
      [`${encoder}.norm1`]: `${layer}.norm1`,
      [`${encoder}.norm2`]: `${layer}.norm2`,
      [`${encoder}.post_norms.0.weight`]: `${layer}.layer_scale1.lambda1`,
      [`${encoder}.post_norms.1.weight`]: `${layer}.layer_scale2.lambda1`,
      [`${encoder}.feed_forward.linear1`]: `${layer}.mlp.${isGated ? 'gate_proj' : 'up_proj'}`,
      [`${encoder}.feed_forward.linear3`]: `${layer}.mlp.up_proj`,
      [`${encoder}.feed_forward.linear2`]: `${layer}.mlp.down_proj`,
      'vision.norm': 'norm',
    };
  }
}

export const dinov3: Family = {
  model: Dinov3,
  className: 'DINOv3ViT',
  defaults: {
    patch_size: 16,
    hidden_size: 384,
    intermediate_size: 1536,
    num_hidden_layers: 12,
    num_attention_heads: 6,
    hidden_act: 'gelu',
    attention_dropout: 0,
    layer_norm_eps: 1e-5,
    rope_theta: 100,
    image_size: 224,
    num_channels: 3,
    query_bias: true,
    key_bias: false,
    value_bias: true,
    proj_bias: true,
    mlp_bias: true,
    layerscale_value: 1,
    drop_path_rate: 0,
    use_gated_mlp: false,
    num_register_tokens: 0,
    pos_embed_shift: null,
    pos_embed_jitter: null,
    pos_embed_rescale: 2,
  },
};
