import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention } from '../../nn/attention.js';
import { Conv2d } from '../../nn/conv.js';
import type { Dropout, Randomness } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import type { GridSize } from '../../nn/interpolation.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import { Sequences } from '../../nn/sequences.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { add, mul } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { dropout } from '../../ops/dropout.js';
import { interpolate } from '../../ops/interpolate.js';
import { concat, permute } from '../../ops/move.js';
import { mean } from '../../ops/reduce.js';
import { divisible } from '../bit.js';
import { activationOf, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import { ImageModel } from '../image-model.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import type { ModelConfig } from '../model-config.js';
import { pixelLoss } from '../pixel-loss.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { ConvNorm, type ConvNormOptions } from '../resnet.js';

/** Arguments that all parts share. */
interface Parts {
  readonly init: Initializer;
  readonly config: ModelConfig;
  readonly randomness: Randomness;
}

/**
 * MobileViT (Mehta & Rastegari 2021, arXiv 2110.02178): a small convolutional network, in which Transformers connect
 * distant positions. The segmentation head is DeepLab's (Chen et al. 2017, arXiv 1706.05587).
 */
export class MobileVit extends ImageModel {
  readonly stem: ConvNorm;
  readonly stages: readonly ResidualStage[];
  readonly blocks: readonly MobileVitBlock[];
  /** Null if pixels are labelled. */
  readonly expansion: ConvNorm | null;
  readonly head: PredictionHead | null;
  readonly segmentationHead: SegmentationHead | null;

  constructor(context: FamilyContext) {
    super(context, ['none', 'image-classification', 'semantic-segmentation']);
    const { init, config, head } = context;
    const parts = { init, config, randomness: this.randomness };
    const widths = config.sizes('neck_hidden_sizes', 7) as Widths;
    const hidden = config.sizes('hidden_sizes', 3);
    // The maps of the last stages keep their size if `output_stride` is 8 or 16, and convolutions are dilated instead.
    const kept = { 8: 2, 16: 1 }[config.number('output_stride')] ?? 0;
    const dilations = { 0: [1, 1, 1], 1: [1, 1, 2], 2: [1, 2, 4] }[kept] as readonly number[];
    this.stem = convOf(parts, config.size('num_channels'), widths[0], { kernel: 3, stride: 2 });
    this.stages = [1, 3].map((layers, i) => new ResidualStage(parts, between(widths, i), { stride: i + 1, layers }));
    this.blocks = [2, 4, 3].map((layers, i) => {
      const sizes = { hidden: hidden[i] as number, layers, dilation: dilations[i] as number };
      return new MobileVitBlock(parts, between(widths, i + 2), sizes);
    });
    const segments = head === 'semantic-segmentation';
    this.expansion = segments ? null : convOf(parts, widths[5], widths[6], { kernel: 1 });
    this.segmentationHead = segments ? new SegmentationHead(parts, widths[5]) : null;
    const classifier = () =>
      new PredictionHead({
        pick: 'tokens',
        dropout: dropoutOf(config, 'classifier_dropout_prob', this.randomness),
        out: new Linear(init, widths[6], labelsOf(config.values).length),
      });
    this.head = head === 'image-classification' ? classifier() : null;
  }
  protected override *forwardPixelsInParts(
    pixels: Tensor,
    inputs: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const maps: Tensor[] = [];
    let map = this.stem.forward(permute(pixels, [0, 2, 3, 1])); // [B, H, W, features]
    for (const part of [...this.stages, ...this.blocks]) {
      map = part.forward(map);
      maps.push(map);
      yield;
    }
    const output: ModelOutput = options.hiddenStates ? { hiddenStates: maps.map(channelsFirst) } : {};
    if (this.segmentationHead) {
      const { labels } = inputs;
      const logits = this.segmentationHead.forward(map);
      output.logits = channelsFirst(logits);
      if (labels !== undefined && (options.loss ?? true))
        output.loss = pixelLoss(logits, labels, this.settings.number('semantic_loss_ignore_index'));
      return output;
    }
    const last = (this.expansion as ConvNorm).forward(map);
    const poolerOutput = mean(last, { axis: [1, 2] }); // [B, features]
    const scores = this.classified(poolerOutput, inputs, options);
    return { ...output, lastHiddenState: channelsFirst(last), poolerOutput, ...scores };
  }

  protected override get bodyName(): string {
    return 'mobilevit';
  }

  protected override get stateNames(): StateNames {
    const pyramid = 'segmentation_head.aspp';
    return {
      stem: 'mobilevit.conv_stem',
      ...residualNames('stages.*.layers.*', 'mobilevit.encoder.layer.*.layer.*'),
      ...Object.fromEntries(
        this.blocks.flatMap((_, i) => blockNames(`blocks.${i}`, `mobilevit.encoder.layer.${i + 2}`)),
      ),
      expansion: 'mobilevit.conv_1x1_exp',
      'head.out': 'classifier',
      'segmentation_head.pyramid.*': `${pyramid}.convs.*`,
      'segmentation_head.pooled': `${pyramid}.convs.4.conv_1x1`,
      'segmentation_head.project': `${pyramid}.project`,
      'segmentation_head.classifier': 'segmentation_head.classifier.convolution',
    };
  }
}

const channelsFirst = (map: Tensor) => permute(map, [0, 3, 1, 2]);

function residualNames(path: string, stored: string): Record<string, string> {
  return {
    [`${path}.expand`]: `${stored}.expand_1x1`,
    [`${path}.mix`]: `${stored}.conv_3x3`,
    [`${path}.reduce`]: `${stored}.reduce_1x1`,
  };
}

/** Names of a block of convolutions and a Transformer. */
function blockNames(path: string, stored: string): [string, string | string[]][] {
  const [stack, layer] = [`${path}.transformer`, `${stored}.transformer.layer.*`];
  return [
    ...Object.entries(residualNames(`${path}.downsampling`, `${stored}.downsampling_layer`)),
    [`${path}.conv`, `${stored}.conv_kxk`],
    [`${path}.widen`, `${stored}.conv_1x1.convolution`],
    [`${path}.projection`, `${stored}.conv_projection`],
    [`${stack}.norm`, `${stored}.layernorm`],
    [
      `${stack}.layers.*.self_attn.qkv`,
      ['query', 'key', 'value'].map((name) => `${layer}.attention.attention.${name}`),
    ],
    [`${stack}.layers.*.self_attn.out_proj`, `${layer}.attention.output.dense`],
    [`${stack}.layers.*.norm1`, `${layer}.layernorm_before`],
    [`${stack}.layers.*.norm2`, `${layer}.layernorm_after`],
    [`${stack}.layers.*.feed_forward.linear1`, `${layer}.intermediate.dense`],
    [`${stack}.layers.*.feed_forward.linear2`, `${layer}.output.dense`],
    [path, stored],
  ];
}

/** Channels of the stem, of five stages, and of the result. */
type Widths = readonly [number, number, number, number, number, number, number];

/** Channels before and after stage `i`. */
interface Channels {
  readonly inputs: number;
  readonly outputs: number;
}

const between = (widths: Widths, i: number): Channels => ({
  inputs: widths[i] as number,
  outputs: widths[i + 1] as number,
});

/** A convolution with batch norm and, by default, the activation of the config. */
function convOf({ init, config }: Parts, inputs: number, outputs: number, options: Partial<ConvNormOptions>): ConvNorm {
  const { kernel = 1, dilation = 1 } = options;
  const activation = activationOf(config.text('hidden_act'));
  const padding = Math.floor((kernel - 1) / 2) * dilation;
  return new ConvNorm(init, inputs, outputs, { activation, padding, ...options, kernel, frozen: false });
}

/** Widens each position, mixes neighbours, and narrows it again (MobileNet V2's inverted residual). */
class InvertedResidual extends Module {
  readonly expand: ConvNorm;
  readonly mix: ConvNorm;
  readonly reduce: ConvNorm;
  readonly #adds: boolean;

  constructor(parts: Parts, { inputs, outputs }: Channels, stride: number, dilation = 1) {
    super();
    const wide = divisible(evenRound(inputs * parts.config.number('expand_ratio')));
    this.expand = convOf(parts, inputs, wide, { kernel: 1 });
    this.mix = convOf(parts, wide, wide, { kernel: 3, stride, groups: wide, dilation });
    this.reduce = convOf(parts, wide, outputs, { kernel: 1, activation: 'none' });
    this.#adds = stride === 1 && inputs === outputs;
  }

  forward(x: Tensor): Tensor {
    const y = this.reduce.forward(this.mix.forward(this.expand.forward(x)));
    return this.#adds ? add(x, y) : y;
  }
}

/** Rounds a half to the even neighbour, as Python does. */
function evenRound(x: number): number {
  return x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x);
}

class ResidualStage extends Module {
  readonly layers: readonly InvertedResidual[];

  constructor(parts: Parts, { inputs, outputs }: Channels, { stride, layers }: { stride: number; layers: number }) {
    super();
    this.layers = Array.from({ length: layers }, (_, i) =>
      i === 0
        ? new InvertedResidual(parts, { inputs, outputs }, stride)
        : new InvertedResidual(parts, { inputs: outputs, outputs }, 1),
    );
  }

  /** float32 [B, H, W, inputs] → [B, H', W', outputs]. */
  forward(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => layer.forward(y), x);
  }
}

/** A smaller map, whose positions are connected: neighbours by convolutions, distant ones by a Transformer. */
class MobileVitBlock extends Module {
  readonly downsampling: InvertedResidual;
  readonly conv: ConvNorm;
  readonly widen: Conv2d;
  readonly transformer: Stack;
  readonly projection: ConvNorm;
  readonly fusion: ConvNorm;
  readonly #patch: number;

  constructor(
    parts: Parts,
    channels: Channels,
    { hidden, layers, dilation }: { readonly hidden: number; readonly layers: number; readonly dilation: number },
  ) {
    super();
    const { init, config } = parts;
    const { outputs } = channels;
    const kernel = config.size('conv_kernel_size');
    this.downsampling = new InvertedResidual(parts, channels, dilation === 1 ? 2 : 1, Math.max(1, dilation / 2));
    this.conv = convOf(parts, outputs, outputs, { kernel });
    this.widen = new Conv2d(init, {
      inputs: outputs,
      outputs: hidden,
      kernel: [1, 1],
      channelsLast: true,
      bias: false,
    });
    const norm = () => new LayerNorm(init, hidden, config.number('layer_norm_eps'));
    this.transformer = new Stack(layers, () => layerOf(parts, hidden, norm), norm);
    this.projection = convOf(parts, hidden, outputs, { kernel: 1 });
    this.fusion = convOf(parts, 2 * outputs, outputs, { kernel });
    this.#patch = config.size('patch_size');
  }

  /** float32 [B, H, W, inputs] → [B, H', W', outputs]. */
  forward(x: Tensor): Tensor {
    const map = this.downsampling.forward(x);
    const connected = this.#connect(this.widen.forward(this.conv.forward(map)));
    return this.fusion.forward(concat([map, this.projection.forward(connected)], -1));
  }

  /** Attention among the positions that are at the same offset of their patches. `map`: [B, H, W, hidden]. */
  #connect(map: Tensor): Tensor {
    const [size, height, width, hidden] = map.shape as [number, number, number, number];
    const patch = this.#patch;
    const [rows, columns] = [Math.ceil(height / patch), Math.ceil(width / patch)];
    const resized = (y: Tensor, to: GridSize) =>
      `${to}` === `${y.shape.slice(1, 3)}` ? y : interpolate(y, { size: to, mode: 'bilinear', channelsLast: true });
    const whole = resized(map, [rows * patch, columns * patch]).reshape(size, rows, patch, columns, patch, hidden);
    const sequences = contiguous(permute(whole, [0, 2, 4, 1, 3, 5])); // [B, patch, patch, rows, columns, hidden]
    const batch = Sequences.of(map.device, Array<number>(size * patch * patch).fill(rows * columns));
    const connected = this.transformer.forward(sequences.reshape(-1, hidden), batch).reshape(sequences.shape);
    const back = contiguous(permute(connected, [0, 3, 1, 4, 2, 5]));
    return resized(back.reshape(size, rows * patch, columns * patch, hidden), [height, width]);
  }
}

function layerOf({ init, config, randomness }: Parts, dModel: number, norm: () => LayerNorm): TransformerLayer {
  const bias = config.flag('qkv_bias');
  const activation = activationOf(config.text('hidden_act'));
  const ofAttention = () => dropoutOf(config, 'attention_probs_dropout_prob', randomness);
  const attention = { dModel, heads: config.size('num_attention_heads'), bias, outBias: true };
  return new TransformerLayer({
    selfAttn: () => new MultiHeadAttention(init, { ...attention, dropout: ofAttention() }),
    feedForward: () =>
      new FeedForward(init, { dModel, dFF: Math.trunc(dModel * config.number('mlp_ratio')), activation }),
    norm,
    dropout: () => dropoutOf(config, 'hidden_dropout_prob', randomness),
    wiring: 'pre',
    randomness,
  });
}

/** The labels of pixels, from convolutions of several reaches and from the mean of the map. */
class SegmentationHead extends Module {
  readonly pyramid: readonly ConvNorm[];
  readonly pooled: ConvNorm;
  readonly project: ConvNorm;
  readonly classifier: Conv2d;
  readonly dropout: Dropout;
  readonly classifierDropout: Dropout;

  constructor(parts: Parts, inputs: number) {
    super();
    const { init, config, randomness } = parts;
    const outputs = config.size('aspp_out_channels');
    const conv = (from: number, kernel: number, dilation = 1) =>
      convOf(parts, from, outputs, { kernel, dilation, activation: 'relu' });
    const rates = config.sizes('atrous_rates', 3);
    this.pyramid = [conv(inputs, 1), ...rates.map((rate) => conv(inputs, 3, rate))];
    this.pooled = conv(inputs, 1);
    this.project = conv(5 * outputs, 1);
    this.classifier = new Conv2d(init, {
      inputs: outputs,
      outputs: labelsOf(config.values).length,
      kernel: [1, 1],
      channelsLast: true,
    });
    this.dropout = dropoutOf(config, 'aspp_dropout_prob', randomness);
    this.classifierDropout = dropoutOf(config, 'classifier_dropout_prob', randomness);
  }

  /** float32 [B, H, W, features] → [B, H, W, labels]. */
  forward(map: Tensor): Tensor {
    const [size, height, width, features] = map.shape as [number, number, number, number];
    const ofMean = this.pooled.forward(mean(map, { axis: [1, 2] }).reshape(size, 1, 1, features));
    const spread = interpolate(ofMean, { size: [height, width], mode: 'bilinear', channelsLast: true });
    const joined = concat([...this.pyramid.map((conv) => conv.forward(map)), spread], -1);
    return this.classifier.forward(this.#dropChannels(this.dropout.forward(this.project.forward(joined))));
  }

  /** Drops whole channels of an image in training. */
  #dropChannels(map: Tensor): Tensor {
    const { options } = this.classifierDropout;
    const [size, , , features] = map.shape as [number, number, number, number];
    return options ? mul(map, dropout(map.device.full([size, 1, 1, features], 1), options)) : map;
  }
}

export const mobileVit: Family = {
  model: MobileVit,
  className: 'MobileViT',
  defaults: {
    num_channels: 3,
    image_size: 256,
    patch_size: 2,
    hidden_sizes: [144, 192, 240],
    neck_hidden_sizes: [16, 32, 64, 96, 128, 160, 640],
    num_attention_heads: 4,
    mlp_ratio: 2,
    expand_ratio: 4,
    hidden_act: 'silu',
    conv_kernel_size: 3,
    output_stride: 32,
    hidden_dropout_prob: 0.1,
    attention_probs_dropout_prob: 0,
    classifier_dropout_prob: 0.1,
    layer_norm_eps: 1e-5,
    qkv_bias: true,
    aspp_out_channels: 256,
    atrous_rates: [6, 12, 18],
    aspp_dropout_prob: 0.1,
    semantic_loss_ignore_index: 255,
  },
};
