import { FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import type { AttentionMaps, AttentionsByKind, ObservedAttention } from '../../inspect/attention-maps.js';
import { Conv2d } from '../../nn/conv.js';
import { Dropout } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import type { GridSize } from '../../nn/interpolation.js';
import { Linear, type Projection } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { type Activation, activate } from '../../ops/activation.js';
import { attention } from '../../ops/attention.js';
import { attentionWeights } from '../../ops/attention-weights.js';
import { max } from '../../ops/axis.js';
import { add, mul } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat, permute } from '../../ops/move.js';
import { cos, exp, sin } from '../../ops/unary.js';
import { activationOf } from '../config-values.js';
import { DeformableAttention, type Maps } from '../deformable-attention.js';
import {
  bestRows,
  type DetectionLayerOptions,
  DetectionModel,
  type GridMask,
  gridMask,
  PerceptronHead,
} from '../detection.js';
import { type Found, lwDetrLoss } from '../detection-loss.js';
import type { Family } from '../family.js';
import type { ForwardOptions, ModelInputs, ModelOutput } from '../inputs.js';
import { labelsOf } from '../labels.js';
import type { ModelConfig } from '../model-config.js';
import { rfDetrModule } from '../module-names.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { backboneNames, backboneOf, WindowedDinov2 } from './windowed-dinov2.js';

type Random = DetectionLayerOptions['randomness'];

/** Added to the scores of cells that must not become queries. */
const NEVER = -3.4028234663852886e38;

/**
 * RF-DETR (Robinson et al. 2025, arXiv 2511.09554). DINOv2 reads windows of the image, and convolutions fuse the
 * feature maps of some of its layers. The cells of the map with the best scores propose boxes. A decoder with
 * deformable attention refines them.
 */
export class RfDetr extends DetectionModel {
  readonly backbone: WindowedDinov2;
  readonly projector: Projector;
  /** float32 [groups · queries, dModel]: initial features of the queries. */
  readonly queries: Tensor;
  /** float32 [groups · queries, 4]: learned changes of the initial boxes of the queries. */
  readonly boxChanges: Tensor;
  /** One for each group of queries. Only training uses all groups; inference uses the first. */
  readonly proposals: readonly Proposals[];
  readonly positionHead: PerceptronHead;
  readonly decoderLayers: readonly RfDetrDecoderLayer[];
  readonly decoderNorm: LayerNorm;
  readonly head: PredictionHead | null;
  readonly boxes: PerceptronHead | null;
  readonly #count: number;

  constructor(context: FamilyContext) {
    super(context, ['none', 'object-detection']);
    const { init, config, head } = context;
    const dModel = config.size('d_model');
    if (dModel % 4 !== 0) throw new FormatError(`config.json: d_model is ${dModel}, expected a multiple of 4`);
    config.expect('num_feature_levels', 1);
    const classes = labelsOf(config.values).length;
    const groups = config.size('group_detr');
    this.#count = config.size('num_queries');
    this.backbone = new WindowedDinov2(init, backboneOf(config), this.randomness);
    this.projector = new Projector(init, config, this.backbone.features);
    this.boxChanges = init.constant([this.#count * groups, 4], 0);
    this.queries = init.normal([this.#count * groups, dModel], 1);
    const layer = () => new RfDetrDecoderLayer(init, config, this.randomness);
    this.decoderLayers = Array.from({ length: config.size('decoder_layers') }, layer);
    this.decoderNorm = new LayerNorm(init, dModel);
    this.positionHead = new PerceptronHead(init, 2 * dModel, dModel, dModel, 2);
    this.proposals = Array.from({ length: groups }, () => new Proposals(init, dModel, classes));
    const isDetector = head === 'object-detection';
    this.head = isDetector ? new PredictionHead({ pick: 'tokens', out: new Linear(init, dModel, classes) }) : null;
    this.boxes = isDetector ? new PerceptronHead(init, dModel, dModel, 4, 3) : null;
  }

  protected override get inputNames(): readonly (keyof ModelInputs)[] {
    return ['pixelMask', ...super.inputNames];
  }

  /** Deformable attention to the map samples a few places, so it is not among them. */
  override get attentions(): AttentionsByKind {
    return { ...super.attentions, decoder: this.decoderLayers.map(({ selfAttn }) => selfAttn) };
  }

  protected override mapsOf({ decoder }: AttentionMaps): ModelOutput {
    return { attentions: decoder };
  }

  protected override *forwardPixelsInParts(
    pixels: Tensor,
    inputs: ModelInputs,
    options: ForwardOptions,
  ): Generator<unknown, ModelOutput> {
    const map = this.projector.forward(yield* this.backbone.forward(pixels)); // [B, H, W, dModel]
    const mask = gridMask(inputs.pixelMask, pixels, mapSize(map));
    const extents = mask.cells.map((cells) => extentOf(cells, mapSize(map)));
    const proposed = this.#propose(map, mask, extents);
    const weights: Tensor[] | undefined = options.attentions ? [] : undefined;
    const { states, start } = yield* this.#decodeInParts(map, mask, extents, proposed, weights);
    const normed = states.slice(1).map((state) => this.decoderNorm.forward(state));
    const features = normed.at(-1) as Tensor;
    const output: ModelOutput = {
      lastHiddenState: features,
      initReferencePoints: start,
      intermediateReferencePoints: stacked([start]),
      intermediateHiddenStates: stacked(normed),
      encOutputsClass: proposed.classes,
      encOutputsCoordLogits: proposed.boxes,
      backboneFeatures: permute(map, [0, 3, 1, 2]),
    };
    if (weights) output.crossAttentions = weights;
    if (options.hiddenStates) output.hiddenStates = [...states.slice(0, -1), features]; // transformers normalizes the last one
    const { head, boxes } = this;
    if (!head || !boxes) return output;
    const found = this.#find(features, start, head, boxes);
    const withLoss = this.withLoss(output, inputs, options, (labels) => {
      const auxiliary = this.settings.flag('auxiliary_loss') ? normed.slice(0, -1) : [];
      const earlier = auxiliary.map((x) => this.#find(x, start, head, boxes));
      const encoder: Found = { logits: proposed.classes, predBoxes: proposed.boxes };
      return lwDetrLoss([found, ...earlier, encoder], labels, this.settings);
    });
    return { ...withLoss, ...found };
  }

  /** The groups of queries that are computed. */
  get #groups(): readonly Proposals[] {
    return this.training ? this.proposals : this.proposals.slice(0, 1);
  }

  /**
   * Proposes a box for each query, `boxes` [B, groups · queries, 4]. `classes`: logits of classes, or without a head
   * the features of the cells.
   */
  #propose(map: Tensor, { cells }: GridMask, extents: readonly Extent[]): { boxes: Tensor; classes: Tensor } {
    const grid = mapSize(map);
    const tokens = flatMap(map);
    const candidates = cellBoxes(cells, grid, extents);
    const found = this.#groups.map((group) => ({ group, ...group.forward(tokens, candidates, this.#count) }));
    const classes = found.map(({ group, features }) => (this.head ? group.scores.forward(features) : features));
    return {
      boxes: concat(
        found.map(({ boxes }) => boxes),
        1,
      ),
      classes: concat(classes, 1),
    };
  }

  /**
   * Refines the queries. `states`: the input of the first layer, and the outputs of all layers, [B, groups · queries,
   * dModel]. `start`: the boxes from which the decoder starts. `weights`: see `Maps`.
   */
  *#decodeInParts(
    map: Tensor,
    { cells, isPadded }: GridMask,
    extents: readonly Extent[],
    proposed: { readonly boxes: Tensor },
    weights: Tensor[] | undefined,
  ): Generator<unknown, { states: Tensor[]; start: Tensor }> {
    const { device } = map;
    const [batch, height, width, dModel] = map.shape as [number, number, number, number];
    const groups = this.#groups.length;
    const count = this.#count * groups;
    const start = refined(proposed.boxes.detach(), this.boxChanges.rows(0, count));
    const shares = extents.flatMap(({ rows, columns }) => [columns / width, rows / height]);
    const ratios = device.tensor(Float32Array.from(shares), [batch, 1, 2]);
    // Boxes are fractions of the image. Deformable attention needs fractions of the padded image.
    const padded = isPadded ? mul(start, concat([ratios, ratios], -1)) : start;
    const positions = this.positionHead.forward(boxWaves(padded, dModel));
    const seen = device.tensor(Float32Array.from(cells.flat(), Number), [batch, height * width, 1]);
    const maps: Maps = { tokens: flatMap(map), grids: [[height, width]], mask: isPadded ? seen : null, weights };
    const states = [add(this.queries.rows(0, count), device.zeros([batch, 1, 1]))];
    for (const layer of this.decoderLayers) {
      states.push(layer.forward(states.at(-1) as Tensor, positions, padded, maps, groups));
      yield;
    }
    return { states, start };
  }

  #find(features: Tensor, start: Tensor, head: PredictionHead, boxes: PerceptronHead): Found {
    return { logits: head.read(features), predBoxes: refined(start, boxes.forward(features)) };
  }

  override moduleName(name: string): string {
    const inMemory = rfDetrModule(name);
    return this.headKind === 'none' ? inMemory.replace(/^model\./, '') : inMemory;
  }

  protected override get stateNames(): StateNames {
    const decoder = 'transformer.decoder';
    return {
      ...backboneNames(this.backbone.isGated),
      ...projectorNames,
      queries: 'query_feat.weight',
      box_changes: 'refpoint_embed.weight',
      'proposals.*.linear': 'transformer.enc_output.*',
      'proposals.*.norm': 'transformer.enc_output_norm.*',
      'proposals.*.scores': 'transformer.enc_out_class_embed.*',
      'proposals.*.boxes': 'transformer.enc_out_bbox_embed.*',
      position_head: `${decoder}.ref_point_head`,
      'decoder_layers.*.self_attn.qkv.weight': `${decoder}.layers.*.self_attn.in_proj_weight`,
      'decoder_layers.*.self_attn.qkv.bias': `${decoder}.layers.*.self_attn.in_proj_bias`,
      'decoder_layers.*.feed_forward': `${decoder}.layers.*`,
      'decoder_layers.*': `${decoder}.layers.*`,
      decoder_norm: `${decoder}.norm`,
      'head.out': 'class_embed',
      boxes: 'bbox_embed',
    };
  }
}

/** A convolution without a bias, a layer norm of each pixel's features, and an activation. Maps are [B, H, W, C]. */
class ConvLayerNorm extends Module {
  readonly conv: Conv2d;
  readonly norm: LayerNorm;

  constructor(
    init: Initializer,
    [inputs, outputs]: readonly [number, number],
    kernel: 1 | 3,
    eps: number,
    private readonly activation: Activation,
  ) {
    super();
    const options = { padding: Math.floor(kernel / 2), channelsLast: true };
    this.conv = new Conv2d(init, { inputs, outputs, kernel: [kernel, kernel], ...options, bias: false });
    this.norm = new LayerNorm(init, outputs, eps);
  }

  forward(x: Tensor): Tensor {
    return activate('RfDetr', this.norm.forward(this.conv.forward(x)), this.activation);
  }
}

class TwoConvs extends Module {
  constructor(
    readonly conv1: ConvLayerNorm,
    readonly conv2: ConvLayerNorm,
  ) {
    super();
  }
}

/** Fuses maps of the same size by a C2f block: the outputs of all its inner blocks are concatenated and projected. */
class Projector extends Module {
  readonly conv1: ConvLayerNorm;
  readonly conv2: ConvLayerNorm;
  readonly blocks: readonly TwoConvs[];
  readonly norm: LayerNorm;
  readonly #inner: number;

  /** `inputs`: total number of features of all maps. */
  constructor(init: Initializer, config: ModelConfig, inputs: number) {
    super();
    const [dModel, count] = [config.size('d_model'), config.number('c2f_num_blocks')];
    const inner = Math.trunc(dModel * config.number('hidden_expansion'));
    const [eps, activation] = [config.number('layer_norm_eps'), activationOf(config.text('activation_function'))];
    const conv = (from: number, to: number, kernel: 1 | 3) =>
      new ConvLayerNorm(init, [from, to], kernel, eps, activation);
    this.conv1 = conv(inputs, 2 * inner, 1);
    this.conv2 = conv((2 + count) * inner, dModel, 1);
    this.blocks = Array.from({ length: count }, () => new TwoConvs(conv(inner, inner, 3), conv(inner, inner, 3)));
    this.norm = new LayerNorm(init, dModel, 1e-6);
    this.#inner = inner;
  }

  /** `maps`: float32 [B, H, W, features]. Returns [B, H, W, dModel]. */
  forward(maps: readonly Tensor[]): Tensor {
    const both = this.conv1.forward(concat(maps, -1));
    const parts = [both, contiguous(both.columns(this.#inner, 2 * this.#inner))];
    for (const { conv1, conv2 } of this.blocks) parts.push(conv2.forward(conv1.forward(parts.at(-1) as Tensor)));
    const [first, , ...rest] = parts as [Tensor, Tensor, ...Tensor[]];
    return this.norm.forward(this.conv2.forward(concat([first, ...rest], -1)));
  }
}

const projectorNames: StateNames = {
  ...Object.fromEntries(
    [1, 2].flatMap((i) => [
      [`projector.conv${i}.norm`, `backbone.0.projector.stages.0.0.cv${i}.bn`],
      [`projector.conv${i}`, `backbone.0.projector.stages.0.0.cv${i}`],
      [`projector.blocks.*.conv${i}.norm`, `backbone.0.projector.stages.0.0.m.*.cv${i}.bn`],
      [`projector.blocks.*.conv${i}`, `backbone.0.projector.stages.0.0.m.*.cv${i}`],
    ]),
  ),
  'projector.norm': 'backbone.0.projector.stages.0.1',
};

/** [height, width] of a map [B, height, width, features]. */
const mapSize = (map: Tensor) => map.shape.slice(1, 3) as unknown as GridSize;

/** A map as rows of tokens, [B, height · width, features]. */
const flatMap = (map: Tensor) => map.reshape(map.shape[0] as number, -1, map.shape[3] as number);

const stacked = (parts: readonly Tensor[]) => concat(parts.map((part) => part.reshape(1, ...part.shape)));

/** Number of rows and columns of a map that belong to the image, not to padding. */
interface Extent {
  readonly rows: number;
  readonly columns: number;
}

/** Counts the marks in the first column and the first row, as transformers does. */
function extentOf(mask: readonly boolean[], [height, width]: GridSize): Extent {
  const count = (length: number, step: number) =>
    Array.from({ length }, (_, i) => mask[i * step]).filter(Boolean).length;
  return { rows: count(height, width), columns: count(width, 1) };
}

/**
 * Proposals of the cells of the maps. `boxes` [B · S · 4]: a box per cell. `isInside` [B · S]: 1 for cells that may
 * become queries, else 0. S: number of cells.
 */
interface CellBoxes {
  readonly boxes: Float32Array;
  readonly isInside: Float32Array;
}

/**
 * Returns a box around the centre of each cell. Width and height are 0.05 of the image. Boxes of padding and near an
 * edge are zeros.
 */
function cellBoxes(masks: readonly (readonly boolean[])[], [, width]: GridSize, extents: readonly Extent[]): CellBoxes {
  const boxes: number[] = [];
  const isInside: number[] = [];
  masks.forEach((mask, image) => {
    const { rows, columns } = extents[image] as Extent;
    mask.forEach((isOfImage, cell) => {
      const [x, y] = [cell % width, Math.floor(cell / width)];
      const box = [(x + 0.5) / columns, (y + 0.5) / rows, 0.05, 0.05];
      const fits = isOfImage && box.every((value) => value > 0.01 && value < 0.99);
      isInside.push(fits ? 1 : 0);
      boxes.push(...(fits ? box : [0, 0, 0, 0]));
    });
  });
  return { boxes: Float32Array.from(boxes), isInside: Float32Array.from(isInside) };
}

/**
 * Moves boxes [..., 4] by multiples of their size, and scales them by exponentials of changes. Both arguments
 * broadcast.
 */
function refined(boxes: Tensor, changes: Tensor): Tensor {
  const size = boxes.columns(2, 4);
  const centre = add(mul(size, changes.columns(0, 2)), boxes.columns(0, 2));
  return concat([centre, mul(size, exp(changes.columns(2, 4)))], -1);
}

/**
 * Returns sinusoids of the centre's y and x, the width and the height: [B, Q, 4] → [B, Q, 2 · dModel]. Q: number of
 * queries.
 */
function boxWaves(boxes: Tensor, dModel: number): Tensor {
  const [batch, queries] = boxes.shape as [number, number];
  const pairs = dModel / 4;
  const speeds = Float32Array.from({ length: pairs }, (_, i) => (2 * Math.PI) / 10000 ** (i / pairs));
  const ordered = concat([boxes.columns(1, 2), boxes.columns(0, 1), boxes.columns(2, 4)], -1);
  const angles = mul(ordered.reshape(batch, queries, 4, 1), boxes.device.tensor(speeds));
  const waves = [sin(angles), cos(angles)].map((wave) => wave.reshape(batch, queries, 4, pairs, 1));
  return concat(waves, -1).reshape(batch, queries, 2 * dModel);
}

/** Chooses the cells that become queries, and their boxes. */
class Proposals extends Module {
  readonly linear: Projection;
  readonly norm: LayerNorm;
  readonly scores: Projection;
  readonly boxes: PerceptronHead;

  constructor(init: Initializer, dModel: number, classes: number) {
    super();
    this.linear = new Linear(init, dModel, dModel);
    this.norm = new LayerNorm(init, dModel);
    this.boxes = new PerceptronHead(init, dModel, dModel, 4, 3);
    this.scores = new Linear(init, dModel, classes);
  }

  /**
   * `tokens`: float32 [B, S, dModel]. Returns features [B, count, dModel] and boxes [B, count, 4] of the cells with the
   * best scores.
   */
  forward(tokens: Tensor, cells: CellBoxes, count: number): { features: Tensor; boxes: Tensor } {
    const { device } = tokens;
    const [batch, total] = tokens.shape as [number, number];
    const isInside = device.tensor(cells.isInside, [batch, total, 1]);
    const features = this.norm.forward(this.linear.forward(mul(tokens, isInside)));
    const penalty = device.tensor(
      cells.isInside.map((inside) => (inside ? 0 : NEVER)),
      [batch, total],
    );
    const scores = max(this.scores.forward(features.detach()).detach(), { axis: -1 });
    const best = bestRows(add(scores, penalty), count);
    const chosen = best(features);
    const proposed = best(device.tensor(cells.boxes, [batch, total, 4]));
    return { features: chosen, boxes: refined(proposed, this.boxes.forward(chosen)) };
  }
}

/**
 * Self-attention within each group of queries. Positions are added to the input of queries and keys, but not of values.
 */
class GroupAttention extends Module implements ObservedAttention {
  readonly qkv: Projection;
  readonly outProj: Projection;
  readonly dropout: Dropout;
  readonly heads: number;
  readonly headSize: number;
  observe: ObservedAttention['observe'] = null;

  constructor(init: Initializer, config: ModelConfig, randomness: Random) {
    super();
    const [dModel, heads] = [config.size('d_model'), config.size('decoder_self_attention_heads')];
    this.headSize = config.sizeOrNull('head_dim') ?? Math.floor(dModel / heads);
    const inner = heads * this.headSize;
    const bias = config.flag('attention_bias');
    this.qkv = new Linear(init, dModel, [inner, inner, inner], bias);
    this.outProj = new Linear(init, inner, dModel, bias);
    this.dropout = new Dropout(config.number('attention_dropout'), randomness);
    this.heads = heads;
  }

  /** `x`, `positions` and the result: float32 [B, groups · queries, dModel]. */
  forward(x: Tensor, positions: Tensor, groups: number): Tensor {
    const [batch, total, dModel] = x.shape as [number, number, number];
    const grouped = (rows: Tensor) => rows.reshape(batch * groups, total / groups, dModel);
    const positioned = grouped(add(x, positions));
    const [q, k] = [this.qkv.part(positioned, 0, 1), this.qkv.part(positioned, 1, 2)];
    const v = this.qkv.part(grouped(x), 2, 3);
    const { heads } = this;
    const mixed = attention(q, k, v, { heads, dropout: this.dropout.options });
    this.observe?.({ outputs: mixed, weights: () => attentionWeights(q, k, { heads }), parts: null });
    return this.outProj.forward(mixed).reshape(batch, total, dModel);
  }
}

class RfDetrDecoderLayer extends Module {
  readonly selfAttn: GroupAttention;
  readonly norm1: LayerNorm;
  readonly crossAttn: DeformableAttention;
  readonly norm2: LayerNorm;
  readonly feedForward: FeedForward;
  readonly norm3: LayerNorm;
  readonly dropouts: readonly Dropout[];

  constructor(init: Initializer, config: ModelConfig, randomness: Random) {
    super();
    const [dModel, heads] = [config.size('d_model'), config.size('decoder_cross_attention_heads')];
    if (dModel % heads !== 0)
      throw new FormatError(`config.json: decoder_cross_attention_heads is ${heads}, expected a divisor of ${dModel}`);
    const dropout = () => new Dropout(config.number('dropout'), randomness);
    this.selfAttn = new GroupAttention(init, config, randomness);
    this.norm1 = new LayerNorm(init, dModel);
    const points = config.size('decoder_n_points');
    this.crossAttn = new DeformableAttention(init, { dModel, heads, levels: 1, points });
    this.norm2 = new LayerNorm(init, dModel);
    const activation = activationOf(config.text('decoder_activation_function'));
    const dFF = config.size('decoder_ffn_dim');
    this.feedForward = new FeedForward(init, { dModel, dFF, activation, dropout: dropout() });
    this.norm3 = new LayerNorm(init, dModel);
    this.dropouts = [dropout(), dropout(), dropout()];
  }

  /** `x` and `positions`: float32 [B, groups · queries, dModel]. `boxes`: [B, groups · queries, 4]. */
  forward(x: Tensor, positions: Tensor, boxes: Tensor, maps: Maps, groups: number): Tensor {
    const [dropout1, dropout2, dropout3] = this.dropouts as [Dropout, Dropout, Dropout];
    const queries = this.norm1.forward(dropout1.forward(this.selfAttn.forward(x, positions, groups)), x);
    const seen = dropout2.forward(this.crossAttn.forward(add(queries, positions), boxes, maps));
    const mixed = this.norm2.forward(seen, queries);
    return this.norm3.forward(dropout3.forward(this.feedForward.forward(mixed)), mixed);
  }
}

export const rfDetr: Family = {
  model: RfDetr,
  className: 'RfDetr',
  defaults: {
    hidden_expansion: 0.5,
    c2f_num_blocks: 3,
    activation_function: 'silu',
    dropout: 0.1,
    decoder_ffn_dim: 2048,
    decoder_n_points: 4,
    decoder_layers: 3,
    decoder_self_attention_heads: 8,
    decoder_cross_attention_heads: 16,
    decoder_activation_function: 'relu',
    num_queries: 300,
    attention_bias: true,
    attention_dropout: 0,
    activation_dropout: 0,
    group_detr: 13,
    d_model: 256,
    layer_norm_eps: 1e-5,
    num_feature_levels: 1,
    auxiliary_loss: true,
    class_cost: 2,
    bbox_cost: 5,
    giou_cost: 2,
    class_loss_coefficient: 1,
    bbox_loss_coefficient: 5,
    giou_loss_coefficient: 2,
    focal_alpha: 0.25,
  },
};
