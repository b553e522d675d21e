import { ArgumentError } from '../../../core/errors.js';
import { blockPositions } from '../../../models/block-positions.js';
import { type Pixels, resize } from '../resize.js';
import type { Json, Settings } from '../settings.js';
import { CLIP_COLORS, ImageTextProcessor, MAX_COUNT, type ReadyImage } from './image-text-processor.js';
import { smartSize } from './patches.js';

/** Qwen-VL: sides are multiples of a block, and patches come block by block. */
export class QwenProcessor extends ImageTextProcessor {
  readonly mark: number;

  constructor(config: Json, where: string, model: Settings) {
    super(config, where, { resample: 3, ...CLIP_COLORS });
    this.mark = model.count('image_token_id', 151655, MAX_COUNT);
  }

  protected *prepareImage(image: Pixels): Generator<undefined, ReadyImage> {
    const { settings } = this;
    const patch = settings.count('patch_size', 14);
    const frames = settings.count('temporal_patch_size', 2);
    const merge = settings.count('merge_size', 2);
    const resized = settings.boolean('do_resize', true) ? yield* this.#sized(image, patch * merge) : image;
    const [rows, columns] = [resized.height / patch, resized.width / patch];
    if (rows % merge !== 0 || columns % merge !== 0)
      throw new ArgumentError(
        `image processor: an image is ${resized.width} × ${resized.height}, expected multiples of ${patch * merge}`,
      );
    const values = this.values();
    const data = new Float32Array(rows * columns * 3 * frames * patch * patch);
    let index = 0;
    for (const [row, column] of blockPositions([rows, columns], merge))
      for (let channel = 0; channel < 3; channel++) {
        const channelValues = values[channel] as Float32Array;
        const first = index;
        for (let y = row * patch; y < (row + 1) * patch; y++)
          for (let x = column * patch; x < (column + 1) * patch; x++)
            data[index++] = channelValues[resized.data[(y * resized.width + x) * 3 + channel] as number] as number;
        for (let frame = 1; frame < frames; frame++, index += patch * patch)
          data.copyWithin(index, first, first + patch * patch);
      }
    return {
      pixelValues: { data, shape: [rows * columns, 3 * frames * patch * patch] },
      imageGridThw: [[1, rows, columns]],
      pieces: [{ rows: (rows * columns) / merge ** 2 }],
    };
  }

  *#sized(image: Pixels, factor: number): Generator<undefined, Pixels> {
    const minPixels = this.settings.count('min_pixels', this.side('size', 'shortest_edge', 56 * 56), MAX_COUNT);
    const maxPixels = this.settings.count('max_pixels', this.side('size', 'longest_edge', 28 * 28 * 1280), MAX_COUNT);
    const { width, height } = image;
    if (Math.max(width, height) / Math.min(width, height) > 200)
      throw new ArgumentError(
        `image processor: an image is ${width} × ${height}, expected sides that differ by a factor of at most 200`,
      );
    const [wide, high] = smartSize(image, factor, minPixels, maxPixels, 0);
    return yield* resize(image, wide, high, this.resample);
  }
}
