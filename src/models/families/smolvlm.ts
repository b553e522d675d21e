import { checkDType, describeShape, describeValue } from '../../core/check.js';
import { ArgumentError, ShapeError } from '../../core/errors.js';
import { Tensor } from '../../core/tensor.js';
import type { Randomness } from '../../nn/dropout.js';
import type { GridSize } from '../../nn/interpolation.js';
import { Linear } from '../../nn/linear.js';
import { LayerNorm } from '../../nn/norm.js';
import { patchBlocks } from '../../nn/patch-blocks.js';
import type { PatchEmbedding } from '../../nn/patch-embedding.js';
import { Sequences } from '../../nn/sequences.js';
import type { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { add } from '../../ops/binary.js';
import { gather } from '../../ops/move.js';
import type { Family } from '../family.js';
import { ImageReader, type ImageRows, renamed, textContext, visionConfig } from '../image-reader.js';
import type { ModelInputs } from '../inputs.js';
import type { FamilyContext } from '../pretrained-model.js';
import { patchesOf, towerDefaults, towerEncoder, towerNames } from '../towers.js';
import { Llama } from './llama.js';

/**
 * SmolVLM (Marafioti et al. 2025, arXiv 2504.05299) and Idefics3 (Laurencon et al. 2024, arXiv 2408.12637): the patches
 * of each square block become one token.
 */
export class SmolVlm extends Llama {
  override readonly images: SmolVlmImages;

  constructor(context: FamilyContext) {
    super(textContext(context));
    this.images = new SmolVlmImages(context, this.randomness);
  }

  protected override get stateNames(): StateNames {
    return {
      'images.projection': 'model.connector.modality_projection.proj',
      ...renamed(towerNames('vision'), ['vision.', 'images.'], ['vision_model.', 'model.vision_model.']),
      'images.positions': 'model.vision_model.embeddings.position_embedding.weight',
      ...renamed(super.stateNames, ['', ''], ['model.', 'model.text_model.']),
    };
  }
}

class SmolVlmImages extends ImageReader {
  readonly inputNames = ['pixelValues', 'pixelAttentionMask'] as const;
  readonly placeholder: number;
  readonly patches: PatchEmbedding;
  /** float32 [positions, vision features] */
  readonly positions: Tensor;
  readonly encoder: Stack;
  readonly norm: LayerNorm;
  readonly projection: Linear;
  readonly #scale: number;

  constructor(context: FamilyContext, randomness: Randomness) {
    super();
    const { init, config } = context;
    const [vision, text] = [visionConfig(context), textContext(context).config];
    const features = vision.size('hidden_size');
    this.#scale = config.size('scale_factor');
    this.placeholder = config.size('image_token_id');
    this.patches = patchesOf(init, vision, { classToken: false, positions: false, interpolate: true });
    const [rows, columns] = this.patches.grid(this.patches.image);
    this.positions = init.normal([rows * columns, features], features ** -0.5);
    this.encoder = towerEncoder(init, vision, false, randomness);
    this.norm = new LayerNorm(init, features, vision.number('layer_norm_eps'));
    this.projection = new Linear(init, features * this.#scale ** 2, text.size('hidden_size'), false);
  }

  /**
   * `pixelValues`: float32 [images, channels, height, width], or [B, images, …], where images of zeros are padding.
   * `pixelAttentionMask`: int32, the same without channels.
   */
  *readInParts({ pixelValues, pixelAttentionMask }: ModelInputs): Generator<unknown, ImageRows> {
    const { pixels, isSeen } = imagesOf(pixelValues, pixelAttentionMask);
    const { device } = pixels;
    const embedded = this.patches.forward(pixels); // [images, patches, features]
    const [size, count, features] = embedded.shape as [number, number, number];
    const grid = this.patches.grid(pixels.shape.slice(2) as [number, number]);
    const marks = isSeen?.map((pixel) => patchMask(pixel, pixels.shape.at(-1) as number, grid, this.patches.patch));
    const [side] = this.patches.grid(this.patches.image);
    const positionIds = Array.from({ length: size }, (_, i) => positionIdsOf(grid, side, marks?.[i]));
    const positions = gather(this.positions, device.tensor(Int32Array.from(positionIds.flat())));
    const all = Sequences.of(device, Array<number>(size).fill(count));
    const isWhole = !marks?.some((mask) => mask.includes(false));
    const batch = isWhole ? all : new Sequences(all.positions, all.lengths, all.counts, marks as boolean[][]);
    const x = yield* this.encoder.forwardInParts(add(embedded.reshape(size * count, features), positions), batch);
    const tokens = patchBlocks(this.norm.forward(x), Array<GridSize>(size).fill(grid), this.#scale);
    const rows = this.projection.forward(tokens.reshape(tokens.shape[0] as number, -1));
    return { rows, counts: Array<number>(size).fill((tokens.shape[0] as number) / size) };
  }
}

/** Returns the images that are not padding, and the masks of their pixels: 1 for pixels of the image, 0 for padding. */
function imagesOf(pixels: unknown, mask: unknown): { pixels: Tensor; isSeen: Int32Array[] | null } {
  if (!(pixels instanceof Tensor))
    throw new ArgumentError(`forward: pixelValues is ${describeValue(pixels)}, expected a tensor`);
  checkDType('forward', 'pixelValues', pixels, 'float32');
  if (pixels.shape.length !== 4 && pixels.shape.length !== 5)
    throw new ShapeError(
      `forward: pixelValues is ${describeShape(pixels.shape)}, expected [images, channels, height, width]`,
    );
  const [channels, height, width] = pixels.shape.slice(-3) as [number, number, number];
  const flat = pixels.reshape(-1, channels, height, width);
  const count = flat.shape[0] as number;
  const shown = pixels.shape.length === 5 ? withoutZeros(flat, count) : Array.from({ length: count }, (_, i) => i);
  const kept = shown.length === count ? flat : gather(flat, flat.device.tensor(Int32Array.from(shown)));
  return { pixels: kept, isSeen: mask === undefined ? null : marksOf(mask, shown, count, height * width) };
}

/** Returns the indices of images that are not all zeros. If all are, it returns the first one. */
function withoutZeros(pixels: Tensor, count: number): number[] {
  const values = pixels.dataSync();
  const size = values.length / count;
  const shown = Array.from({ length: count }, (_, i) => i).filter((i) =>
    values.subarray(i * size, (i + 1) * size).some((value) => value !== 0),
  );
  return shown.length > 0 ? shown : [0];
}

function marksOf(mask: unknown, shown: readonly number[], count: number, size: number): Int32Array[] {
  if (!(mask instanceof Tensor))
    throw new ArgumentError(`forward: pixelAttentionMask is ${describeValue(mask)}, expected a tensor`);
  checkDType('forward', 'pixelAttentionMask', mask, 'int32');
  if (mask.size !== count * size)
    throw new ShapeError(
      `forward: pixelAttentionMask is ${describeShape(mask.shape)}, expected a number for each of ${count} × ${size} pixels`,
    );
  const all = mask.dataSync() as Int32Array;
  return shown.map((i) => all.subarray(i * size, (i + 1) * size));
}

/** Returns true for each patch that has a pixel of the image, not only padding. */
function patchMask(pixels: Int32Array, width: number, [rows, columns]: GridSize, [tall, wide]: GridSize): boolean[] {
  return Array.from({ length: rows * columns }, (_, patch) => {
    const [top, left] = [Math.floor(patch / columns) * tall, (patch % columns) * wide];
    for (let y = top; y < top + tall; y++)
      for (let x = left; x < left + wide; x++) if (pixels[y * width + x]) return true;
    return false;
  });
}

/**
 * Returns the position of each patch in a table of side × side (NaViT). It is the nearest entry at or before the patch,
 * in fractions of the image. Rounding to float32, as in transformers, decides at borders.
 */
function positionIdsOf([rows, columns]: GridSize, side: number, mask?: readonly boolean[]): number[] {
  const [down, across] = [
    mask ? Array.from({ length: rows }, (_, row) => mask[row * columns]).filter(Boolean).length : rows,
    mask ? mask.slice(0, columns).filter(Boolean).length : columns,
  ];
  const step = 1 / side;
  const borders = Array.from({ length: Math.ceil((1 - step) / step) }, (_, i) => Math.fround(step + i * step));
  const bucketsOf = (count: number, real: number) =>
    Array.from({ length: count }, (_, i) => {
      const fraction = Math.min(Math.fround(i * Math.fround(1 / real)), Math.fround(1 - 1e-6));
      return borders.filter((border) => border <= fraction).length;
    });
  const [vertical, horizontal] = [bucketsOf(rows, down), bucketsOf(columns, across)];
  return Array.from({ length: rows * columns }, (_, i) =>
    mask && !mask[i] ? 0 : (vertical[Math.floor(i / columns)] as number) * side + (horizontal[i % columns] as number),
  );
}

const shared: Omit<Family, 'className'> = {
  model: SmolVlm,
  readsImages: true,
  defaults: { image_token_id: 128257, scale_factor: 2, tie_word_embeddings: false },
};

export const smolVlm: Family = {
  ...shared,
  className: 'SmolVLM',
  generationClass: 'SmolVLMForConditionalGeneration',
  parts: { text_config: ['llama'], vision_config: 'smolvlm_vision' },
};

export const idefics3: Family = {
  ...shared,
  className: 'Idefics3',
  generationClass: 'Idefics3ForConditionalGeneration',
  parts: { text_config: ['llama'], vision_config: 'smolvlm_vision' },
};

/** The tower is not a model on its own; this entry holds the defaults of its settings. */
export const smolVlmVision: Family = {
  model: SmolVlm,
  className: 'SmolVLMVision',
  defaults: {
    ...towerDefaults,
    hidden_size: 1152,
    num_attention_heads: 16,
    num_channels: 3,
    image_size: 224,
    patch_size: 32,
    hidden_act: 'gelu_pytorch_tanh',
    layer_norm_eps: 1e-6,
  },
};
