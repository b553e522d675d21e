import { checkKnown, checkOneOf, checkSizes, describeShape, describeValue } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import { add } from '../ops/binary.js';
import { concat, gather, permute, slice } from '../ops/move.js';
import { Conv2d } from './conv.js';
import type { Initializer } from './init.js';
import { type GridSize, interpolate } from './interpolation.js';
import { Module } from './module.js';

export interface PatchEmbeddingOptions {
  /** Number of features of a token. */
  readonly dModel: number;
  readonly channels: number;
  /** Height and width of the images that positions were learned for. */
  readonly image: GridSize;
  /** Height and width of a patch. A remainder at an image's right and lower edges is ignored. */
  readonly patch: GridSize;
  /** True if the projection adds a bias. Default: true. */
  readonly bias?: boolean | undefined;
  /** True if a learned token comes before the patches. Default: true. */
  readonly classToken?: boolean | undefined;
  /**
   * Number of register tokens: learned tokens between the class token and the patches (Darcet et al. 2023, arXiv
   * 2309.16588). Default: 0.
   */
  readonly registers?: number | undefined;
  /** True if register tokens have positions, too. Default: true. */
  readonly registerPositions?: boolean | undefined;
  /** True if a learned position is added to each token. Default: true. */
  readonly positions?: boolean | undefined;
  /**
   * True if images may have other sizes. Positions are then interpolated from a square grid: bicubic, or bilinear if
   * that is given. 'antialiased' is bicubic, with a wider kernel for smaller grids. Default: false.
   */
  readonly interpolate?: boolean | 'bilinear' | 'antialiased' | undefined;
}

const OPTIONS = [
  'dModel',
  'channels',
  'image',
  'patch',
  'bias',
  'classToken',
  'registers',
  'registerPositions',
  'positions',
  'interpolate',
] as const;

/**
 * Turns images into tokens (Dosovitskiy et al. 2020, arXiv 2010.11929): a class token and projections of
 * non-overlapping patches, plus learned positions.
 */
export class PatchEmbedding extends Module {
  readonly projection: Conv2d;
  /** float32 [dModel]; null if there is none. */
  readonly classToken: Tensor | null;
  /** [registers, dModel], or null if there are none. */
  readonly registers: Tensor | null;
  /** Shape [tokens, dModel]: those before the patches first, then patches. Null if tokens have no learned positions. */
  readonly positions: Tensor | null;
  readonly image: GridSize;
  readonly patch: GridSize;
  readonly channels: number;
  readonly interpolate: boolean | 'bilinear' | 'antialiased';
  readonly #registerPositions: boolean;

  /** Throws ArgumentError, ShapeError, OutOfMemoryError. */
  constructor(init: Initializer, options: PatchEmbeddingOptions) {
    super();
    const { dModel, channels, image, patch, bias = true } = checkKnown('PatchEmbedding', options, OPTIONS);
    const { classToken = true, registers = 0, registerPositions = true } = options;
    const { positions = true, interpolate = false } = options;
    checkSizes('PatchEmbedding', { dModel, channels }, 1);
    checkSizes('PatchEmbedding', { registers }, 0);
    for (const [name, grid] of Object.entries({ image, patch })) {
      if (!Array.isArray(grid))
        throw new ArgumentError(`PatchEmbedding: ${name} is ${describeValue(grid)}, expected [height, width]`);
      const [height, width] = grid;
      checkSizes('PatchEmbedding', { [`${name}[0]`]: height, [`${name}[1]`]: width }, 1);
    }
    for (const [name, flag] of Object.entries({ bias, classToken, registerPositions, positions }))
      checkOneOf('PatchEmbedding', name, flag, [true, false]);
    checkOneOf('PatchEmbedding', 'interpolate', interpolate, [true, false, 'bilinear', 'antialiased']);
    if (image[0] < patch[0] || image[1] < patch[1])
      throw new ShapeError(`PatchEmbedding: image is [${image}], expected at least one patch, [${patch}]`);
    this.image = image;
    this.patch = patch;
    this.channels = channels;
    this.interpolate = interpolate;
    this.projection = new Conv2d(init, {
      inputs: channels,
      outputs: dModel,
      kernel: patch,
      stride: patch,
      channelsLast: true,
      bias,
    });
    this.classToken = classToken ? init.normal([dModel], dModel ** -0.5) : null;
    this.registers = registers > 0 ? init.normal([registers, dModel], dModel ** -0.5) : null;
    const [rows, columns] = this.grid(image);
    this.#registerPositions = registerPositions;
    const tokens = rows * columns + this.#firstPatch;
    this.positions = positions ? init.normal([tokens, dModel], dModel ** -0.5) : null;
  }

  /**
   * `pixels`: float32 [B, channels, height, width]. Returns float32 [B, tokens, dModel]. Throws DTypeError, and
   * ShapeError for images of another size unless positions are interpolated.
   */
  forward(pixels: Tensor): Tensor {
    const { channels, image } = this;
    const [batch, pixelChannels, height, width] = pixels.shape as [number, number, number, number];
    const isFit = this.interpolate
      ? height >= this.patch[0] && width >= this.patch[1]
      : height === image[0] && width === image[1];
    if (pixels.shape.length !== 4 || pixelChannels !== channels || !isFit) {
      const size = this.interpolate ? 'height, width' : image.join(', ');
      throw new ShapeError(
        `PatchEmbedding: the images are ${describeShape(pixels.shape)}, expected [B, ${channels}, ${size}]`,
      );
    }
    const grid = this.grid([height, width]);
    const channelsLast = permute(pixels, [0, 2, 3, 1]); // [B, H, W, channels]
    const patches = this.projection.forward(channelsLast).reshape(batch, grid[0] * grid[1], -1); // [B, patches, dModel]
    const { classToken, registers, positions } = this;
    const start = repeated(batch, [classToken, this.#registerPositions ? registers : null]);
    const tokens = start.length > 0 ? concat([...start, patches], 1) : patches; // [B, tokens, dModel]
    const placed = positions ? add(tokens, this.#positionsOf(positions, grid, height === width)) : tokens;
    if (this.#registerPositions || registers === null) return placed;
    const first = this.#firstPatch;
    const before = first > 0 ? slice(placed, 1, 0, first) : [];
    const after = slice(placed, 1, first, placed.shape[1] as number);
    return concat([before, repeated(batch, [registers]), after].flat(), 1);
  }

  /** Number of tokens with positions before the patches. */
  get #firstPatch(): number {
    return this.#registerPositions ? this.prefix : this.prefix - (this.registers?.shape[0] ?? 0);
  }

  /** Number of tokens before the patches. */
  get prefix(): number {
    return (this.classToken ? 1 : 0) + (this.registers?.shape[0] ?? 0);
  }

  /** Rows and columns of an image's patches. */
  grid([height, width]: GridSize): GridSize {
    return [Math.floor(height / this.patch[0]), Math.floor(width / this.patch[1])];
  }

  #positionsOf(positions: Tensor, grid: GridSize, isSquare: boolean): Tensor {
    const total = positions.shape[0] as number;
    const first = this.#firstPatch;
    const nativeGrid = this.grid(this.image);
    // Positions of an image that is not square are interpolated, even if the number of patches is the same.
    // transformers does so, too.
    if (!this.interpolate || (isSquare && grid[0] * grid[1] === total - first)) return positions;
    if (nativeGrid[0] !== nativeGrid[1])
      throw new ShapeError(
        `PatchEmbedding: a grid of [${nativeGrid}] positions is not interpolated, expected a square one`,
      );
    const mode = this.interpolate === 'bilinear' ? 'bilinear' : 'bicubic';
    const options = { antialias: this.interpolate === 'antialiased' };
    const patches = interpolate(mode, positions.rows(first, total), nativeGrid, grid, options);
    return first ? concat([positions.rows(0, first), patches]) : patches;
  }
}

/** Returns the given tokens once for each image, float32 [B, tokens, dModel], or nothing if there are none. */
export function repeated(batch: number, tokens: readonly (Tensor | null)[]): Tensor[] {
  const parts = tokens.flatMap((part) => (part ? [part.reshape(-1, lastOf(part.shape))] : []));
  if (parts.length === 0) return [];
  const rows = parts.length === 1 ? (parts[0] as Tensor) : concat(parts); // [tokens, dModel]
  const [count, dModel] = rows.shape as [number, number];
  const ids = Int32Array.from({ length: batch * count }, (_, i) => i % count);
  return [gather(rows, rows.device.tensor(ids)).reshape(batch, count, dModel)];
}
