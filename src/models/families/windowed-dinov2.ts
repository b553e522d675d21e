// RF-DETR's backbone.

import { isObject } from '../../core/check.js';
import { ShapeError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { type Dropout, DropPath, type Randomness } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import type { GridSize } from '../../nn/interpolation.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerScale } from '../../nn/layer-scale.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import type { PatchEmbedding } from '../../nn/patch-embedding.js';
import { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import { add } from '../../ops/binary.js';
import { concat, permute, slice } from '../../ops/move.js';
import { dropoutOf } from '../config-values.js';
import { type Json, ModelConfig } from '../model-config.js';
import { stagesOf } from '../resnet.js';
import { patchesOf } from '../towers.js';
import { dinov2FeedForward } from './dinov2.js';
import { imageDefaults } from './vit.js';

const backboneDefaults: Json = {
  ...imageDefaults,
  model_type: 'rf_detr_dinov2',
  patch_size: 14,
  mlp_ratio: 4,
  layer_norm_eps: 1e-6,
  layerscale_value: 1,
  drop_path_rate: 0,
  use_swiglu_ffn: false,
  apply_layernorm: true,
  reshape_hidden_states: true,
  use_mask_token: true,
  num_windows: 4,
};

/** The backbone if the config describes none. */
const usualBackbone: Json = {
  num_attention_heads: 6,
  hidden_size: 384,
  image_size: 518,
  out_features: ['stage2', 'stage5', 'stage8', 'stage11'],
};

/** Returns the settings of the backbone. Throws FormatError for a network other than windowed DINOv2. */
export function backboneOf(config: ModelConfig): ModelConfig {
  const { backbone_config: given } = config.values;
  const backbone = new ModelConfig({ ...backboneDefaults, ...(isObject(given) ? (given as Json) : usualBackbone) });
  backbone.expect('model_type', 'rf_detr_dinov2');
  backbone.expect('reshape_hidden_states', true);
  return backbone;
}

/** DINOv2 in which most layers attend within windows of the image, and some to the whole image. */
export class WindowedDinov2 extends Module {
  readonly patches: PatchEmbedding;
  /** float32 [dModel]: replaces masked patches in pre-training. It is loaded and saved, but not used. */
  readonly maskToken: Tensor | null;
  readonly layers: readonly TransformerLayer[];
  readonly norm: LayerNorm;
  readonly start: Dropout;
  /** True if the feed-forward networks are SwiGLU. */
  readonly isGated: boolean;
  /** Total number of features of all returned maps. */
  readonly features: number;
  /** Windows along each side of the image. */
  readonly #windows: number;
  /** For each layer: true if it attends within windows. */
  readonly #isLocal: readonly boolean[];
  /** Layers whose outputs are returned, counted from 1. 0 stands for the input of the first layer. */
  readonly #stages: readonly number[];
  readonly #normalizes: boolean;

  constructor(init: Initializer, config: ModelConfig, randomness: Randomness) {
    super();
    const [dModel, heads, depth] = ['hidden_size', 'num_attention_heads', 'num_hidden_layers'].map((name) =>
      config.size(name),
    ) as [number, number, number];
    const eps = config.number('layer_norm_eps');
    const headSize = config.sizeOrNull('head_dim') ?? Math.floor(dModel / heads);
    this.patches = patchesOf(init, config, { interpolate: 'antialiased' });
    this.maskToken = config.flag('use_mask_token') ? init.constant([dModel], 0) : null;
    this.start = dropoutOf(config, 'hidden_dropout_prob', randomness);
    this.isGated = config.flag('use_swiglu_ffn');
    const layer = () =>
      new TransformerLayer({
        selfAttn: () =>
          new MultiHeadAttention(init, {
            dModel,
            heads,
            headSize,
            bias: config.flag('qkv_bias'),
            outBias: true,
            dropout: dropoutOf(config, 'attention_probs_dropout_prob', randomness),
          }),
        feedForward: () => dinov2FeedForward(init, config, false),
        norm: () => new LayerNorm(init, dModel, eps),
        postNorm: () => new LayerScale(init, dModel, config.number('layerscale_value')),
        dropout: () => new DropPath(config.number('drop_path_rate'), randomness),
        wiring: 'pre',
        randomness,
      });
    this.layers = Array.from({ length: depth }, layer);
    this.norm = new LayerNorm(init, dModel, eps);
    this.#normalizes = config.flag('apply_layernorm');
    this.#windows = config.size('num_windows');
    this.#stages = stagesOf(config, depth);
    this.features = dModel * this.#stages.length;
    const local = localLayersOf(config, this.#stages);
    this.#isLocal = this.layers.map((_, i) => local.includes(i));
  }

  /**
   * `pixels`: float32 [B, channels, H, W]. Returns maps [B, H', W', dModel] of some layers. Yields after each layer.
   * Throws ShapeError.
   */
  *forward(pixels: Tensor): Generator<unknown, Tensor[]> {
    const { device } = pixels;
    const tokens = this.patches.forward(pixels); // [B, 1 + patches, dModel]
    const [batch, , height, width] = pixels.shape as [number, number, number, number];
    const grid = this.patches.grid([height, width]);
    const windows = this.#windows;
    if (grid.some((side) => side % windows !== 0)) {
      const expected = `sides that ${windows} windows divide`;
      throw new ShapeError(`forward: pixelValues have ${grid.join(' × ')} patches, expected ${expected}`);
    }
    const placed = this.#inWindows(tokens, grid);
    const [count, length, dModel] = placed.shape as [number, number, number];
    const local = Sequences.of(device, Array<number>(count).fill(length));
    const whole = Sequences.of(device, Array<number>(batch).fill((length * count) / batch));
    const states = [this.start.forward(placed.reshape(count * length, dModel))];
    for (const [i, layer] of this.layers.slice(0, this.#stages.at(-1)).entries()) {
      states.push(layer.forward(states.at(-1) as Tensor, this.#isLocal[i] ? local : whole));
      yield;
    }
    return this.#stages.map((stage) => {
      const state = states[stage] as Tensor;
      const normed = this.#normalizes ? this.norm.forward(state) : state;
      return this.#joined(normed.reshape(count, length, dModel), grid);
    });
  }

  /**
   * Cuts [B, 1 + patches, dModel] into windows, [B · windows², 1 + patches of a window, dModel]. Each window gets a
   * copy of the class token. If windows are not square, rows and columns are exchanged, as in transformers.
   */
  #inWindows(tokens: Tensor, [height, width]: GridSize): Tensor {
    const [batch, total, dModel] = tokens.shape as [number, number, number];
    const n = this.#windows;
    const [down, across] = [height / n, width / n];
    const patches = slice(tokens, 1, 1, total).reshape(batch, n, across, n, down, dModel);
    const windows = permute(patches, [0, 1, 3, 2, 4, 5]).reshape(batch * n * n, down * across, dModel);
    const first = slice(tokens, 1, 0, 1); // [B, 1, dModel]
    const classes = add(first, tokens.device.zeros([1, n * n, 1])).reshape(batch * n * n, 1, dModel);
    return concat([classes, windows], 1);
  }

  /** Joins the patches of all windows to maps [B, H, W, dModel], without the class tokens. */
  #joined(state: Tensor, [height, width]: GridSize): Tensor {
    const [, length, dModel] = state.shape as [number, number, number];
    const n = this.#windows;
    const patches = slice(state, 1, 1, length).reshape(-1, n, n, height / n, width / n, dModel);
    return permute(patches, [0, 1, 3, 2, 4, 5]).reshape(-1, height, width, dModel);
  }
}

/**
 * Returns the layers that attend within windows: `window_block_indexes`. By default, these are the layers before the
 * last stage whose output is not returned.
 */
function localLayersOf(config: ModelConfig, stages: readonly number[]): readonly number[] {
  if (config.values.window_block_indexes != null) return config.list('window_block_indexes').map(Number);
  const { out_indices: given } = config.values;
  const indices = Array.isArray(given) ? given.map(Number) : stages; // transformers keeps negative ones
  const last = indices.at(-1) as number;
  return Array.from({ length: Math.max(0, last + 1) }, (_, i) => i).filter((i) => !indices.includes(i));
}

export function backboneNames(isGated: boolean): StateNames {
  const stored = 'backbone.0.encoder.encoder';
  const [embeddings, layer] = [`${stored}.embeddings`, `${stored}.encoder.layer.*`];
  const [inner, outer] = isGated ? ['gate_proj', 'down_proj'] : ['fc1', 'fc2'];
  const own = 'backbone.layers.*';
  return {
    'backbone.patches.projection': `${embeddings}.patch_embeddings.projection`,
    'backbone.patches.class_token': { name: `${embeddings}.cls_token`, leading: [1, 1] },
    'backbone.patches.positions': { name: `${embeddings}.position_embeddings`, leading: [1] },
    'backbone.mask_token': { name: `${embeddings}.mask_token`, leading: [1] },
    [`${own}.self_attn.qkv`]: ['query', 'key', 'value'].map((name) => `${layer}.attention.attention.${name}`),
    [`${own}.self_attn.out_proj`]: `${layer}.attention.output.dense`,
    [`${own}.post_norms.0.weight`]: `${layer}.layer_scale1.lambda1`,
    [`${own}.post_norms.1.weight`]: `${layer}.layer_scale2.lambda1`,
    [`${own}.feed_forward.linear1`]: `${layer}.mlp.${inner}`,
    [`${own}.feed_forward.linear2`]: `${layer}.mlp.${outer}`,
    [`${own}.feed_forward.linear3`]: `${layer}.mlp.up_proj`,
    [own]: layer,
    'backbone.norm': `${stored}.layernorm`,
  };
}
