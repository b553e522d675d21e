import { type Pixels, resize } from '../resize.js';
import type { Json, Settings } from '../settings.js';
import { HALVES, ImageTextProcessor, MAX_COUNT, type PromptPiece, type ReadyImage } from './image-text-processor.js';
import { crop, roundEven, smartSize, writePatches } from './patches.js';

/** LFM2-VL: one image in its own aspect ratio, or tiles and a thumbnail. */
export class Lfm2Processor extends ImageTextProcessor {
  readonly mark: number;
  readonly #factor: number;

  constructor(config: Json, where: string, model: Settings) {
    super(config, where, { resample: 2, mean: HALVES, std: HALVES });
    this.mark = model.count('image_token_id', 396, MAX_COUNT);
    this.#factor = this.settings.count('downsample_factor', 2);
  }

  protected *prepareImage(image: Pixels): Generator<undefined, ReadyImage> {
    const { settings } = this;
    const patch = settings.count('encoder_patch_size', 16);
    const [min, max] = [settings.count('min_image_tokens', 64), settings.count('max_image_tokens', 256)];
    const tile = settings.count('tile_size', 512);
    const splits = settings.boolean('do_image_splitting', true);
    const [fewest, largest] = splits ? [settings.count('min_tiles', 2), settings.count('max_tiles', 10)] : [1, 1];
    const factor = patch * this.#factor;
    const area = factor * factor;
    const [width, height] = smartSize(image, factor, min * area, max * area, factor);
    const small = yield* resize(image, width, height, this.resample);
    const rowsOf = ({ width: wide, height: high }: Pick<Pixels, 'width' | 'height'>) =>
      Math.ceil(Math.floor(wide / patch) / this.#factor) * Math.ceil(Math.floor(high / patch) / this.#factor);
    const patches = Math.max(max * this.#factor ** 2, splits ? Math.floor(tile / patch) ** 2 : 0);
    const near = (side: number) => Math.max(patch, roundEven(side / factor) * factor);
    const isLarge =
      near(image.width) * near(image.height) > max * area * settings.number('max_pixels_tolerance', 2) &&
      !(fewest === 1 && largest === 1);
    if (!isLarge) return this.#packed([small], patch, patches, [START, { rows: rowsOf(small) }, END]);
    const [columns, rows] = tilesFor(image, fewest, largest, tile);
    const large = yield* resize(image, columns * tile, rows * tile, this.resample);
    const tilePositions = Array.from(
      { length: rows * columns },
      (_, i) => [Math.floor(i / columns), i % columns] as const,
    );
    const tiles = tilePositions.map(([row, column]) => crop(large, column * tile, row * tile, tile, tile));
    const hasSmall = settings.boolean('use_thumbnail', true) && tilePositions.length > 1;
    const pieces = tilePositions.flatMap(([row, column]): PromptPiece[] => [
      ...(tilePositions.length > 1 ? [`<|img_row_${row + 1}_col_${column + 1}|>`] : []),
      { rows: rowsOf({ width: tile, height: tile }) },
    ]);
    const thumbnail: PromptPiece[] = hasSmall ? ['<|img_thumbnail|>', { rows: rowsOf(small) }] : [];
    return this.#packed(hasSmall ? [...tiles, small] : tiles, patch, patches, [START, ...pieces, ...thumbnail, END]);
  }

  /** Lists of patches, padded to `count` patches. */
  #packed(images: readonly Pixels[], patch: number, count: number, pieces: readonly PromptPiece[]): ReadyImage {
    const values = this.values();
    const size = patch * patch * 3;
    const data = new Float32Array(images.length * count * size);
    const grids = images.map(({ width, height }) => [Math.floor(height / patch), Math.floor(width / patch)] as const);
    for (const [i, image] of images.entries())
      writePatches(data.subarray(i * count * size), image, values, grids[i] as readonly [number, number], patch);
    return {
      pixelValues: { data, shape: [images.length, count, size] },
      spatialShapes: grids,
      pixelAttentionMask: grids.map(([rows, columns]) =>
        Array.from({ length: count }, (_, i) => Number(i < rows * columns)),
      ),
      pieces,
    };
  }
}

const [START, END] = ['<|image_start|>', '<|image_end|>'];

/** Columns and rows of tiles with the aspect ratio nearest to the image's. */
function tilesFor({ width, height }: Pixels, min: number, max: number, tile: number): readonly [number, number] {
  const grids: [number, number][] = [];
  for (let wide = 1; wide <= max; wide++)
    for (let high = 1; wide * high <= max; high++) if (wide * high >= min) grids.push([wide, high]);
  // A stable sort by count alone keeps the order of Python's set of pairs for grids of equal aspect ratio.
  grids.sort((a, b) => a[0] * a[1] - b[0] * b[1]);
  let best: [number, number] = [1, 1];
  let nearest = Number.POSITIVE_INFINITY;
  for (const grid of grids) {
    const distance = Math.abs(width / height - grid[0] / grid[1]);
    if (distance > nearest) continue;
    if (distance < nearest || width * height > 0.5 * tile * tile * grid[0] * grid[1]) best = grid;
    nearest = Math.min(nearest, distance);
  }
  return best;
}
