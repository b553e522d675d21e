import { FormatError, ShapeError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { Conv2d } from '../../nn/conv.js';
import type { Dropout, Randomness } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { repeated } from '../../nn/patch-embedding.js';
import { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import { add } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat, permute, slice } from '../../ops/move.js';
import { activationOf, dropBranch, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import type { ModelConfig } from '../model-config.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { ReducedAttention } from './segformer.js';

/**
 * The pyramid vision Transformer (Wang et al. 2021, arXiv 2102.12122): stages of layers over ever larger patches, with
 * fewer keys and values than queries. The last stage has a class token.
 */
class Pvt extends ImageModel {
  readonly stages: readonly PvtStage[];
  readonly norm: LayerNorm;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'image-classification']);
    const { init, config, head } = context;
    const count = config.size('num_encoder_blocks');
    const widths = config.sizes('hidden_sizes', count);
    const layers = config.sizes('depths', count).reduce((sum, depth) => sum + depth, 0);
    let made = 0;
    const share = () => made++ / Math.max(layers - 1, 1);
    this.stages = widths.map((_, i) => new PvtStage(init, config, this.randomness, i, share));
    const width = widths.at(-1) as number;
    this.norm = new LayerNorm(init, width, config.number('layer_norm_eps'));
    const out = () => new Linear(init, width, labelsOf(config.values).length);
    this.head = head === 'image-classification' ? new PredictionHead({ pick: 'first', out: out() }) : null;
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    inputs: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const hiddenStates: Tensor[] = [];
    let map = permute(pixels, [0, 2, 3, 1]);
    for (const stage of this.stages) map = yield* stage.forwardInParts(map, hiddenStates);
    const normed = this.norm.forward(map); // [B, tokens, features]
    const output: ModelOutput = options.hiddenStates ? { hiddenStates: [...hiddenStates, normed] } : {};
    const first = contiguous(slice(normed, 1, 0, 1)).reshape(pixels.shape[0] as number, -1);
    return { ...output, lastHiddenState: normed, ...this.classified(first, inputs, options) };
  }

  protected override get bodyName(): string {
    return 'pvt';
  }

  protected override get stateNames(): StateNames {
    const [stage, stored] = ['stages.*.layers.*', 'pvt.encoder.block.*.*'];
    const [patches, attention] = ['pvt.encoder.patch_embeddings.*', `${stored}.attention.self`];
    return {
      'stages.*.patches': `${patches}.projection`,
      'stages.*.patch_norm': `${patches}.layer_norm`,
      'stages.*.positions': { name: `${patches}.position_embeddings`, leading: [1] },
      'stages.*.class_token': { name: `${patches}.cls_token`, leading: [1, 1] },
      [`${stage}.self_attn.qkv`]: ['query', 'key', 'value'].map((name) => `${attention}.${name}`),
      [`${stage}.self_attn.reduction`]: `${attention}.sequence_reduction`,
      [`${stage}.self_attn.reduction_norm`]: `${attention}.layer_norm`,
      [`${stage}.self_attn.out_proj`]: `${stored}.attention.output.dense`,
      [`${stage}.norm1`]: `${stored}.layer_norm_1`,
      [`${stage}.norm2`]: `${stored}.layer_norm_2`,
      [`${stage}.feed_forward.linear1`]: `${stored}.mlp.dense1`,
      [`${stage}.feed_forward.linear2`]: `${stored}.mlp.dense2`,
      norm: 'pvt.encoder.layer_norm',
      'head.out': 'classifier',
    };
  }
}

/** A stage: patches with learned positions, and layers over them. */
class PvtStage extends Module {
  readonly patches: Conv2d;
  readonly patchNorm: LayerNorm;
  /** float32 [features], in the last stage; else null. */
  readonly classToken: Tensor | null;
  /** float32 [tokens, features], the class token first. */
  readonly positions: Tensor;
  readonly dropout: Dropout;
  readonly layers: readonly TransformerLayer[];

  /** `i`: index of the stage. `share` returns the probability of dropping the next layer's branches, from 0 to 1. */
  constructor(init: Initializer, config: ModelConfig, randomness: Randomness, i: number, share: () => number) {
    super();
    const count = config.size('num_encoder_blocks');
    const of = (name: string) => config.sizes(name, count)[i] as number;
    const [width, patch, kernel, ratio] = [
      of('hidden_sizes'),
      of('patch_sizes'),
      of('strides'), // the config's names are exchanged
      of('sequence_reduction_ratios'),
    ];
    const isLast = i === count - 1;
    if (isLast && ratio > 1)
      throw new FormatError(
        `config.json: sequence_reduction_ratios ends with ${ratio}, expected 1, because the last stage has a class token`,
      );
    const before = i === 0 ? config.size('num_channels') : (config.sizes('hidden_sizes')[i - 1] as number);
    const placing = { kernel: [kernel, kernel], stride: patch, channelsLast: true } as const;
    this.patches = new Conv2d(init, { inputs: before, outputs: width, ...placing });
    const norm = () => new LayerNorm(init, width, config.number('layer_norm_eps'));
    this.patchNorm = norm();
    const side = Math.floor(Math.floor(config.size('image_size') / (i === 0 ? 1 : 2 ** (i + 1))) / patch);
    this.classToken = isLast ? init.constant([width], 0) : null;
    this.positions = init.normal([side * side + (isLast ? 1 : 0), width], 1);
    const dropout = () => dropoutOf(config, 'hidden_dropout_prob', randomness);
    this.dropout = dropout();
    const dFF = Math.trunc(width * (config.list('mlp_ratios')[i] as number));
    const activation = activationOf(config.text('hidden_act'));
    const layer = () => {
      const drops = share();
      const attention = {
        dModel: width,
        heads: of('num_attention_heads'),
        bias: config.flag('qkv_bias'),
        outBias: true,
        dropout: dropoutOf(config, 'attention_probs_dropout_prob', randomness),
      };
      return new TransformerLayer({
        selfAttn: () => new ReducedAttention(init, attention, ratio, config.number('layer_norm_eps')),
        feedForward: () => new FeedForward(init, { dModel: width, dFF, activation, dropout: dropout() }),
        norm,
        dropout: () => dropBranch(config, randomness, drops),
        wiring: 'pre',
        randomness,
      });
    };
    this.layers = Array.from({ length: of('depths') }, layer);
  }

  /**
   * float32 [B, H, W, features of the stage before] → [B, H', W', features], or [B, tokens, features] in the last
   * stage. Adds the output of each layer to `hiddenStates`. Yields after each layer. Throws ShapeError.
   */
  *forwardInParts(x: Tensor, hiddenStates: Tensor[]): Generator<unknown, Tensor> {
    const map = this.patches.forward(x);
    const [size, height, width, features] = map.shape as [number, number, number, number];
    const patches = this.patchNorm.forward(map).reshape(size, height * width, features);
    const token = repeated(size, [this.classToken]);
    const tokens = token.length > 0 ? concat([...token, patches], 1) : patches;
    const [count, expected] = [tokens.shape[1] as number, this.positions.shape[0] as number];
    if (count !== expected) {
      const before = token.length;
      throw new ShapeError(
        `forward: a stage of PVT has ${count - before} patches, expected ${expected - before}: give images of the config's image_size`,
      );
    }
    const batch = Sequences.of(x.device, Array<number>(size).fill(count));
    let rows = this.dropout.forward(add(tokens, this.positions)).reshape(size * count, features);
    for (const layer of this.layers) {
      (layer.selfAttn as ReducedAttention).start([height, width]);
      rows = layer.forward(rows, batch);
      hiddenStates.push(rows.reshape(size, count, features));
      yield;
    }
    return token.length > 0 ? rows.reshape(size, count, features) : rows.reshape(map.shape);
  }
}

export const pvt: Family = {
  model: Pvt,
  className: 'Pvt',
  defaults: {
    image_size: 224,
    num_channels: 3,
    num_encoder_blocks: 4,
    depths: [2, 2, 2, 2],
    sequence_reduction_ratios: [8, 4, 2, 1],
    hidden_sizes: [64, 128, 320, 512],
    patch_sizes: [4, 2, 2, 2],
    strides: [4, 2, 2, 2],
    num_attention_heads: [1, 2, 5, 8],
    mlp_ratios: [8, 8, 4, 4],
    hidden_act: 'gelu',
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    drop_path_rate: 0,
    layer_norm_eps: 1e-6,
    qkv_bias: true,
  },
};
