import { lastOf, type Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import { BatchNorm } from '../../nn/batch-norm.js';
import { Conv2d } from '../../nn/conv.js';
import type { Dropout, Randomness } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import type { GridSize } from '../../nn/interpolation.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear, type Projection } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import { type Activation, activate, relu } from '../../ops/activation.js';
import { interpolate } from '../../ops/interpolate.js';
import { concat, permute } from '../../ops/move.js';
import { mean } from '../../ops/reduce.js';
import { activationOf, dropBranch, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import type { ModelConfig } from '../model-config.js';
import { segformerModule } from '../module-names.js';
import { pixelLoss } from '../pixel-loss.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/**
 * SegFormer (Xie et al. 2021, arXiv 2105.15203): stages of layers over overlapping patches, with fewer keys and values
 * than queries. A head of projections labels each cell of the map. There are no position embeddings: convolutions
 * convey positions.
 */
export class Segformer extends ImageModel {
  readonly stages: readonly SegformerStage[];
  readonly decodeHead: DecodeHead | null;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'image-classification', 'semantic-segmentation']);
    const { init, config, head } = context;
    this.stages = segformerStages(init, config, this.randomness);
    const width = config.sizes('hidden_sizes').at(-1) as number;
    this.decodeHead = head === 'semantic-segmentation' ? new DecodeHead(init, config, this.randomness) : null;
    const out = () => new Linear(init, width, labelsOf(config.values).length);
    this.head = head === 'image-classification' ? new PredictionHead({ pick: 'tokens', out: out() }) : null;
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    inputs: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const maps = yield* segformerMaps(this.stages, pixels);
    const last = maps.at(-1) as Tensor;
    const output: ModelOutput = options.hiddenStates
      ? { hiddenStates: maps.map((map) => this.#shown(map, map === last)) }
      : {};
    output.lastHiddenState = this.#shown(last, true);
    if (this.decodeHead) {
      const { labels } = inputs;
      const logits = this.decodeHead.forward(maps); // [B, H, W, labels]
      output.logits = permute(logits, [0, 3, 1, 2]);
      if (labels !== undefined && (options.loss ?? true))
        output.loss = pixelLoss(logits, labels, this.settings.number('semantic_loss_ignore_index'));
      return output;
    }
    const pooled = mean(last, { axis: [1, 2] });
    return { ...output, ...this.classified(pooled, inputs, options) };
  }

  /**
   * Returns a map in transformers' layout: [B, features, H, W], or [B, H · W, features] for the last map if the config
   * asks for it.
   */
  #shown(map: Tensor, isLast: boolean): Tensor {
    const isRows = isLast && !this.settings.flag('reshape_last_stage');
    return isRows ? map.reshape(map.shape[0] as number, -1, lastOf(map.shape)) : permute(map, [0, 3, 1, 2]);
  }

  protected override get bodyName(): string {
    return 'segformer';
  }

  override moduleName(name: string): string {
    return segformerModule(name);
  }

  protected override get stateNames(): StateNames {
    return {
      ...segformerNames('segformer.encoder'),
      'decode_head.projections.*': 'decode_head.linear_c.*.proj',
      'decode_head.fuse': 'decode_head.linear_fuse',
      'head.out': 'classifier',
    };
  }
}

/** The stages, whose layers are dropped in training the more often the later they are. */
export function segformerStages(init: Initializer, config: ModelConfig, randomness: Randomness): SegformerStage[] {
  const count = config.size('num_encoder_blocks');
  const layers = config.sizes('depths', count).reduce((sum, depth) => sum + depth, 0);
  let made = 0;
  const share = () => made++ / Math.max(layers - 1, 1);
  return config.sizes('hidden_sizes', count).map((_, i) => new SegformerStage(init, config, randomness, i, share));
}

/** Returns the maps of all stages, float32 [B, H, W, features]. Yields after each layer. */
export function* segformerMaps(stages: readonly SegformerStage[], pixels: Tensor): Generator<unknown, Tensor[]> {
  const maps: Tensor[] = [];
  for (const stage of stages) {
    const map = yield* stage.forwardInParts(maps.at(-1) ?? permute(pixels, [0, 2, 3, 1]));
    maps.push(map);
  }
  return maps;
}

/** Names of the stages in checkpoints. */
export function segformerNames(encoder: string): StateNames {
  const [stage, stored] = ['stages.*.layers.*', `${encoder}.block.*.*`];
  const attention = `${stored}.attention.self`;
  return {
    'stages.*.patches': `${encoder}.patch_embeddings.*.proj`,
    'stages.*.patch_norm': `${encoder}.patch_embeddings.*.layer_norm`,
    'stages.*.norm': `${encoder}.layer_norm.*`,
    [`${stage}.self_attn.qkv`]: ['query', 'key', 'value'].map((name) => `${attention}.${name}`),
    [`${stage}.self_attn.reduction`]: `${attention}.sr`,
    [`${stage}.self_attn.reduction_norm`]: `${attention}.layer_norm`,
    [`${stage}.self_attn.out_proj`]: `${stored}.attention.output.dense`,
    [`${stage}.norm1`]: `${stored}.layer_norm_1`,
    [`${stage}.norm2`]: `${stored}.layer_norm_2`,
    [`${stage}.feed_forward.linear1`]: `${stored}.mlp.dense1`,
    [`${stage}.feed_forward.depthwise`]: `${stored}.mlp.dwconv.dwconv`,
    [`${stage}.feed_forward.linear2`]: `${stored}.mlp.dense2`,
  };
}

/** A stage: overlapping patches, and layers over them. */
export class SegformerStage extends Module {
  readonly patches: Conv2d;
  readonly patchNorm: LayerNorm;
  readonly layers: readonly TransformerLayer[];
  readonly norm: LayerNorm;

  /** `i`: index of the stage. `share` returns the probability of dropping the next layer's branches, from 0 to 1. */
  constructor(init: Initializer, config: ModelConfig, randomness: Randomness, i: number, share: () => number) {
    super();
    const count = config.size('num_encoder_blocks');
    const of = (name: string) => config.sizes(name, count)[i] as number;
    const [width, patch] = [of('hidden_sizes'), of('patch_sizes')];
    const before = i === 0 ? config.size('num_channels') : (config.sizes('hidden_sizes')[i - 1] as number);
    const placing = { stride: of('strides'), padding: Math.floor(patch / 2), channelsLast: true };
    this.patches = new Conv2d(init, { inputs: before, outputs: width, kernel: [patch, patch], ...placing });
    this.patchNorm = new LayerNorm(init, width);
    const ratio = config.list('mlp_ratios')[i] as number;
    const sizes = { width, hidden: Math.trunc(width * ratio) };
    const layer = () => {
      const drops = share();
      const dropout = dropoutOf(config, 'attention_probs_dropout_prob', randomness);
      const attention = { dModel: width, heads: of('num_attention_heads'), dropout };
      return new TransformerLayer({
        selfAttn: () => new ReducedAttention(init, attention, of('sr_ratios')),
        feedForward: () => new MixedFeedForward(init, config, randomness, sizes),
        norm: () => new LayerNorm(init, width),
        dropout: () => dropBranch(config, randomness, drops),
        wiring: 'pre',
        randomness,
      });
    };
    this.layers = Array.from({ length: of('depths') }, layer);
    this.norm = new LayerNorm(init, width);
  }

  /** float32 [B, H, W, features of the stage before] → [B, H', W', features]. Yields after each layer. */
  *forwardInParts(x: Tensor): Generator<unknown, Tensor> {
    const map = this.patchNorm.forward(this.patches.forward(x));
    const [size, height, width, features] = map.shape as [number, number, number, number];
    const batch = Sequences.of(x.device, Array<number>(size).fill(height * width));
    let rows = map.reshape(-1, features);
    for (const layer of this.layers) {
      (layer.selfAttn as ReducedAttention).start([height, width]);
      (layer.feedForward as MixedFeedForward).start([height, width]);
      rows = layer.forward(rows, batch);
      yield;
    }
    return this.norm.forward(rows).reshape(map.shape);
  }
}

/**
 * Attention whose keys and values come from a smaller map. A convolution reduces height and width by `ratio` (Wang et
 * al. 2021, PVT).
 */
export class ReducedAttention extends MultiHeadAttention {
  readonly reduction: Conv2d | null;
  readonly reductionNorm: LayerNorm | null;
  #grid: GridSize = [1, 1];

  /** `eps`: that of the norm of the smaller map. */
  constructor(init: Initializer, options: MultiHeadOptions, ratio: number, eps?: number) {
    super(init, options);
    const { dModel } = options;
    const placing = { stride: ratio, channelsLast: true };
    this.reduction =
      ratio > 1 ? new Conv2d(init, { inputs: dModel, outputs: dModel, kernel: [ratio, ratio], ...placing }) : null;
    this.reductionNorm = ratio > 1 ? new LayerNorm(init, dModel, eps) : null;
  }

  /** Sets the height and width of the maps for the next pass. */
  start(grid: GridSize): void {
    this.#grid = grid;
  }

  override forward(x: Tensor, batch: Sequences): Tensor {
    const { reduction, reductionNorm } = this;
    if (reduction === null || reductionNorm === null) return super.forward(x, batch);
    const { size } = batch;
    const reduced = reduction.forward(x.reshape(size, ...this.#grid, -1)); // [B, H', W', dModel]
    const [, height, width, features] = reduced.shape as [number, number, number, number];
    const hidden = reductionNorm.forward(reduced.reshape(-1, features));
    const memory = Sequences.of(x.device, Array<number>(size).fill(height * width));
    return this.cross(x, batch, { hidden, batch: memory });
  }
}

/** A feed-forward network with a depthwise convolution, which conveys positions. */
class MixedFeedForward extends Module {
  readonly linear1: Projection;
  readonly depthwise: Conv2d;
  readonly linear2: Projection;
  readonly dropout: Dropout;
  readonly #activation: Activation;
  #grid: GridSize = [1, 1];

  constructor(
    init: Initializer,
    config: ModelConfig,
    randomness: Randomness,
    { width, hidden }: { readonly width: number; readonly hidden: number },
  ) {
    super();
    this.linear1 = new Linear(init, width, hidden);
    this.depthwise = new Conv2d(init, {
      inputs: hidden,
      outputs: hidden,
      kernel: [3, 3],
      padding: 1,
      groups: hidden,
      channelsLast: true,
    });
    this.linear2 = new Linear(init, hidden, width);
    this.dropout = dropoutOf(config, 'hidden_dropout_prob', randomness);
    this.#activation = activationOf(config.text('hidden_act'));
  }

  start(grid: GridSize): void {
    this.#grid = grid;
  }

  /** float32 [N, width] → [N, width], the rows of whole maps. */
  forward(x: Tensor): Tensor {
    const hidden = this.linear1.forward(x);
    const features = lastOf(hidden.shape);
    const mixed = this.depthwise.forward(hidden.reshape(-1, ...this.#grid, features)).reshape(hidden.shape);
    return this.linear2.forward(this.dropout.forward(activate('MixedFeedForward', mixed, this.#activation)));
  }
}

/**
 * Predicts the label of each cell. The maps of all stages are projected to one width, resized to the first map and
 * concatenated.
 */
class DecodeHead extends Module {
  readonly projections: readonly Projection[];
  readonly fuse: Conv2d;
  readonly batchNorm: BatchNorm;
  readonly dropout: Dropout;
  readonly classifier: Conv2d;

  constructor(init: Initializer, config: ModelConfig, randomness: Randomness) {
    super();
    const [widths, width] = [config.sizes('hidden_sizes'), config.size('decoder_hidden_size')];
    const channelsLast = true;
    this.projections = widths.map((channels) => new Linear(init, channels, width));
    this.fuse = new Conv2d(init, {
      inputs: width * widths.length,
      outputs: width,
      kernel: [1, 1],
      channelsLast,
      bias: false,
    });
    this.batchNorm = new BatchNorm(init, width, { channelsLast });
    this.dropout = dropoutOf(config, 'classifier_dropout_prob', randomness);
    this.classifier = new Conv2d(init, {
      inputs: width,
      outputs: labelsOf(config.values).length,
      kernel: [1, 1],
      channelsLast,
    });
  }

  /** float32 [B, H, W, features] of each stage → [B, H, W, labels], with the first stage's height and width. */
  forward(maps: readonly Tensor[]): Tensor {
    const size = (maps[0] as Tensor).shape.slice(1, 3) as unknown as GridSize;
    const resized = this.projections.map((projection, i) => {
      const map = projection.forward(maps[i] as Tensor);
      return i === 0 ? map : interpolate(map, { size, mode: 'bilinear', channelsLast: true });
    });
    const fused = this.batchNorm.forward(this.fuse.forward(concat(resized.reverse(), -1)));
    return this.classifier.forward(this.dropout.forward(relu(fused)));
  }
}

export const segformer: Family = {
  model: Segformer,
  className: 'Segformer',
  defaults: {
    num_channels: 3,
    num_encoder_blocks: 4,
    depths: [2, 2, 2, 2],
    sr_ratios: [8, 4, 2, 1],
    hidden_sizes: [32, 64, 160, 256],
    patch_sizes: [7, 3, 3, 3],
    strides: [4, 2, 2, 2],
    num_attention_heads: [1, 2, 5, 8],
    mlp_ratios: [4, 4, 4, 4],
    hidden_act: 'gelu',
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    classifier_dropout_prob: 0.1,
    drop_path_rate: 0.1,
    decoder_hidden_size: 256,
    semantic_loss_ignore_index: 255,
    reshape_last_stage: true,
  },
};
