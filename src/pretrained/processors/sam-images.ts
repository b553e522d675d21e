// Images for SAM: the longer side has a fixed length. Zeros on the right and at the bottom make a square.

import { describeValue, isObject } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { Features } from './features.js';
import { type ImageBytes, ImageProcessor, type PixelSize, rgbOf } from './image.js';
import { type Pixels, resize } from './resize.js';
import { type Json, Settings } from './settings.js';

/** Rows between two pauses. */
const ROWS = 64;

export class SamImageProcessor extends ImageProcessor {
  /** Length of the longer side after resizing. */
  readonly longest: number;
  /** Height and width that images are padded to. */
  readonly padded: readonly [height: number, width: number];
  readonly #resizes: boolean;

  /** Takes the content of preprocessor_config.json. Throws FormatError as `ImageProcessor` does. */
  constructor(config: Json, modelType?: string, where = 'preprocessor_config.json') {
    super({ ...config, size: undefined, do_resize: false }, modelType, where);
    const settings = new Settings(where, config);
    const part = (name: string) =>
      new Settings(`${where}: ${name}`, isObject(config[name]) ? (config[name] as Json) : {});
    this.#resizes = settings.boolean('do_resize', true);
    this.longest = part('size').count('longest_edge', 1024, 1 << 16);
    if (!settings.boolean('do_pad', true)) settings.refuse('do_pad', false, 'true');
    this.padded = [part('pad_size').count('height', 1024, 1 << 16), part('pad_size').count('width', 1024, 1 << 16)];
  }

  protected override get addsPadding(): boolean {
    return true;
  }

  /** The size of an image before it is padded. */
  override sizeFor({ width, height }: PixelSize): PixelSize {
    if (!this.#resizes) return { width, height };
    const factor = this.longest / Math.max(width, height);
    const side = (pixels: number) => Math.max(1, Math.trunc(pixels * factor + 0.5));
    return { width: side(width), height: side(height) };
  }

  protected override *resizeImage(image: Pixels): Generator<undefined, Pixels> {
    const { width, height } = this.sizeFor(image);
    return yield* resize(image, width, height, this.resample);
  }

  /**
   * Padding is zero after normalization. Throws as `ImageProcessor`, and ArgumentError for images above the padded
   * size.
   */
  override *processInParts(images: readonly ImageBytes[]): Generator<undefined, Features> {
    if (!Array.isArray(images) || images.length === 0)
      throw new ArgumentError(`image processor: the images are ${describeValue(images)}, expected an array of images`);
    const [rows, columns] = this.padded;
    const data = new Float32Array(images.length * 3 * rows * columns);
    for (const [i, image] of images.entries()) {
      const { width, height, data: bytes } = yield* this.resizeImage(yield* rgbOf(image));
      if (width > columns || height > rows)
        throw new ArgumentError(
          `image processor: an image becomes ${width} × ${height}, expected ${columns} × ${rows} or less`,
        );
      for (let channel = 0; channel < 3; channel++) {
        const normalize = this.normalizer(channel);
        for (let y = 0, offset = (i * 3 + channel) * rows * columns; y < height; y++, offset += columns) {
          if (y % ROWS === 0) yield;
          for (let x = 0; x < width; x++) data[offset + x] = normalize(bytes[(y * width + x) * 3 + channel] as number);
        }
      }
    }
    return { data, shape: [images.length, 3, rows, columns] };
  }
}
