import { checkKnown, checkOneOf, checkSizes, describeShape, describeValue } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { add } from '../ops/binary.js';
import { concat, gather, permute } from '../ops/move.js';
import { Conv2d } from './conv.js';
import type { Initializer } from './init.js';
import { bicubic, type Grid } from './interpolation.js';
import { Module } from './module.js';

export interface PatchEmbeddingOptions {
  /** Features of a token. */
  readonly dModel: number;
  readonly channels: number;
  /** Height and width of the images that positions were learned for. */
  readonly image: Grid;
  /** Height and width of a patch. A remainder at an image's right and lower edges is ignored. */
  readonly patch: Grid;
  /** True if the projection adds a bias. Default: true. */
  readonly bias?: boolean | undefined;
  /** True if a learned token comes before the patches. Default: true. */
  readonly classToken?: boolean | undefined;
  /**
   * True if images may have other sizes. Positions are then interpolated (bicubic, from a square grid). Default: false.
   */
  readonly interpolate?: boolean | undefined;
}

const OPTIONS = ['dModel', 'channels', 'image', 'patch', 'bias', 'classToken', 'interpolate'] as const;

/**
 * Images as tokens (Dosovitskiy et al. 2020, arXiv 2010.11929): a class token and the projections of patches without
 * overlap, plus learned positions.
 */
export class PatchEmbedding extends Module {
  readonly projection: Conv2d;
  /** [dModel] */
  readonly classToken: Tensor | null;
  /** [tokens, dModel]: the class token first, then patches row by row. */
  readonly positions: Tensor;
  readonly image: Grid;
  readonly patch: Grid;
  readonly channels: number;
  readonly interpolate: boolean;

  /** Throws ArgumentError, ShapeError, OutOfMemoryError. */
  constructor(init: Initializer, options: PatchEmbeddingOptions) {
    super();
    const { dModel, channels, image, patch, bias = true } = checkKnown('PatchEmbedding', options, OPTIONS);
    const { classToken = true, interpolate = false } = options;
    checkSizes('PatchEmbedding', { dModel, channels }, 1);
    for (const [name, grid] of Object.entries({ image, patch })) {
      if (!Array.isArray(grid))
        throw new ArgumentError(`PatchEmbedding: ${name} is ${describeValue(grid)}, expected [height, width]`);
      const [height, width] = grid;
      checkSizes('PatchEmbedding', { height, width }, 1);
    }
    for (const [name, flag] of Object.entries({ bias, classToken, interpolate }))
      checkOneOf('PatchEmbedding', name, flag, [true, false]);
    if (image[0] < patch[0] || image[1] < patch[1])
      throw new ShapeError(`PatchEmbedding: image is [${image}], expected at least one patch, [${patch}]`);
    this.image = image;
    this.patch = patch;
    this.channels = channels;
    this.interpolate = interpolate;
    this.projection = new Conv2d(init, channels, dModel, patch, { stride: patch, channelsLast: true }, bias);
    this.classToken = classToken ? init.normal([dModel], dModel ** -0.5) : null;
    const [rows, columns] = this.grid(image);
    this.positions = init.normal([rows * columns + (classToken ? 1 : 0), dModel], dModel ** -0.5);
  }

  /**
   * `pixels`: float32 [B, channels, height, width]. Returns float32 [B, tokens, dModel]. Throws DTypeError, and
   * ShapeError for images of another size unless positions are interpolated.
   */
  forward(pixels: Tensor): Tensor {
    const { channels, image } = this;
    const [batch, given, height, width] = pixels.shape as [number, number, number, number];
    const isFit = this.interpolate
      ? height >= this.patch[0] && width >= this.patch[1]
      : height === image[0] && width === image[1];
    if (pixels.shape.length !== 4 || given !== channels || !isFit) {
      const size = this.interpolate ? 'height, width' : image.join(', ');
      throw new ShapeError(
        `PatchEmbedding: the images are ${describeShape(pixels.shape)}, expected [B, ${channels}, ${size}]`,
      );
    }
    const grid = this.grid([height, width]);
    const dModel = this.positions.shape[1] as number;
    const channelsLast = permute(pixels, [0, 2, 3, 1]); // [B, H, W, channels]
    const patches = this.projection.forward(channelsLast).reshape(batch, -1, dModel); // [B, patches, dModel]
    return add(this.#withClass(patches), this.#positionsOf(grid, height === width));
  }

  /** Rows and columns of an image's patches. */
  grid([height, width]: Grid): Grid {
    return [Math.floor(height / this.patch[0]), Math.floor(width / this.patch[1])];
  }

  #withClass(patches: Tensor): Tensor {
    if (this.classToken === null) return patches;
    const [batch, , dModel] = patches.shape as [number, number, number];
    const rows = gather(this.classToken.reshape(1, dModel), patches.device.tensor(new Int32Array(batch)));
    return concat([rows.reshape(batch, 1, dModel), patches], 1); // [B, 1 + patches, dModel]
  }

  #positionsOf(grid: Grid, isSquare: boolean): Tensor {
    const { positions, classToken } = this;
    const total = positions.shape[0] as number;
    const first = classToken ? 1 : 0;
    const own = this.grid(this.image);
    // Same rule as in transformers: positions of an image that is not square are interpolated, even if it has as many
    // patches.
    if (!this.interpolate || (isSquare && grid[0] * grid[1] === total - first)) return positions;
    if (own[0] !== own[1])
      throw new ShapeError(`PatchEmbedding: a grid of [${own}] positions is not interpolated, expected a square one`);
    const patches = bicubic(positions.rows(first, total), own, grid);
    return first ? concat([positions.rows(0, first), patches]) : patches;
  }
}
