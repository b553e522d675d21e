// Images for SigLIP 2 (NaFlex) as lists of patches, as many as the limit allows in the image's own aspect ratio.

import { describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { Features } from './features.js';
import { type ImageBytes, ImageProcessor } from './image.js';
import { type Pixels, resize } from './resize.js';
import { type Json, Settings } from './settings.js';

export class Siglip2ImageProcessor extends ImageProcessor {
  readonly #patch: number;
  readonly #patches: number;
  readonly #resizes: boolean;

  /** Throws FormatError for settings that are not supported. */
  constructor(config: Json, modelType?: string, where = 'preprocessor_config.json') {
    super({ ...config, do_resize: true, size: 1 }, modelType, where);
    const settings = new Settings(where, config);
    this.#patch = settings.count('patch_size', 16);
    this.#patches = settings.count('max_num_patches', 256, 1 << 16);
    this.#resizes = settings.boolean('do_resize', true);
  }

  /**
   * Converts images to lists of patches, [images, patches, height · width · 3], padded with zeros. `spatialShapes` has
   * the rows and columns of each image's patches. Throws ArgumentError for values that are not images, or have too many
   * patches.
   */
  override *processInParts(images: readonly ImageBytes[]): Generator<undefined, Features> {
    if (!Array.isArray(images) || images.length === 0)
      throw new ArgumentError(`image processor: the images are ${describeValue(images)}, expected an array of images`);
    const width = this.#patch * this.#patch * 3;
    const data = new Float32Array(images.length * this.#patches * width);
    const spatialShapes: [number, number][] = [];
    for (const [i, image] of images.entries()) {
      const pixels = yield* super.processInParts([image]); // [1, 3, height, width]
      const grid = pixels.shape.slice(2).map((side) => Math.floor(side / this.#patch)) as [number, number];
      const count = grid[0] * grid[1];
      if (count < 1 || count > this.#patches) {
        const expected = `expected from 1 to ${this.#patches}: set do_resize to true`;
        throw new ArgumentError(`image processor: an image has ${count} patches, ${expected}`);
      }
      this.#cutInto(data.subarray(i * this.#patches * width), pixels, grid);
      spatialShapes.push(grid);
    }
    return { data, shape: [images.length, this.#patches, width], spatialShapes };
  }

  /** Writes the patches row by row. The colours of a pixel are adjacent. */
  #cutInto(into: Float32Array, { data, shape }: Features, [rows, columns]: readonly [number, number]): void {
    const [side, height, width] = [this.#patch, shape[2] as number, shape[3] as number];
    let index = 0;
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        for (let y = 0; y < side; y++)
          for (let x = 0; x < side; x++)
            for (let colour = 0; colour < 3; colour++)
              into[index++] = data[(colour * height + row * side + y) * width + column * side + x] as number;
  }

  protected override *resizeImage(image: Pixels): Generator<undefined, Pixels> {
    if (!this.#resizes) return image;
    const [height, width] = this.#sizeFor(image);
    return yield* resize(image, width, height, this.resample);
  }

  /** The largest size in whole patches that keeps to the maximum. Found by bisection, as in transformers. */
  #sizeFor({ height, width }: Pixels): [height: number, width: number] {
    const patch = this.#patch;
    const fitting = (scale: number, size: number) => Math.max(patch, Math.ceil((size * scale) / patch) * patch);
    let [low, high] = [1e-6, 100];
    while (high - low >= 1e-5) {
      const scale = (low + high) / 2;
      const count = (fitting(scale, height) / patch) * (fitting(scale, width) / patch);
      if (count <= this.#patches) low = scale;
      else high = scale;
    }
    return [fitting(low, height), fitting(low, width)];
  }
}
