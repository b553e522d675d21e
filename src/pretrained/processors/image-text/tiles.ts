import { type Pixels, resize } from '../resize.js';
import type { Json, Settings } from '../settings.js';
import { HALVES, ImageTextProcessor, MAX_COUNT, type PromptPiece, type ReadyImage } from './image-text-processor.js';
import { crop } from './patches.js';

/** SmolVLM and Idefics3: tiles row by row, then the whole image. */
export class TilesProcessor extends ImageTextProcessor {
  readonly mark: number;
  readonly #rows: number;

  constructor(config: Json, where: string, model: Settings, vision: Settings) {
    super(config, where, { resample: 1, mean: HALVES, std: HALVES });
    this.mark = model.count('image_token_id', 128257, MAX_COUNT);
    const patches = Math.floor(vision.count('image_size', 224) / vision.count('patch_size', 32)) ** 2;
    this.#rows = Math.floor(patches / model.count('scale_factor', 2) ** 2);
  }

  protected *prepareImage(image: Pixels): Generator<undefined, ReadyImage> {
    const tile = this.side('max_image_size', 'longest_edge', 364);
    const sized = this.settings.boolean('do_resize', true) ? yield* this.#sized(image) : image;
    const whole = (of: Pixels) => resize(of, tile, tile, this.resample);
    if (!this.settings.boolean('do_image_splitting', true))
      return { pixelValues: yield* this.planes([yield* whole(sized)]), pieces: this.#global() };
    const [width, height] = wholeTiles(sized, tile);
    const large = yield* resize(sized, width, height, this.resample);
    const [rows, columns] = [height / tile, width / tile];
    if (rows === 1 && columns === 1) return { pixelValues: yield* this.planes([large]), pieces: this.#global() };
    const tilePositions = Array.from(
      { length: rows * columns },
      (_, i) => [Math.floor(i / columns), i % columns] as const,
    );
    const tiles = tilePositions.map(([row, column]) => crop(large, column * tile, row * tile, tile, tile));
    const pieces = tilePositions.flatMap(([row, column]): PromptPiece[] => [
      `${FAKE}<row_${row + 1}_col_${column + 1}>`,
      { rows: this.#rows },
      ...(column === columns - 1 ? ['\n'] : []),
    ]);
    return {
      pixelValues: yield* this.planes([...tiles, yield* whole(large)]),
      pieces: [...pieces, '\n', ...this.#global()],
    };
  }

  #global(): PromptPiece[] {
    return [`${FAKE}<global-img>`, { rows: this.#rows }, FAKE];
  }

  /** Resizes the longer side to `size`, and the other side to an even number. */
  *#sized(image: Pixels): Generator<undefined, Pixels> {
    const longest = this.side('size', 'longest_edge', 4 * 364);
    const ratio = image.width / image.height;
    const even = (side: number) => Math.max(1, Math.trunc(side) + (Math.trunc(side) % 2));
    const isWide = image.width >= image.height;
    let [width, height] = isWide ? [longest, even(longest / ratio)] : [even(longest * ratio), longest];
    const aspectRatio = width / height;
    if (width >= height && width > MAX_SIDE)
      [width, height] = [MAX_SIDE, Math.max(1, Math.trunc(MAX_SIDE / aspectRatio))];
    else if (height > width && height > MAX_SIDE)
      [width, height] = [Math.max(1, Math.trunc(MAX_SIDE * aspectRatio)), MAX_SIDE];
    return yield* resize(image, width, height, this.resample);
  }
}

const FAKE = '<fake_token_around_image>';
/** Maximum side of an image before it is cut into tiles, in pixels. */
const MAX_SIDE = 4096;

/** Width and height, rounded up to whole tiles. */
function wholeTiles({ width, height }: Pixels, tile: number): [number, number] {
  const ratio = width / height;
  const up = (side: number) => Math.ceil(side / tile) * tile;
  if (width >= height) return [up(width), up(Math.trunc(up(width) / ratio))];
  return [up(Math.trunc(up(height) * ratio)), up(height)];
}
