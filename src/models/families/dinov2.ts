import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Dropout, DropPath } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerScale } from '../../nn/layer-scale.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { gather } from '../../ops/move.js';
import { activationOf, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import { labelsOf } from '../labels.js';
import type { ModelConfig } from '../model-config.js';
import { dinov2Module } from '../module-names.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { TowerModel } from '../tower-model.js';
import { patchesOf, VisionTower } from '../towers.js';
import { imageDefaults, imageNames } from './vit.js';

/**
 * DINOv2 (Oquab et al. 2023, arXiv 2304.07193): a vision Transformer with layer scale, for images of any size. The
 * model type `dinov2_with_registers` has register tokens (Darcet et al. 2023, arXiv 2309.16588).
 */
export class Dinov2 extends TowerModel {
  override readonly text = null;
  readonly vision: VisionTower;
  /** float32 [dModel]: replaces masked patches in pre-training. It is loaded and saved, but not used. */
  readonly maskToken: Tensor | null;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context, ['image-classification']);
    const { init, config, head } = context;
    const dModel = config.size('hidden_size');
    const registers = config.numberOrNull('num_register_tokens');
    const norm = () => new LayerNorm(init, dModel, config.number('layer_norm_eps'));
    const ofAttention = () => dropoutOf(config, 'attention_probs_dropout_prob', this.randomness);
    const attention = { dModel, heads: config.size('num_attention_heads'), bias: config.flag('qkv_bias') };
    const layer = () =>
      new TransformerLayer({
        selfAttn: () => new MultiHeadAttention(init, { ...attention, outBias: true, dropout: ofAttention() }),
        feedForward: () => dinov2FeedForward(init, config, true),
        norm,
        postNorm: () => new LayerScale(init, dModel, config.number('layerscale_value')),
        dropout: () => new DropPath(config.numberOrNull('drop_path_rate') ?? 0, this.randomness),
        wiring: 'pre',
        randomness: this.randomness,
      });
    this.vision = new VisionTower({
      patches: patchesOf(
        init,
        config,
        registers === null
          ? { interpolate: true }
          : { registers, registerPositions: false, interpolate: 'antialiased' },
      ),
      start: new Dropout(config.number('hidden_dropout_prob'), this.randomness),
      encoder: new Stack(config.size('num_hidden_layers'), layer, null),
      norm: norm(),
      pooler: new PredictionHead({ pick: 'first' }),
    });
    this.maskToken = config.flag('use_mask_token') ? init.constant([dModel], 0) : null;
    const classes = labelsOf(config.values).length;
    this.head =
      head === 'image-classification' ? new Dinov2Head(new Linear(init, 2 * dModel, classes), registers ?? 0) : null;
  }

  protected override get bodyName(): string {
    return this.settings.type;
  }

  override moduleName(name: string): string {
    return dinov2Module(name);
  }

  protected override get stateNames(): StateNames {
    const { bodyName: body } = this;
    const [layer, isGated] = [`${body}.encoder.layer.*`, this.settings.flag('use_swiglu_ffn')];
    const [inner, outer] = isGated ? ['weights_in', 'weights_out'] : ['fc1', 'fc2'];
    return {
      ...imageNames(body),
      'vision.patches.registers': { name: `${body}.embeddings.register_tokens`, leading: [1] },
      'vision.encoder.layers.*.norm1': `${layer}.norm1`,
      'vision.encoder.layers.*.norm2': `${layer}.norm2`,
      'vision.encoder.layers.*.post_norms.0.weight': `${layer}.layer_scale1.lambda1`,
      'vision.encoder.layers.*.post_norms.1.weight': `${layer}.layer_scale2.lambda1`,
      'vision.encoder.layers.*.feed_forward.linear1': `${layer}.mlp.${inner}`,
      'vision.encoder.layers.*.feed_forward.linear2': `${layer}.mlp.${outer}`,
      mask_token: { name: `${body}.embeddings.mask_token`, leading: [1] },
    };
  }
}

/** Classifies the class token beside the mean of the patches. */
class Dinov2Head extends PredictionHead {
  /** `registers`: number of tokens after the class token other than patches. */
  constructor(
    out: Linear,
    private readonly registers: number,
  ) {
    super({ pick: 'firstAndRest', out });
  }

  override forward(features: Tensor, batch: Sequences): Tensor {
    const { registers } = this;
    if (registers === 0) return super.forward(features, batch);
    const { device } = features;
    const length = batch.longest;
    const rows = Array.from({ length: batch.total }, (_, row) => row);
    const kept = rows.filter((row) => row % length === 0 || row % length > registers);
    const shorter = Sequences.of(device, Array<number>(batch.size).fill(length - registers));
    return super.forward(gather(features, device.tensor(Int32Array.from(kept))), shorter);
  }
}

/**
 * Returns a network of two matrices, or SwiGLU with two thirds of the hidden features, rounded up to a multiple of 8.
 * `fused`: true if one matrix holds SwiGLU's first two.
 */
export function dinov2FeedForward(init: Initializer, config: ModelConfig, fused: boolean): FeedForward {
  const dModel = config.size('hidden_size');
  const dFF = Math.trunc(dModel * config.number('mlp_ratio'));
  if (!config.flag('use_swiglu_ffn'))
    return new FeedForward(init, { dModel, dFF, activation: activationOf(config.text('hidden_act')) });
  const gated = Math.floor((Math.trunc((dFF * 2) / 3) + 7) / 8) * 8;
  return new FeedForward(init, { dModel, dFF: gated, activation: 'silu', gated: true, fused });
}

/** Returns the layers in `out_features` or `out_indices`. 0 stands for the embeddings. Throws FormatError. */
export function stagesOf(backbone: ModelConfig, count: number): number[] {
  backbone.expect('reshape_hidden_states', false);
  const last = backbone.size('num_hidden_layers');
  const { out_features: names, out_indices: indices } = backbone.values;
  const stages = Array.isArray(names)
    ? names.map((name) => (name === 'stem' ? 0 : Number(/^stage(\d+)$/.exec(String(name))?.[1])))
    : ((indices ?? [last]) as number[]).map((index) => (index < 0 ? index + last + 1 : index));
  const isFit = stages.every((stage, i) => stage <= last && stage > (stages[i - 1] ?? -1));
  if (stages.length === count && isFit) return stages;
  const described = describeValue(names ?? indices);
  throw new FormatError(
    `config.json: out_features of backbone_config is ${described}, expected ${count} of ${last} layers, in their order`,
  );
}

/**
 * Features of the given layers, after the norm, and of all layers, before it. Each is [B, tokens, dModel]. Yields after
 * each layer.
 */
export function* stagesInParts(
  { vision, config }: Dinov2,
  stages: readonly number[],
  pixelValues: Tensor,
): Generator<unknown, { stages: Tensor[]; hiddenStates: Tensor[] }> {
  const size = pixelValues.shape[0] as number;
  const { hiddenStates: rows } = yield* vision.forwardInParts({ pixelValues });
  const hiddenStates = rows.map((state) => state.reshape(size, -1, state.shape[1] as number));
  const norm = config.apply_layernorm === false ? null : vision.norm;
  const normed = (stage: number) => {
    const state = hiddenStates[stage] as Tensor;
    return norm?.forward(state) ?? state;
  };
  return { stages: stages.map(normed), hiddenStates };
}

export const dinov2: Family = {
  model: Dinov2,
  className: 'Dinov2',
  defaults: {
    ...imageDefaults,
    mlp_ratio: 4,
    layer_norm_eps: 1e-6,
    patch_size: 14,
    layerscale_value: 1,
    drop_path_rate: 0,
    use_swiglu_ffn: false,
    apply_layernorm: true,
    use_mask_token: true,
  },
};

export const dinov2WithRegisters: Family = {
  ...dinov2,
  className: 'Dinov2WithRegisters',
  defaults: { ...dinov2.defaults, patch_size: 16, num_register_tokens: 4 },
};
