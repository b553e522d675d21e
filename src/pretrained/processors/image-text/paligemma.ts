import { type Pixels, resize } from '../resize.js';
import type { Json, Settings } from '../settings.js';
import { HALVES, ImageTextProcessor, MAX_COUNT, type ReadyImage } from './image-text-processor.js';

/** PaliGemma: each patch is a token, and the text of the prompt follows the images. */
export class PaliGemmaProcessor extends ImageTextProcessor {
  readonly mark: number;
  readonly #rows: number;

  constructor(config: Json, where: string, model: Settings, vision: Settings) {
    super(config, where, { resample: 3, mean: HALVES, std: HALVES });
    this.mark = model.count('image_token_index', 256000, MAX_COUNT);
    this.#rows = Math.floor(vision.count('image_size', 224) / vision.count('patch_size', 16)) ** 2;
  }

  protected *prepareImage(image: Pixels): Generator<undefined, ReadyImage> {
    const size = [this.side('size', 'width', 224), this.side('size', 'height', 224)] as const;
    const resized = this.settings.boolean('do_resize', true) ? yield* resize(image, ...size, this.resample) : image;
    return { pixelValues: yield* this.planes([resized]), pieces: [{ rows: this.#rows }] };
  }

  override prompt(text: string, count: number, mark: string, begin: string): string {
    const marked = super.prompt(text, count, mark, begin);
    const end = marked.lastIndexOf(mark) + mark.length;
    return `${marked.slice(0, end)}${begin}${marked.slice(end)}\n`;
  }
}
