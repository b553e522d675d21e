import { ArgumentError } from '../../../core/errors.js';
import { blockPositions } from '../../../models/block-positions.js';
import { type Pixels, resize } from '../resize.js';
import type { Json, Settings } from '../settings.js';
import { ImageTextProcessor, MAX_COUNT, type ReadyImage } from './image-text-processor.js';
import { writePatches } from './patches.js';

/** Gemma 4: lists of patches, as many as the limit allows in the image's own aspect ratio. */
export class Gemma4Processor extends ImageTextProcessor {
  readonly mark: number;
  readonly #begin: number;
  readonly #end: number;

  constructor(config: Json, where: string, model: Settings) {
    // Pixels range from 0 to 1 unless the file normalizes them.
    super({ do_normalize: false, ...config }, where, { resample: 3, mean: [0, 0, 0], std: [1, 1, 1] });
    this.mark = model.count('image_token_id', 258880, MAX_COUNT);
    this.#begin = model.count('boi_token_id', 255999, MAX_COUNT);
    this.#end = model.count('eoi_token_id', 258882, MAX_COUNT);
    const maxTokens = this.settings.count('max_soft_tokens', 280);
    if (!SOFT_TOKENS.includes(maxTokens))
      this.settings.refuse('max_soft_tokens', maxTokens, `one of ${SOFT_TOKENS.join(', ')}`);
  }

  protected *prepareImage(image: Pixels): Generator<undefined, ReadyImage> {
    const { settings } = this;
    const patch = settings.count('patch_size', 16);
    const pool = settings.count('pooling_kernel_size', 3);
    const maxTokens = settings.count('max_soft_tokens', 280) * pool ** 2;
    const resized = settings.boolean('do_resize', true) ? yield* this.#sized(image, patch, pool, maxTokens) : image;
    const [rows, columns] = [Math.floor(resized.height / patch), Math.floor(resized.width / patch)];
    if (rows * columns > maxTokens || rows % pool !== 0 || columns % pool !== 0 || rows * columns === 0) {
      const described = `an image is ${resized.width} × ${resized.height}`;
      throw new ArgumentError(
        `image processor: ${described}, expected multiples of ${patch * pool} and at most ${maxTokens} patches: set do_resize to true`,
      );
    }
    const size = patch * patch * 3;
    const data = new Float32Array(maxTokens * size);
    writePatches(data, resized, this.values(), [rows, columns], patch);
    const positions = [...blockPositions([rows, columns], 1)].map(([row, column]): [number, number] => [column, row]);
    while (positions.length < maxTokens) positions.push([-1, -1]);
    return {
      pixelValues: { data, shape: [1, maxTokens, size] },
      imagePositionIds: positions,
      pieces: [{ token: this.#begin }, { rows: (rows * columns) / pool ** 2 }, { token: this.#end }],
    };
  }

  /** The largest size in whole blocks that has at most `maxTokens` patches. */
  #sized(image: Pixels, patch: number, pool: number, maxTokens: number): Generator<undefined, Pixels> {
    const { width, height } = image;
    const block = patch * pool;
    const factor = Math.sqrt((maxTokens * patch ** 2) / (height * width));
    let [wide, high] = [width, height].map((side) => Math.floor((factor * side) / block) * block) as [number, number];
    const longest = Math.floor(maxTokens / pool ** 2) * block;
    if (wide === 0 && high === 0)
      throw new ArgumentError(`image processor: an image of ${width} × ${height} has no room for a block of ${block}`);
    if (high === 0) [wide, high] = [Math.min(Math.floor(width / height) * block, longest), block];
    else if (wide === 0) [wide, high] = [block, Math.min(Math.floor(height / width) * block, longest)];
    return resize(image, wide, high, this.resample);
  }
}

/** Token counts that Gemma 4 allows for an image. */
const SOFT_TOKENS: readonly number[] = [70, 140, 280, 560, 1120];
