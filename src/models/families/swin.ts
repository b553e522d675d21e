import { ShapeError } from '../../core/errors.js';
import { atOnce } from '../../core/slices.js';
import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import { Dropout, type Randomness } from '../../nn/dropout.js';
import { FeedForward } from '../../nn/feed-forward.js';
import type { Initializer } from '../../nn/init.js';
import type { GridSize } from '../../nn/interpolation.js';
import { TransformerLayer } from '../../nn/layer.js';
import { Linear, type Projection } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import { LayerNorm } from '../../nn/norm.js';
import type { PaddingMask } from '../../nn/padding.js';
import type { PatchEmbedding } from '../../nn/patch-embedding.js';
import { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import { add } from '../../ops/binary.js';
import { concat, gather, permute } from '../../ops/move.js';
import { pad } from '../../ops/pad.js';
import { activationOf, dropBranch, dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import { labelsOf } from '../labels.js';
import type { Json, ModelConfig } from '../model-config.js';
import { swinModule } from '../module-names.js';
import { PredictionHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';
import { TowerModel } from '../tower-model.js';
import { checkPixels, type ImageInputs, type ImageTower, patchesOf, type TowerOutput } from '../towers.js';

/**
 * Swin (Liu et al. 2021, arXiv 2103.14030): patches attend within windows, which shift from layer to layer. Each stage
 * except the last merges squares of four patches. The model type `donut-swin` has no norm at the end.
 */
export class Swin extends TowerModel {
  override readonly text = null;
  readonly vision: SwinTower;
  readonly head: PredictionHead | null;

  constructor(context: FamilyContext) {
    super(context, ['image-classification']);
    const { init, config, head } = context;
    this.vision = new SwinTower(init, config, this.randomness, head === 'none');
    const out = () => new Linear(init, this.vision.width, labelsOf(config.values).length);
    this.head = head === 'image-classification' ? new PredictionHead({ pick: 'mean', out: out() }) : null;
  }

  protected override get bodyName(): string {
    return this.settings.type === 'donut-swin' ? 'donut' : 'swin';
  }

  override moduleName(name: string): string {
    return this.settings.type === 'swin' ? swinModule(name) : name; // Donut's names are the same
  }

  protected override get stateNames(): StateNames {
    return { ...swinNames(`${this.bodyName}.`), 'head.out': 'classifier' };
  }
}

/** Names of the tower's parts in checkpoints. `prefix` ends with a dot or is empty. */
function swinNames(prefix: string): StateNames {
  return {
    'vision.patches.projection': `${prefix}embeddings.patch_embeddings.projection`,
    'vision.patch_norm': `${prefix}embeddings.norm`,
    'vision.positions': { name: `${prefix}embeddings.position_embeddings`, leading: [1] },
    ...swinStageNames('vision.stages.*', `${prefix}encoder.layers.*`),
    'vision.norm': `${prefix}layernorm`,
  };
}

/** Returns the names of a stage's parts. `stage`: our path. `stored`: the path in checkpoints. */
export function swinStageNames(stage: string, stored: string): StateNames {
  const [layer, block] = [`${stage}.layers.*`, `${stored}.blocks.*`];
  return {
    [`${layer}.self_attn.qkv`]: ['query', 'key', 'value'].map((name) => `${block}.attention.self.${name}`),
    [`${layer}.self_attn.distance_bias`]: `${block}.attention.self.relative_position_bias_table`,
    [`${layer}.self_attn.out_proj`]: `${block}.attention.output.dense`,
    [`${layer}.norm1`]: `${block}.layernorm_before`,
    [`${layer}.norm2`]: `${block}.layernorm_after`,
    [`${layer}.feed_forward.linear1`]: `${block}.intermediate.dense`,
    [`${layer}.feed_forward.linear2`]: `${block}.output.dense`,
    [`${stage}.merging`]: `${stored}.downsample`,
  };
}

/** Stages of layers over the patches of images. */
class SwinTower extends Module implements ImageTower {
  readonly patches: PatchEmbedding;
  readonly patchNorm: LayerNorm;
  /** float32 [patches, features]: absolute positions. Null if the model has only relative positions. */
  readonly positions: Tensor | null;
  readonly dropout: Dropout;
  readonly stages: readonly SwinStage[];
  readonly norm: LayerNorm | null;
  readonly pooler: PredictionHead | null;
  readonly encoder = null;
  readonly inputNames = ['pixelValues'] as const;
  /** Number of features of a patch after the last stage. */
  readonly width: number;

  constructor(init: Initializer, config: ModelConfig, randomness: Randomness, pools: boolean) {
    super();
    const isDonut = config.type === 'donut-swin';
    if (isDonut) config.expect('use_absolute_embeddings', false); // transformers' table has another size
    const [dModel, depths] = [config.size('embed_dim'), config.sizes('depths')];
    this.patches = patchesOf(init, config, { dModel, classToken: false, positions: false, interpolate: true });
    const hasPositions = config.flag('use_absolute_embeddings');
    const [rows, columns] = this.patches.grid(this.patches.image);
    this.positions = hasPositions ? init.normal([rows * columns, dModel], dModel ** -0.5) : null;
    this.patchNorm = new LayerNorm(init, dModel);
    this.dropout = new Dropout(config.number('hidden_dropout_prob'), randomness);
    this.stages = swinStages(init, config, randomness, { dModel, heads: 'num_heads' });
    this.width = dModel * 2 ** (depths.length - 1);
    this.norm = isDonut ? null : new LayerNorm(init, this.width, config.number('layer_norm_eps'));
    this.pooler = pools ? new PredictionHead({ pick: 'mean' }) : null;
  }

  get layers(): readonly TransformerLayer[] {
    return this.stages.flatMap((stage) => stage.layers);
  }

  get maxLength(): number {
    const halve = (size: number) => this.stages.slice(1).reduce((length) => Math.ceil(length / 2), size);
    return this.#grid.map(halve).reduce((product, size) => product * size, 1);
  }

  /** Rows and columns of the patches of an image of the config's size. */
  get #grid(): GridSize {
    const { image, patch } = this.patches;
    return [Math.ceil(image[0] / patch[0]), Math.ceil(image[1] / patch[1])];
  }

  /** Attention of the last layer of each stage. transformers returns the maps of these layers. */
  get attentions(): readonly MultiHeadAttention[] {
    return this.stages.flatMap(({ layers }) => layers.at(-1)?.selfAttentions ?? []);
  }

  embed(images: ImageInputs): { x: Tensor; batch: Sequences; grid: GridSize } {
    const pixels = filled(checkPixels(images.pixelValues), this.patches.patch);
    const patches = this.patches.forward(pixels); // [B, patches, features]
    const [size, count, features] = patches.shape as [number, number, number];
    const grid = this.patches.grid(pixels.shape.slice(2) as [number, number]);
    const { positions } = this;
    if (positions && positions.shape[0] !== count)
      throw new ShapeError(`forward: the images have ${count} patches, expected ${positions.shape[0]}`);
    const normed = this.patchNorm.forward(patches);
    const embedded = positions ? add(normed, positions) : normed;
    const batch = Sequences.of(pixels.device, Array<number>(size).fill(count));
    return { x: this.dropout.forward(embedded).reshape(size * count, features), batch, grid };
  }

  forward(images: ImageInputs): TowerOutput {
    return atOnce(this.forwardInParts(images));
  }

  *forwardInParts(images: ImageInputs): Generator<unknown, TowerOutput> {
    let stage: Patches = this.embed(images);
    const hiddenStates = [stage.x];
    for (const swinStage of this.stages) {
      stage = yield* swinStage.forwardInParts(stage);
      hiddenStates.push(stage.x);
    }
    const { x, batch } = stage;
    return { features: this.norm?.forward(x) ?? x, batch, hiddenStates };
  }
}

/** The patches of a batch of images, as rows. */
export interface Patches {
  /** float32 [B · rows · columns, features], image by image, row by row. */
  readonly x: Tensor;
  readonly batch: Sequences;
  /** Rows and columns of an image's patches. */
  readonly grid: GridSize;
}

/** Layers of one resolution. Every second layer shifts its windows by half of their size. */
export class SwinStage extends Module {
  constructor(
    private readonly window: number,
    readonly layers: readonly TransformerLayer[],
    /** Halves rows and columns after the last layer. Null in the last stage. */
    readonly merging: PatchMerging | null,
  ) {
    super();
  }

  /** Yields after each layer. Throws ShapeError for a grid that is smaller than a window. */
  *forwardInParts({ x, batch, grid }: Patches): Generator<unknown, Patches> {
    const { window, layers, merging } = this;
    const smallest = Math.min(...grid);
    if (smallest < window)
      throw new ShapeError(
        `Swin: a stage has ${grid.join(' × ')} patches, expected at least a window of ${window}: give larger images`,
      );
    const windowsAt = (shift: number) => windowsOf(x, batch.size, grid, window, shift);
    const whole = windowsAt(0);
    const shifted = smallest > window && layers.length > 1 ? windowsAt(Math.floor(window / 2)) : whole;
    let y = x;
    for (const [i, layer] of layers.entries()) {
      (layer.selfAttn as WindowAttention).start(i % 2 === 0 ? whole : shifted);
      y = layer.forward(y, batch);
      yield;
    }
    return merging ? merging.forward({ x: y, batch, grid }) : { x: y, batch, grid };
  }
}

export interface SwinStagesOptions {
  /** Features of a patch in the first stage. Each further stage has twice as many. */
  readonly dModel: number;
  /** Name of the setting with the number of heads of each stage. */
  readonly heads: string;
  /** Name of the setting with the dropout after attention. Default: `hidden_dropout_prob`. */
  readonly attentionDropout?: string | undefined;
}

/** The stages of a config's `depths`. Each but the last merges squares of four patches. */
export function swinStages(
  init: Initializer,
  config: ModelConfig,
  randomness: Randomness,
  { dModel, heads: name, attentionDropout = 'hidden_dropout_prob' }: SwinStagesOptions,
): SwinStage[] {
  const depths = config.sizes('depths');
  const heads = config.sizes(name, depths.length);
  const layers = depths.reduce((sum, depth) => sum + depth, 0);
  let made = 0;
  return depths.map((depth, i) => {
    const width = dModel * 2 ** i;
    const layer = () => {
      const share = made++ / Math.max(layers - 1, 1);
      return swinLayer(init, config, randomness, { width, heads: heads[i] as number, share, attentionDropout });
    };
    const stageLayers = Array.from({ length: depth }, layer);
    return new SwinStage(
      config.size('window_size'),
      stageLayers,
      i < depths.length - 1 ? new PatchMerging(init, width) : null,
    );
  });
}

interface SwinLayerSizes {
  readonly width: number;
  readonly heads: number;
  /** Drop path rate of the layer, as a fraction of the highest rate. */
  readonly share: number;
  /** See `SwinStagesOptions`. */
  readonly attentionDropout: string;
}

function swinLayer(
  init: Initializer,
  config: ModelConfig,
  randomness: Randomness,
  { width, heads, share, attentionDropout }: SwinLayerSizes,
): TransformerLayer {
  const hidden = {
    dFF: Math.trunc(config.number('mlp_ratio') * width),
    activation: activationOf(config.text('hidden_act')),
  };
  const dropout = dropoutOf(config, 'attention_probs_dropout_prob', randomness);
  const attention = { dModel: width, heads, bias: config.flag('qkv_bias'), outBias: true, dropout };
  return new TransformerLayer({
    selfAttn: () => new TableAttention(init, attention, config.size('window_size')),
    feedForward: () => new FeedForward(init, { dModel: width, ...hidden }),
    norm: () => new LayerNorm(init, width, config.number('layer_norm_eps')),
    dropout: (subLayer) =>
      subLayer === 0
        ? dropBranch(config, randomness, share, attentionDropout)
        : new Dropout(config.number('hidden_dropout_prob'), randomness),
    wiring: 'pre',
    randomness,
  });
}

/** Concatenates each square of four patches and projects it to twice the features. */
class PatchMerging extends Module {
  readonly norm: LayerNorm;
  readonly reduction: Projection;

  constructor(init: Initializer, width: number) {
    super();
    this.norm = new LayerNorm(init, 4 * width);
    this.reduction = new Linear(init, 4 * width, 2 * width, false);
  }

  /** Merges the patches. Rows and columns are halved, rounded up. */
  forward({ x, batch: { size }, grid: [height, width] }: Patches): Patches {
    const grid: GridSize = [Math.ceil(height / 2), Math.ceil(width / 2)];
    const count = grid[0] * grid[1];
    const rows = Int32Array.from({ length: size * count * 4 }, (_, i) => {
      const [image, cell, corner] = [Math.floor(i / (4 * count)), Math.floor(i / 4) % count, i % 4];
      const row = 2 * Math.floor(cell / grid[1]) + (corner % 2);
      const column = 2 * (cell % grid[1]) + Math.floor(corner / 2);
      return row < height && column < width ? (image * height + row) * width + column : size * height * width;
    });
    const squares = gather(withBlank(x), x.device.tensor(rows)).reshape(size * count, -1); // [N / 4, 4 · width]
    const merged = this.reduction.forward(this.norm.forward(squares));
    return { x: merged, batch: Sequences.of(x.device, Array<number>(size).fill(count)), grid };
  }
}

/** Assignment of patches to windows. */
export interface Windows {
  /** The windows as sequences of patches. */
  readonly sequences: Sequences;
  /** int32 [N']: the patch at each position of each window. Positions beyond an image have the number of patches, N. */
  readonly patches: Tensor;
  /** int32 [N]: the position of each patch in the windows, an index into `patches`. */
  readonly inverse: Tensor;
  /**
   * int32 [windows, 1, area, area]: 1 if a patch may attend to another one. Null if all patches of a window may attend
   * to each other. area: patches of a window.
   */
  readonly mask: Tensor | null;
}

/**
 * Cuts images into windows of `window` × `window` patches. The first window begins `shift` patches below and to the
 * right of the upper left corner. The patches above and to its left wrap around into the last windows, but do not
 * attend to the other patches there.
 */
export function windowsOf(
  { device }: Tensor,
  images: number,
  [height, width]: GridSize,
  window: number,
  shift: number,
): Windows {
  const [rows, columns] = [height, width].map((size) => Math.ceil(size / window)) as [number, number];
  const [area, perImage] = [window * window, rows * columns];
  const patches = new Int32Array(images * perImage * area);
  const inverse = new Int32Array(images * height * width);
  const regions = new Int32Array(perImage * area);
  const region = (position: number, size: number) =>
    (position >= size - window ? 1 : 0) + (position >= size - shift ? 1 : 0);
  for (let i = 0; i < patches.length; i++) {
    const [image, index] = [Math.floor(i / (perImage * area)), i % (perImage * area)];
    const [windowIndex, inside] = [Math.floor(index / area), index % area];
    const row = Math.floor(windowIndex / columns) * window + Math.floor(inside / window);
    const column = (windowIndex % columns) * window + (inside % window);
    regions[index] = region(row, rows * window) * 3 + region(column, columns * window);
    const [down, right] = [(row + shift) % (rows * window), (column + shift) % (columns * window)];
    const isInside = down < height && right < width;
    const patch = isInside ? (image * height + down) * width + right : inverse.length;
    patches[i] = patch;
    if (isInside) inverse[patch] = i;
  }
  return {
    sequences: Sequences.of(device, Array<number>(images * perImage).fill(area)),
    patches: device.tensor(patches),
    inverse: device.tensor(inverse),
    mask: shift > 0 ? device.tensor(maskOfShifted(regions, images, area), [images * perImage, 1, area, area]) : null,
  };
}

/** Returns 1 for pairs of positions of a window in the same region, else 0: [images · windows · area · area]. */
function maskOfShifted(regions: Int32Array, images: number, area: number): Int32Array {
  const ofImage = Int32Array.from({ length: regions.length * area }, (_, i) => {
    const query = Math.floor(i / area);
    const key = Math.floor(query / area) * area + (i % area);
    return regions[query] === regions[key] ? 1 : 0;
  });
  const all = new Int32Array(images * ofImage.length);
  for (let image = 0; image < images; image++) all.set(ofImage, image * ofImage.length);
  return all;
}

/** Attention within windows. */
export class WindowAttention extends MultiHeadAttention {
  protected windows: Windows | null = null;

  /** Sets the windows of the next pass. */
  start(windows: Windows): void {
    this.windows = windows;
  }

  /** `x` and the result: float32 [N, dModel], the patches of images row by row. */
  override forward(x: Tensor): Tensor {
    const { patches, inverse, sequences } = this.windows as Windows;
    return gather(super.forward(gather(withBlank(x), patches), sequences), inverse);
  }
}

/** Attention within windows, with biases of the scores by distance (relative position bias). */
export abstract class DistanceAttention extends WindowAttention {
  readonly #distances: Int32Array;

  /** `side`: rows and columns of a window. */
  constructor(
    init: Initializer,
    options: MultiHeadOptions,
    protected readonly side: number,
  ) {
    super(init, options);
    const [reach, area] = [2 * side - 1, side * side];
    this.#distances = Int32Array.from({ length: area * area }, (_, i) => {
      const [query, key] = [Math.floor(i / area), i % area];
      const down = Math.floor(query / side) - Math.floor(key / side) + side - 1;
      const right = (query % side) - (key % side) + side - 1;
      return down * reach + right;
    });
  }

  /** float32 [distances, heads]: one row per vertical and horizontal distance in a window, row by row. */
  protected abstract distanceTable(): Tensor;

  override scoreBias(): Tensor {
    const { heads } = this;
    const area = this.side ** 2;
    const table = this.distanceTable();
    const bias = gather(table, table.device.tensor(this.#distances)).reshape(area, area, heads);
    return permute(bias, [2, 0, 1]).reshape(1, heads, area, area);
  }

  protected override paddingMaskOf(): PaddingMask | null {
    const { mask } = this.windows as Windows;
    return mask && { mask, hasKeys: null, keyless: 'zero', tokens: null };
  }
}

/** The biases are trained. */
class TableAttention extends DistanceAttention {
  /** See `distanceTable`. */
  readonly distanceBias: Tensor;

  constructor(init: Initializer, options: MultiHeadOptions, side: number) {
    super(init, options, side);
    this.distanceBias = init.constant([(2 * side - 1) ** 2, options.heads], 0);
  }

  protected override distanceTable(): Tensor {
    return this.distanceBias;
  }
}

/** Appends a row of zeros to `x`, [N, features]. Positions beyond an image read it. */
function withBlank(x: Tensor): Tensor {
  return concat([x, x.device.zeros([1, x.shape[1] as number])]);
}

/** Pads images, [B, channels, height, width], with zeros at the right and lower edges up to whole patches. */
function filled(pixels: Tensor, patch: GridSize): Tensor {
  const [bottom, right] = patch.map((size, i) => (size - ((pixels.shape[2 + i] ?? 0) % size)) % size);
  return pad(pixels, [0, right ?? 0, 0, bottom ?? 0]);
}

const defaults: Json = {
  image_size: 224,
  patch_size: 4,
  num_channels: 3,
  embed_dim: 96,
  depths: [2, 2, 6, 2],
  num_heads: [3, 6, 12, 24],
  window_size: 7,
  mlp_ratio: 4,
  qkv_bias: true,
  hidden_dropout_prob: 0,
  attention_probs_dropout_prob: 0,
  drop_path_rate: 0.1,
  hidden_act: 'gelu',
  use_absolute_embeddings: false,
  layer_norm_eps: 1e-5,
};

export const swin: Family = { model: Swin, className: 'Swin', defaults };

export const donutSwin: Family = { model: Swin, className: 'DonutSwin', defaults };
