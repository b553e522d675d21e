import { describeShape } from '../../core/check.js';
import { ArgumentError, FormatError, ShapeError } from '../../core/errors.js';
import { atOnce } from '../../core/slices.js';
import type { Tensor } from '../../core/tensor.js';
import type { MultiHeadAttention } from '../../nn/attention.js';
import type { Randomness } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import { type GridSize, interpolate } from '../../nn/interpolation.js';
import type { TransformerLayer } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { Module } from '../../nn/module.js';
import type { LayerNorm } from '../../nn/norm.js';
import { Sequences } from '../../nn/sequences.js';
import type { Stack } from '../../nn/stack.js';
import { rowsOf } from '../../nn/token-batch.js';
import { add } from '../../ops/binary.js';
import { concat, pack } from '../../ops/move.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import {
  checkPixels,
  IMAGE_INPUTS,
  type ImageInputs,
  type ImageTower,
  type TowerOutput,
  type TowerPooler,
} from '../towers.js';
import { Siglip, siglipEncoder, siglipTextModel, siglipTowerDefaults } from './siglip.js';

/**
 * SigLIP 2 with images in their own aspect ratio (Tschannen et al. 2025, arXiv 2502.14786; NaFlex). Checkpoints for
 * images of a fixed size have the model type `siglip`.
 */
export class Siglip2 extends Siglip {
  protected override makeVision(init: Initializer, config: ModelConfig): ImageTower {
    return new NaflexTower(init, config, this.randomness);
  }
}

/** A Transformer over lists of patches. Each image has its own number of rows and columns of patches. */
export class NaflexTower extends Module implements ImageTower {
  readonly patches: NaflexPatches;
  readonly encoder: Stack;
  readonly norm: LayerNorm;
  readonly pooler: TowerPooler | null;
  readonly inputNames = IMAGE_INPUTS;

  constructor(init: Initializer, config: ModelConfig, randomness: Randomness) {
    super();
    this.patches = new NaflexPatches(init, config);
    const { encoder, norm, pooler } = siglipEncoder(init, config, randomness);
    this.encoder = encoder;
    this.norm = norm;
    this.pooler = pooler;
  }

  get layers(): readonly TransformerLayer[] {
    return this.encoder.layers;
  }

  get attentions(): readonly MultiHeadAttention[] {
    return this.encoder.layers.flatMap((layer) => layer.selfAttentions);
  }

  get maxLength(): number {
    return this.patches.positions.shape[0] as number;
  }

  /**
   * `pixelValues` is float32 [B, patches, height · width · channels of a patch], padded at the end. `spatialShapes` has
   * the rows and columns of each image's patches.
   */
  embed({ pixelValues, spatialShapes, pixelAttentionMask }: ImageInputs): { x: Tensor; batch: Sequences } {
    const pixels = checkPixels(pixelValues);
    const grids = gridsOf(spatialShapes, pixels);
    const counts = grids.map(([rows, columns]) => rows * columns);
    checkMask(pixelAttentionMask, counts);
    const batch = Sequences.of(pixels.device, counts);
    return { x: this.patches.forward(pack(pixels, counts), grids), batch };
  }

  forward(images: ImageInputs): TowerOutput {
    return atOnce(this.forwardInParts(images));
  }

  *forwardInParts(images: ImageInputs): Generator<unknown, TowerOutput> {
    const hiddenStates: Tensor[] = [];
    const { x, batch } = this.embed(images);
    const features = this.norm.forward(yield* this.encoder.forwardInParts(x, batch, { hiddenStates }));
    return { features, batch, time: images.pixelValues?.shape[1], hiddenStates };
  }
}

/** Patches as tokens. Learned positions on a square grid are resized to the rows and columns of each image. */
class NaflexPatches extends Module {
  readonly projection: Linear;
  /** float32 [patches, dModel]: learned positions on a square grid, row by row. */
  readonly positions: Tensor;
  readonly channels: number;
  /** Height and width in pixels of an image whose positions need no resizing. */
  readonly image: GridSize;
  readonly #grid: GridSize;

  constructor(init: Initializer, config: ModelConfig) {
    super();
    const [dModel, patch, maxPatches] = ['hidden_size', 'patch_size', 'num_patches'].map((name) =>
      config.size(name),
    ) as [number, number, number];
    const side = Math.floor(Math.sqrt(maxPatches));
    if (side * side !== maxPatches)
      throw new FormatError(`config.json: num_patches is ${maxPatches}, expected a square number`);
    this.projection = new Linear(init, config.size('num_channels') * patch * patch, dModel);
    this.positions = init.normal([maxPatches, dModel], dModel ** -0.5);
    this.#grid = [side, side];
    this.channels = config.size('num_channels');
    this.image = [side * patch, side * patch];
  }

  /** `pixels`: float32 [N, height · width · channels], patches end to end. Returns float32 [N, dModel]. */
  forward(pixels: Tensor, grids: readonly GridSize[]): Tensor {
    const perGrid = grids.map((grid) => interpolate('bilinear', this.positions, this.#grid, grid, { antialias: true }));
    return add(this.projection.forward(pixels), perGrid.length === 1 ? (perGrid[0] as Tensor) : concat(perGrid));
  }
}

/** Returns rows and columns of the patches of each image. Throws ShapeError, ArgumentError. */
function gridsOf(shapes: ImageInputs['spatialShapes'], { shape }: Tensor): GridSize[] {
  const [batch, patches] = shape as [number, number];
  if (shape.length !== 3)
    throw new ShapeError(`forward: pixelValues is ${describeShape(shape)}, expected [B, patches, values of a patch]`);
  if (shapes === undefined) throw new ArgumentError('forward: spatialShapes is missing');
  const grids = rowsOf('spatialShapes', shapes, null).rows.map((row) => Array.from(row));
  if (grids.length !== batch)
    throw new ShapeError(`forward: spatialShapes has ${grids.length} rows, pixelValues has ${batch} images`);
  return grids.map((grid, i) => {
    const [rows = 0, columns = 0] = grid;
    if (grid.length === 2 && rows >= 1 && columns >= 1 && rows * columns <= patches) return [rows, columns];
    throw new ShapeError(
      `forward: spatialShapes[${i}] is ${describeShape(grid)}, expected rows and columns of at most ${patches} patches`,
    );
  });
}

/** Throws ShapeError unless a mask marks exactly the patches of each image. */
function checkMask(mask: ImageInputs['pixelAttentionMask'], counts: readonly number[]): void {
  if (mask === undefined) return;
  const { rows } = rowsOf('pixelAttentionMask', mask, null);
  const isFit = (count: number, i: number) =>
    Array.from(rows[i] ?? [], (mark, patch) => mark === (patch < count ? 1 : 0)).every(Boolean);
  const wrong = rows.length === counts.length ? counts.findIndex((count, i) => !isFit(count, i)) : 0;
  if (wrong < 0) return;
  const expected = `${counts[wrong]} ones and then zeros`;
  throw new ShapeError(`forward: row ${wrong} of pixelAttentionMask differs from spatialShapes, expected ${expected}`);
}

export const siglip2: Family = {
  model: Siglip2,
  className: 'Siglip2',
  defaults: {},
  parts: { text_config: 'siglip2_text_model', vision_config: 'siglip2_vision_model' },
  towerHead: 'none',
};

export const siglip2TextModel: Family = { ...siglipTextModel, model: Siglip2, className: 'Siglip2Text' };

export const siglip2VisionModel: Family = {
  model: Siglip2,
  className: 'Siglip2Vision',
  defaults: { ...siglipTowerDefaults, num_channels: 3, patch_size: 16, num_patches: 256, vision_use_head: true },
};
