import { type Pixels, resize } from '../resize.js';
import type { Json, Settings } from '../settings.js';
import { HALVES, ImageTextProcessor, MAX_COUNT, type PromptPiece, type ReadyImage } from './image-text-processor.js';
import { crop } from './patches.js';

/** Gemma 3: the whole image. Pan and scan adds crops of an image that is much longer than wide. */
export class Gemma3Processor extends ImageTextProcessor {
  readonly mark: number;
  readonly #end: number;
  readonly #rows: number;

  constructor(config: Json, where: string, model: Settings) {
    super(config, where, { resample: 2, mean: HALVES, std: HALVES });
    this.mark = model.count('boi_token_index', 255999, MAX_COUNT);
    this.#end = model.count('eoi_token_index', 256000, MAX_COUNT);
    this.#rows = model.count('mm_tokens_per_image', 256);
  }

  protected *prepareImage(image: Pixels): Generator<undefined, ReadyImage> {
    const size = [this.side('size', 'width', 224), this.side('size', 'height', 224)] as const;
    const crops = this.settings.boolean('do_pan_and_scan', false) ? this.#crops(image) : [];
    const isResized = this.settings.boolean('do_resize', true);
    const all: Pixels[] = [];
    for (const part of [image, ...crops]) all.push(isResized ? yield* resize(part, ...size, this.resample) : part);
    const whole: PromptPiece[] = ['\n\n', { token: this.mark }, { rows: this.#rows }, { token: this.#end }, '\n\n'];
    const pieces =
      crops.length === 0
        ? whole
        : [
            'Here is the original image ',
            ...whole,
            ' and here are some crops to help you see better ',
            ...crops.flatMap((_, i) => (i === 0 ? whole : [' ', ...whole])),
          ];
    return { pixelValues: yield* this.planes(all), pieces };
  }

  /** Crops of equal size along the longer side. */
  #crops(image: Pixels): Pixels[] {
    const minCrop = this.settings.count('pan_and_scan_min_crop_size', 256);
    const maxCrops = this.settings.count('pan_and_scan_max_num_crops', 4);
    const ratio = this.settings.number('pan_and_scan_min_ratio_to_activate', 1.2);
    const { width, height } = image;
    const [long, short] = [Math.max(width, height), Math.min(width, height)];
    if (long / short < ratio) return [];
    const wanted = Math.min(Math.floor(long / minCrop), Math.floor(long / short + 0.5));
    const count = Math.min(maxCrops, Math.max(2, wanted));
    const size = Math.ceil(long / count);
    if (Math.min(size, short) < minCrop) return [];
    return Array.from({ length: count }, (_, i) =>
      width >= height ? crop(image, i * size, 0, size, height) : crop(image, 0, i * size, width, size),
    );
  }
}
