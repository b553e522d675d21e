import type { Tensor } from '../../core/tensor.js';
import type { AttentionMaps, AttentionsByKind } from '../../inspect/attention-maps.js';
import { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import type { GridSize } from '../../nn/interpolation.js';
import { Linear, type Projection } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { type Activation, activate, sigmoid } from '../../ops/activation.js';
import { max } from '../../ops/axis.js';
import { add, div, mul, neg } from '../../ops/binary.js';
import { interpolate } from '../../ops/interpolate.js';
import { concat, permute, slice } from '../../ops/move.js';
import { clamp, log } from '../../ops/unary.js';
import { activationOf } from '../config-values.js';
import { DeformableAttention, type Maps } from '../deformable-attention.js';
import { type Denoising, DenoisingQueries } from '../denoising.js';
import {
  bestRows,
  DetectionEncoderLayer,
  type DetectionLayerOptions,
  DetectionModel,
  feedForwardNames,
  PerceptronHead,
  PositionedAttention,
} from '../detection.js';
import { type Found, type RtDetrFound, rtDetrLoss } from '../detection-loss.js';
import { targetsOf } from '../detection-matching.js';
import type { Family } from '../family.js';
import type { DetectionTarget, ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import type { Json, ModelConfig } from '../model-config.js';
import { rtDetrModule } from '../module-names.js';
import type { FamilyContext } from '../pretrained-model.js';
import { backboneOf, ConvNorm, type ConvNormOptions, type ResNet } from '../resnet.js';

/** Largest float32: the logit of boxes that must not become queries. */
const NOWHERE = 3.4028234663852886e38;

/**
 * RT-DETR (Zhao et al. 2023, arXiv 2304.08069). An encoder mixes the feature maps of a convolutional network. The
 * tokens with the best scores become queries. A decoder with deformable attention refines their boxes.
 */
export class RtDetr extends DetectionModel {
  override readonly head = null;
  readonly model: RtDetrBody;
  readonly #names: StateNames;

  constructor(context: FamilyContext) {
    super(context, ['none', 'object-detection']);
    const { init, config } = context;
    const { backbone, names } = backboneOf(init, config, {
      path: 'model.backbone.model',
      prefix: 'model.backbone.model',
      frozen: config.flag('freeze_backbone_batch_norms'),
      default: { model_type: 'rt_detr_resnet', out_indices: [2, 3, 4] },
    });
    this.#names = names;
    this.model = new RtDetrBody(context, backbone, this.randomness);
  }

  /** Deformable attention to the maps samples a few places, so it is not among them. */
  override get attentions(): AttentionsByKind {
    const { encoder, decoder } = this.model;
    return {
      encoder: encoder.encoder.flatMap(({ layers }) => layers.map(({ selfAttn }) => selfAttn)),
      decoder: decoder.layers.map(({ selfAttn }) => selfAttn),
      cross: [],
    };
  }

  protected override mapsOf({ encoder, decoder }: AttentionMaps): ModelOutput {
    return { encoderAttentions: encoder, decoderAttentions: decoder };
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    { labels }: ModelInputs,
    { loss = true, attentions = false }: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const classes = labelsOf(this.settings.values).length;
    const targets = labels && loss ? targetsOf(labels, pixels.shape[0] as number, classes) : null;
    const crossAttentions: Tensor[] = [];
    const { output, denoising } = yield* this.model.forward(pixels, targets, attentions ? crossAttentions : undefined);
    if (attentions) output.crossAttentions = crossAttentions;
    if (targets) output.loss = rtDetrLoss(this.#predictions(output, denoising), targets, this.settings);
    return output;
  }

  /**
   * Predictions that have a loss: of the last layer, and if the config asks for it, of earlier layers and the encoder.
   */
  #predictions(output: ModelOutput, denoising: Denoising | null): RtDetrFound {
    const [logits, boxes] = [output.intermediateLogits, output.intermediateReferencePoints] as [Tensor, Tensor];
    const [, layers, total] = logits.shape as [number, number, number, number];
    const first = denoising?.count ?? 0;
    const layerPart = (values: Tensor, layer: number, from: number, to: number) =>
      slice(slice(values, 2, from, to), 1, layer, layer + 1).reshape(values.shape[0] as number, to - from, -1);
    const layerFound = (from: number, to: number, layer: number): Found => ({
      logits: layerPart(logits, layer, from, to),
      predBoxes: layerPart(boxes, layer, from, to),
    });
    const last = layerFound(first, total, layers - 1);
    if (!this.settings.flag('auxiliary_loss')) return { found: [last], denoised: null };
    const earlier = Array.from({ length: layers - 1 }, (_, layer) => layerFound(first, total, layer));
    const encoder: Found = { logits: output.encTopkLogits as Tensor, predBoxes: output.encTopkBboxes as Tensor };
    const found = [last, ...earlier, encoder] as const;
    if (denoising === null) return { found, denoised: null };
    const restored = Array.from({ length: layers }, (_, layer) => layerFound(0, first, layer));
    return { found, denoised: { found: restored, matches: denoising.matches, groups: denoising.groups } };
  }

  override moduleName(name: string): string {
    return rtDetrModule(name);
  }

  protected override get stateNames(): StateNames {
    return this.#names;
  }
}

/** A convolution and its norm, with the names of the hybrid encoder. */
class EncoderConv extends ConvNorm {
  protected override get stateNames(): StateNames {
    return { convolution: 'conv', normalization: 'norm' };
  }
}

/** A projection of a map, with the names of a torch.nn.Sequential. */
class MapProjection extends ConvNorm {
  protected override get stateNames(): StateNames {
    return { convolution: '0', normalization: '1' };
  }
}

/** Adds the level `model` to a part's names. */
class Holder<Part extends Module> extends Module {
  constructor(readonly model: Part) {
    super();
  }
}

interface Encoded {
  /** float32 [B, S, dModel]. S: number of tokens, which are the pixels of all maps. */
  readonly features: Tensor;
  readonly logits: Tensor;
  /** Logits of boxes, float32 [B, S, 4]. */
  readonly boxes: Tensor;
}

class RtDetrBody extends Module {
  readonly backbone: Holder<ResNet>;
  readonly encoderInputProj: readonly MapProjection[];
  readonly encoder: HybridEncoder;
  /** Queries that only training has. Null if the config asks for none. */
  readonly denoising: DenoisingQueries | null;
  /** float32 [queries, dModel]: initial features of the queries. Null if they are features of the encoder. */
  readonly queries: Tensor | null;
  readonly encOutput: EncoderOutput;
  readonly encScoreHead: Projection;
  readonly encBboxHead: PerceptronHead;
  readonly decoderInputProj: readonly MapProjection[];
  readonly decoder: RtDetrDecoder;
  readonly #count: number;

  constructor(
    { init, config, head }: FamilyContext,
    backbone: ResNet,
    randomness: DetectionLayerOptions['randomness'],
  ) {
    super();
    const [dModel, inner] = [config.size('d_model'), config.size('encoder_hidden_dim')];
    const eps = config.number('batch_norm_eps');
    this.backbone = new Holder(backbone);
    this.encoderInputProj = backbone.channels.map(
      (channels) => new MapProjection(init, channels, inner, { kernel: 1, frozen: false }),
    );
    this.encoder = new HybridEncoder(init, config, randomness);
    const classes = labelsOf(config.values).length;
    const noise = {
      queries: config.number('num_denoising'),
      labels: config.number('label_noise_ratio'),
      boxes: config.number('box_noise_scale'),
    };
    this.denoising = noise.queries > 0 ? new DenoisingQueries(init, classes, dModel, noise, randomness) : null;
    this.#count = config.size('num_queries');
    this.queries = config.flag('learn_initial_query') ? init.normal([this.#count, dModel], 1) : null;
    this.encOutput = new EncoderOutput(init, dModel, config.number('layer_norm_eps'));
    this.encScoreHead = new Linear(init, dModel, classes);
    this.encBboxHead = new PerceptronHead(init, dModel, dModel, 4, 3);
    const inputs = config.sizes('decoder_in_channels');
    this.decoderInputProj = Array.from({ length: config.size('num_feature_levels') }, (_, i) => {
      if (i < inputs.length)
        return new MapProjection(init, inputs[i] as number, dModel, { kernel: 1, frozen: false, eps });
      const from = i === inputs.length ? (inputs.at(-1) as number) : dModel;
      return new MapProjection(init, from, dModel, { kernel: 3, stride: 2, frozen: false, eps });
    });
    this.decoder = new RtDetrDecoder(init, config, randomness, head === 'object-detection' ? classes : 0);
  }

  protected override get stateNames(): StateNames {
    return { denoising: 'denoising_class_embed', queries: 'weight_embedding.weight' };
  }

  /**
   * `pixels`: float32 [B, channels, H, W]. `targets`: objects for denoising queries, or null. `weights`: see `Maps`.
   * Yields after each layer or block.
   */
  *forward(
    pixels: Tensor,
    targets: readonly DetectionTarget[] | null,
    weights: Tensor[] | undefined,
  ): Generator<unknown, { output: ModelOutput; denoising: Denoising | null }> {
    const images = permute(pixels, [0, 2, 3, 1]); // maps are [B, H, W, C]
    const seen = yield* this.backbone.model.forwardInParts(images);
    const maps = seen.map((map, i) => (this.encoderInputProj[i] as MapProjection).forward(map));
    yield;
    const mixed = yield* this.encoder.forwardInParts(maps);
    const sources = this.decoderInputProj.map((project, i) => project.forward(mixed[i] ?? (mixed.at(-1) as Tensor)));
    const batch = pixels.shape[0] as number;
    const grids = sources.map(({ shape }) => [shape[1], shape[2]] as unknown as GridSize);
    const tokens = concat(
      sources.map((map) => map.reshape(batch, -1, map.shape[3] as number)),
      1,
    ); // [B, S, dModel]
    const found = this.#propose(tokens, grids);
    const best = bestRows(max(found.logits.detach(), { axis: -1 }), this.#count);
    const [logits, boxes, features] = [found.logits, found.boxes, found.features].map((rows) => best(rows)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const start = this.queries ? add(this.queries, tokens.device.zeros([batch, 1, 1])) : features.detach();
    const denoising = (targets && this.denoising?.of(targets, this.#count)) ?? null;
    const [queries, initial] = denoising
      ? [concat([denoising.features, start], 1), concat([denoising.boxes, boxes.detach()], 1)]
      : [start, boxes.detach()];
    const output: ModelOutput = { initReferencePoints: initial, encTopkLogits: logits, encTopkBboxes: sigmoid(boxes) };
    yield;
    const decoded = yield* this.decoder.forwardInParts(
      queries,
      sigmoid(initial),
      { tokens, grids, weights },
      denoising?.mask ?? null,
    );
    return { output: { ...output, ...decoded }, denoising };
  }

  /** Returns scores and boxes of all tokens. Tokens whose box would be near an edge have zeros as features. */
  #propose(tokens: Tensor, grids: readonly GridSize[]): Encoded {
    const { boxes, isInside } = anchorsOf(grids);
    const { device } = tokens;
    const features = this.encOutput.forward(mul(tokens, device.tensor(isInside, [isInside.length, 1])));
    const anchors = device.tensor(boxes, [isInside.length, 4]);
    return {
      features,
      logits: this.encScoreHead.forward(features),
      boxes: add(this.encBboxHead.forward(features), anchors),
    };
  }
}

/**
 * Returns `boxes`, the logits of a default box at each pixel of the maps, [S, 4], and `isInside`, [S]: 1 unless the box
 * is near an edge.
 */
function anchorsOf(grids: readonly GridSize[]): { boxes: Float32Array; isInside: Float32Array } {
  const boxes: number[] = [];
  const isInside: number[] = [];
  grids.forEach(([height, width], level) => {
    for (let cell = 0; cell < height * width; cell++) {
      const size = 0.05 * 2 ** level;
      const box = [((cell % width) + 0.5) / width, (Math.floor(cell / width) + 0.5) / height, size, size];
      const fits = box.every((value) => value > 0.01 && value < 0.99);
      isInside.push(fits ? 1 : 0);
      boxes.push(...box.map((value) => (fits ? Math.log(value / (1 - value)) : NOWHERE)));
    }
  });
  return { boxes: Float32Array.from(boxes), isInside: Float32Array.from(isInside) };
}

class EncoderOutput extends Module {
  readonly linear: Projection;
  readonly norm: LayerNorm;

  constructor(init: Initializer, dModel: number, eps: number) {
    super();
    this.linear = new Linear(init, dModel, dModel);
    this.norm = new LayerNorm(init, dModel, eps);
  }

  protected override get stateNames(): StateNames {
    return { linear: '0', norm: '1' };
  }

  forward(x: Tensor): Tensor {
    return this.norm.forward(this.linear.forward(x));
  }
}

/** Attention within some maps, then fusion of neighbouring maps, from coarse to fine (FPN) and back (PAN). */
class HybridEncoder extends Module {
  readonly encoder: readonly MapAttention[];
  readonly lateralConvs: readonly EncoderConv[];
  readonly fpnBlocks: readonly FusionBlock[];
  readonly downsampleConvs: readonly EncoderConv[];
  readonly panBlocks: readonly FusionBlock[];
  readonly #attended: readonly number[];

  constructor(init: Initializer, config: ModelConfig, randomness: DetectionLayerOptions['randomness']) {
    super();
    const width = config.size('encoder_hidden_dim');
    const activation = activationOf(config.text('activation_function'));
    const options = { frozen: false, eps: config.number('batch_norm_eps'), activation };
    this.#attended = config.list('encode_proj_layers').map(Number);
    this.encoder = this.#attended.map(() => new MapAttention(init, config, randomness));
    const steps = <Part>(make: () => Part) =>
      Array.from({ length: config.sizes('encoder_in_channels').length - 1 }, make);
    const block = () => new FusionBlock(init, width, Math.trunc(width * config.number('hidden_expansion')), options);
    const conv = (kernel: number, stride: number) =>
      new EncoderConv(init, width, width, { ...options, kernel, stride });
    this.lateralConvs = steps(() => conv(1, 1));
    this.fpnBlocks = steps(block);
    this.downsampleConvs = steps(() => conv(3, 2));
    this.panBlocks = steps(block);
  }

  /** Yields after each map. */
  *forwardInParts(inputMaps: readonly Tensor[]): Generator<undefined, Tensor[]> {
    const maps = [...inputMaps];
    for (const [i, level] of this.#attended.entries()) {
      maps[level] = (this.encoder[i] as MapAttention).forward(maps[level] as Tensor);
      yield;
    }
    const fine = [maps.at(-1) as Tensor];
    for (const [i, lateral] of this.lateralConvs.entries()) {
      const coarse = lateral.forward(fine[0] as Tensor);
      fine[0] = coarse;
      const larger = interpolate(coarse, { scaleFactor: 2, channelsLast: true });
      const other = maps[maps.length - 2 - i] as Tensor;
      fine.unshift((this.fpnBlocks[i] as FusionBlock).forward(concat([larger, other], -1)));
      yield;
    }
    const result = [fine[0] as Tensor];
    for (const [i, down] of this.downsampleConvs.entries()) {
      const smaller = down.forward(result.at(-1) as Tensor);
      result.push((this.panBlocks[i] as FusionBlock).forward(concat([smaller, fine[i + 1] as Tensor], -1)));
      yield;
    }
    return result;
  }
}

/** Encoder layers over the pixels of one map. */
class MapAttention extends Module {
  readonly layers: readonly DetectionEncoderLayer[];
  readonly #temperature: number;
  /** True if positions are left out except in training. */
  readonly #hasSize: boolean;

  constructor(init: Initializer, config: ModelConfig, randomness: DetectionLayerOptions['randomness']) {
    super();
    const options: DetectionLayerOptions = {
      dModel: config.size('encoder_hidden_dim'),
      heads: config.size('encoder_attention_heads'),
      dFF: config.size('encoder_ffn_dim'),
      activation: activationOf(config.text('encoder_activation_function')),
      eps: config.number('layer_norm_eps'),
      dropout: config.number('dropout'),
      attentionDropout: config.number('dropout'),
      activationDropout: config.number('activation_dropout'),
      randomness,
    };
    const isPreNorm = config.flag('normalize_before');
    const depth = config.number('encoder_layers');
    this.layers = Array.from({ length: depth }, () => new DetectionEncoderLayer(init, options, isPreNorm));
    this.#temperature = config.number('positional_encoding_temperature');
    this.#hasSize = config.values.eval_size != null;
  }

  /** `map`: float32 [B, H, W, C]. */
  forward(map: Tensor): Tensor {
    const [batch, height, width, channels] = map.shape as [number, number, number, number];
    const positions =
      this.training || !this.#hasSize
        ? map.device.tensor(waves([height, width], channels, this.#temperature), [height * width, channels])
        : null;
    const x = map.reshape(batch, height * width, channels);
    return this.layers.reduce((y, layer) => layer.forward(y, positions, null), x).reshape(map.shape);
  }
}

/** Returns sinusoidal positions, [height·width, features]: of a pixel's row, then of its column. */
function waves([height, width]: GridSize, features: number, temperature: number): Float32Array {
  const quarter = features / 4;
  return Float32Array.from({ length: height * width * features }, (_, i) => {
    const [cell, feature] = [Math.floor(i / features), i % features];
    const coordinate = feature < 2 * quarter ? Math.floor(cell / width) : cell % width;
    const angle = coordinate / temperature ** ((feature % quarter) / quarter);
    return Math.floor(feature / quarter) % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  });
}

/** Sum of two paths, one of them through blocks of parallel convolutions (CSPRepLayer). */
class FusionBlock extends Module {
  readonly conv1: EncoderConv;
  readonly conv2: EncoderConv;
  readonly bottlenecks: readonly ParallelConvs[];
  readonly conv3: EncoderConv | null;

  constructor(init: Initializer, width: number, inner: number, options: Omit<ConvNormOptions, 'kernel'>) {
    super();
    const conv = (from: number, to: number) => new EncoderConv(init, from, to, { ...options, kernel: 1 });
    this.conv1 = conv(2 * width, inner);
    this.conv2 = conv(2 * width, inner);
    this.bottlenecks = Array.from({ length: 3 }, () => new ParallelConvs(init, inner, options));
    this.conv3 = inner === width ? null : conv(inner, width);
  }

  forward(x: Tensor): Tensor {
    const deep = this.bottlenecks.reduce((y, block) => block.forward(y), this.conv1.forward(x));
    const y = add(deep, this.conv2.forward(x));
    return this.conv3?.forward(y) ?? y;
  }
}

/** activation(conv3×3(x) + conv1×1(x)): RepVGG (Ding et al. 2021, arXiv 2101.03697). */
class ParallelConvs extends Module {
  readonly conv1: EncoderConv;
  readonly conv2: EncoderConv;
  readonly #activation: Activation;

  constructor(init: Initializer, width: number, { activation = 'none', ...options }: Omit<ConvNormOptions, 'kernel'>) {
    super();
    this.conv1 = new EncoderConv(init, width, width, { ...options, kernel: 3 });
    this.conv2 = new EncoderConv(init, width, width, { ...options, kernel: 1 });
    this.#activation = activation;
  }

  forward(x: Tensor): Tensor {
    return activate('RtDetr', add(this.conv1.forward(x), this.conv2.forward(x)), this.#activation);
  }
}

class RtDetrDecoder extends Module {
  readonly layers: readonly RtDetrDecoderLayer[];
  readonly queryPosHead: PerceptronHead;
  readonly bboxEmbed: readonly PerceptronHead[];
  readonly classEmbed: readonly Projection[];

  /** `classes`: 0 for a decoder that predicts nothing. */
  constructor(
    init: Initializer,
    config: ModelConfig,
    randomness: DetectionLayerOptions['randomness'],
    classes: number,
  ) {
    super();
    const dModel = config.size('d_model');
    const depth = config.size('decoder_layers');
    this.layers = Array.from({ length: depth }, () => new RtDetrDecoderLayer(init, config, randomness));
    this.queryPosHead = new PerceptronHead(init, 4, 2 * dModel, dModel, 2);
    const predictions = <Part>(make: () => Part) => Array.from({ length: classes > 0 ? depth : 0 }, make);
    this.classEmbed = predictions(() => new Linear(init, dModel, classes));
    this.bboxEmbed = predictions(() => new PerceptronHead(init, dModel, dModel, 4, 3));
  }

  /**
   * `x`: float32 [B, queries, dModel]. `boxes`: [B, queries, 4]. `mask`: int32 [1, 1, queries, queries], 0 where a
   * query may not attend to another. Each layer refines the boxes for the next one. Yields after each layer.
   */
  *forwardInParts(x: Tensor, boxes: Tensor, maps: Maps, mask: Tensor | null): Generator<undefined, ModelOutput> {
    const [batch, queries] = x.shape as [number, number];
    const [logits, corners]: [Tensor[], Tensor[]] = [[], []];
    let [features, reference] = [x, boxes];
    for (const [i, layer] of this.layers.entries()) {
      features = layer.forward(features, this.queryPosHead.forward(reference), reference, maps, mask);
      const moved = this.bboxEmbed[i]?.forward(features);
      if (moved) {
        const box = sigmoid(add(moved, logitOf(reference)));
        corners.push(box);
        reference = box.detach();
      } else corners.push(reference);
      const scores = this.classEmbed[i]?.forward(features);
      if (scores) logits.push(scores);
      yield;
    }
    const stacked = (parts: Tensor[]) =>
      concat(
        parts.map((part) => part.reshape(batch, 1, queries, -1)),
        1,
      );
    const output: ModelOutput = { lastHiddenState: features, intermediateReferencePoints: stacked(corners) };
    if (logits.length === 0) return output;
    output.intermediateLogits = stacked(logits);
    return { ...output, logits: logits.at(-1) as Tensor, predBoxes: corners.at(-1) as Tensor };
  }
}

/** Inverse of the sigmoid. Values are first clamped to 1e-5 … 1 − 1e-5. */
function logitOf(share: Tensor): Tensor {
  const [low, high] = [clamp(share, { min: 1e-5 }), clamp(add(neg(share), 1), { min: 1e-5 })];
  return log(div(low, high));
}

class RtDetrDecoderLayer extends Module {
  readonly selfAttn: PositionedAttention;
  readonly selfAttnLayerNorm: LayerNorm;
  readonly encoderAttn: DeformableAttention;
  readonly encoderAttnLayerNorm: LayerNorm;
  readonly feedForward: FeedForward;
  readonly finalLayerNorm: LayerNorm;
  readonly dropout: Dropout;

  constructor(init: Initializer, config: ModelConfig, randomness: DetectionLayerOptions['randomness']) {
    super();
    const [dModel, heads] = [config.size('d_model'), config.size('decoder_attention_heads')];
    const eps = config.number('layer_norm_eps');
    const dropout = (name: string) => new Dropout(config.number(name), randomness);
    const [levels, points] = [config.size('num_feature_levels'), config.size('decoder_n_points')];
    this.selfAttn = new PositionedAttention(init, dModel, heads, dropout('attention_dropout'));
    this.selfAttnLayerNorm = new LayerNorm(init, dModel, eps);
    this.encoderAttn = new DeformableAttention(init, { dModel, heads, levels, points });
    this.encoderAttnLayerNorm = new LayerNorm(init, dModel, eps);
    const activation = activationOf(config.text('decoder_activation_function'));
    const dFF = config.size('decoder_ffn_dim');
    this.feedForward = new FeedForward(init, { dModel, dFF, activation, dropout: dropout('activation_dropout') });
    this.finalLayerNorm = new LayerNorm(init, dModel, eps);
    this.dropout = dropout('dropout');
  }

  protected override get stateNames(): StateNames {
    return feedForwardNames;
  }

  forward(x: Tensor, positions: Tensor, boxes: Tensor, maps: Maps, mask: Tensor | null): Tensor {
    const { dropout } = this;
    const selfAttended = this.selfAttn.forward(x, positions, { x, positions, mask });
    const queries = this.selfAttnLayerNorm.forward(dropout.forward(selfAttended), x);
    const seen = dropout.forward(this.encoderAttn.forward(add(queries, positions), boxes, maps));
    const mixed = this.encoderAttnLayerNorm.forward(seen, queries);
    return this.finalLayerNorm.forward(dropout.forward(this.feedForward.forward(mixed)), mixed);
  }
}

const defaults: Json = {
  layer_norm_eps: 1e-5,
  batch_norm_eps: 1e-5,
  freeze_backbone_batch_norms: true,
  encoder_hidden_dim: 256,
  encoder_in_channels: [512, 1024, 2048],
  encoder_layers: 1,
  encoder_ffn_dim: 1024,
  encoder_attention_heads: 8,
  dropout: 0,
  activation_dropout: 0,
  encode_proj_layers: [2],
  positional_encoding_temperature: 10000,
  encoder_activation_function: 'gelu',
  activation_function: 'silu',
  normalize_before: false,
  hidden_expansion: 1,
  d_model: 256,
  num_queries: 300,
  decoder_in_channels: [256, 256, 256],
  decoder_ffn_dim: 1024,
  num_feature_levels: 3,
  decoder_n_points: 4,
  decoder_layers: 6,
  decoder_attention_heads: 8,
  decoder_activation_function: 'relu',
  attention_dropout: 0,
  num_denoising: 100,
  label_noise_ratio: 0.5,
  box_noise_scale: 1,
  use_focal_loss: true,
  auxiliary_loss: true,
  matcher_alpha: 0.25,
  matcher_gamma: 2,
  matcher_class_cost: 2,
  matcher_bbox_cost: 5,
  matcher_giou_cost: 2,
  focal_loss_alpha: 0.75,
  focal_loss_gamma: 2,
  weight_loss_vfl: 1,
  weight_loss_bbox: 5,
  weight_loss_giou: 2,
  learn_initial_query: false,
};

export const rtDetr: Family = { model: RtDetr, className: 'RTDetr', defaults };
