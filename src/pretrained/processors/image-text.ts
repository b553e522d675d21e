// Images for vision-language models: pixels, and the tokens that stand for an image in a prompt, as in transformers.

import { ArgumentError, FormatError } from '../../core/errors.js';
import { atOnce } from '../../core/slices.js';
import type { Features } from './features.js';
import { type RawImage, rgbOf } from './image.js';
import { isResample, type Pixels, resize } from './resize.js';
import { type Json, Settings } from './settings.js';

/** A part of an image's placeholder: text, a token by id, or a number of image features. */
export type Piece = string | { readonly token: number } | { readonly rows: number };

/** An image in the form that a model reads. */
export interface ReadyImage {
  readonly pixelValues: Features;
  /** Further inputs of the model. Lists have a row for each image or tile. */
  readonly spatialShapes?: readonly (readonly number[])[] | undefined;
  readonly pixelAttentionMask?: readonly (readonly number[])[] | undefined;
  readonly imageGridThw?: readonly (readonly number[])[] | undefined;
  /** Column and row of each patch, -1 for padding. */
  readonly imagePositionIds?: readonly (readonly [column: number, row: number])[] | undefined;
  /** The placeholder of the image in the prompt. */
  readonly pieces: readonly Piece[];
}

/** Prepares images for a vision-language model. */
export abstract class ImageTextProcessor {
  protected readonly settings: Settings;
  protected readonly resample: number;
  readonly #scale: number;
  readonly #mean: readonly number[];
  readonly #std: readonly number[];

  /** `config`: the content of preprocessor_config.json. Throws FormatError for settings that are not supported. */
  constructor(
    protected readonly config: Json,
    where: string,
    defaults: { readonly resample: number; readonly mean: readonly number[]; readonly std: readonly number[] },
  ) {
    const settings = new Settings(where, config);
    this.settings = settings;
    this.resample = settings.number('resample', defaults.resample);
    if (!isResample(this.resample)) settings.refuse('resample', this.resample, "a number of PIL's, from 0 to 5");
    this.#scale = settings.boolean('do_rescale', true) ? settings.number('rescale_factor', 1 / 255) : 1;
    const normalizes = settings.boolean('do_normalize', true);
    this.#mean = normalizes ? settings.channels('image_mean', defaults.mean) : [0, 0, 0];
    this.#std = normalizes ? settings.channels('image_std', defaults.std) : [1, 1, 1];
    if (this.#std.includes(0)) settings.refuse('image_std', config.image_std, 'numbers other than 0');
  }

  /** False if prompts already have all special tokens, so that the tokenizer must not add any. */
  readonly addsSpecial: boolean = true;
  /** The placeholder that chat templates write for an image: a token's id, or its text. */
  abstract readonly mark: number | string;

  /** Pauses after every few milliseconds of work. */
  protected abstract ready(image: Pixels): Generator<undefined, ReadyImage>;

  /** Throws ArgumentError if the value is no image, or cannot be resized. */
  process(image: RawImage): ReadyImage {
    return atOnce(this.processByParts(image));
  }

  /** @internal Same as `process`, with a pause after every few milliseconds of work. */
  *processByParts(image: RawImage): Generator<undefined, ReadyImage> {
    return yield* this.ready(yield* rgbOf(image));
  }

  /** A prompt with `count` images for models without a chat template. `mark` and `begin`: texts of those tokens. */
  prompt(text: string, count: number, mark: string, _begin: string): string {
    return text.includes(mark) ? text : mark.repeat(count) + text;
  }

  /** The normalized value of each byte, by channel. */
  protected values(): Float32Array[] {
    return [0, 1, 2].map((channel) => {
      const [mean, std] = [this.#mean[channel] as number, this.#std[channel] as number];
      return Float32Array.from({ length: 256 }, (_, byte) => (byte * this.#scale - mean) / std);
    });
  }

  /** Images of equal size as float32 [images, 3, height, width]. */
  protected *planes(images: readonly Pixels[]): Generator<undefined, Features> {
    const { width, height } = images[0] as Pixels;
    const values = this.values();
    const size = width * height;
    const data = new Float32Array(images.length * 3 * size);
    for (const [i, { data: bytes }] of images.entries())
      for (let channel = 0; channel < 3; channel++) {
        const own = values[channel] as Float32Array;
        const start = (i * 3 + channel) * size;
        for (let at = 0; at < size; at++) data[start + at] = own[bytes[at * 3 + channel] as number] as number;
        yield;
      }
    return { data, shape: [images.length, 3, height, width] };
  }

  /** One side of a size in a settings file, in pixels. */
  protected side(name: string, key: string, fallback: number): number {
    const given = this.config[name];
    const value = typeof given === 'object' && given !== null ? (given as Json)[key] : given;
    return new Settings(`${name} of the image processor`, { [key]: value ?? fallback }).count(key, fallback, MAX_COUNT);
  }
}

const HALVES = [0.5, 0.5, 0.5];
/** CLIP's mean and standard deviation of colours. */
export const CLIP_COLORS = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] };
/** Maximum of ids, and of pixels per side or image, in a settings file. */
const MAX_COUNT = 1 << 26;

/** Gemma 3: the whole image. Pan and scan adds crops of an image that is much longer than wide. */
class Gemma3Processor extends ImageTextProcessor {
  readonly mark: number;
  readonly #end: number;
  readonly #rows: number;

  constructor(config: Json, where: string, model: Settings) {
    super(config, where, { resample: 2, mean: HALVES, std: HALVES });
    this.mark = model.count('boi_token_index', 255999, MAX_COUNT);
    this.#end = model.count('eoi_token_index', 256000, MAX_COUNT);
    this.#rows = model.count('mm_tokens_per_image', 256);
  }

  protected *ready(image: Pixels): Generator<undefined, ReadyImage> {
    const size = [this.side('size', 'width', 224), this.side('size', 'height', 224)] as const;
    const crops = this.settings.boolean('do_pan_and_scan', false) ? this.#crops(image) : [];
    const isResized = this.settings.boolean('do_resize', true);
    const all: Pixels[] = [];
    for (const each of [image, ...crops]) all.push(isResized ? yield* resize(each, ...size, this.resample) : each);
    const whole: Piece[] = ['\n\n', { token: this.mark }, { rows: this.#rows }, { token: this.#end }, '\n\n'];
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
    const least = this.settings.count('pan_and_scan_min_crop_size', 256);
    const most = this.settings.count('pan_and_scan_max_num_crops', 4);
    const ratio = this.settings.number('pan_and_scan_min_ratio_to_activate', 1.2);
    const { width, height } = image;
    const [long, short] = [Math.max(width, height), Math.min(width, height)];
    if (long / short < ratio) return [];
    const wanted = Math.min(Math.floor(long / least), Math.floor(long / short + 0.5));
    const count = Math.min(most, Math.max(2, wanted));
    const size = Math.ceil(long / count);
    if (Math.min(size, short) < least) return [];
    return Array.from({ length: count }, (_, i) =>
      width >= height ? crop(image, i * size, 0, size, height) : crop(image, 0, i * size, width, size),
    );
  }
}

/** PaliGemma: each patch is a token, and the text of the prompt follows the images. */
class PaliGemmaProcessor extends ImageTextProcessor {
  readonly mark: number;
  readonly #rows: number;

  constructor(config: Json, where: string, model: Settings, vision: Settings) {
    super(config, where, { resample: 3, mean: HALVES, std: HALVES });
    this.mark = model.count('image_token_index', 256000, MAX_COUNT);
    this.#rows = Math.floor(vision.count('image_size', 224) / vision.count('patch_size', 16)) ** 2;
  }

  protected *ready(image: Pixels): Generator<undefined, ReadyImage> {
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

/** SmolVLM and Idefics3: tiles row by row, then the whole image. */
class TilesProcessor extends ImageTextProcessor {
  readonly mark: number;
  readonly #rows: number;

  constructor(config: Json, where: string, model: Settings, vision: Settings) {
    super(config, where, { resample: 1, mean: HALVES, std: HALVES });
    this.mark = model.count('image_token_id', 128257, MAX_COUNT);
    const patches = Math.floor(vision.count('image_size', 224) / vision.count('patch_size', 32)) ** 2;
    this.#rows = Math.floor(patches / model.count('scale_factor', 2) ** 2);
  }

  protected *ready(image: Pixels): Generator<undefined, ReadyImage> {
    const tile = this.side('max_image_size', 'longest_edge', 364);
    const sized = this.settings.boolean('do_resize', true) ? yield* this.#sized(image) : image;
    const whole = (of: Pixels) => resize(of, tile, tile, this.resample);
    if (!this.settings.boolean('do_image_splitting', true))
      return { pixelValues: yield* this.planes([yield* whole(sized)]), pieces: this.#global() };
    const [width, height] = wholeTiles(sized, tile);
    const large = yield* resize(sized, width, height, this.resample);
    const [rows, columns] = [height / tile, width / tile];
    if (rows === 1 && columns === 1) return { pixelValues: yield* this.planes([large]), pieces: this.#global() };
    const places = Array.from({ length: rows * columns }, (_, i) => [Math.floor(i / columns), i % columns] as const);
    const tiles = places.map(([row, column]) => crop(large, column * tile, row * tile, tile, tile));
    const pieces = places.flatMap(([row, column]): Piece[] => [
      `${FAKE}<row_${row + 1}_col_${column + 1}>`,
      { rows: this.#rows },
      ...(column === columns - 1 ? ['\n'] : []),
    ]);
    return {
      pixelValues: yield* this.planes([...tiles, yield* whole(large)]),
      pieces: [...pieces, '\n', ...this.#global()],
    };
  }

  #global(): Piece[] {
    return [`${FAKE}<global-img>`, { rows: this.#rows }, FAKE];
  }

  /** Resizes the longer side to `size`, and the other side to an even number. */
  *#sized(image: Pixels): Generator<undefined, Pixels> {
    const longest = this.side('size', 'longest_edge', 4 * 364);
    const ratio = image.width / image.height;
    const even = (side: number) => Math.max(1, Math.trunc(side) + (Math.trunc(side) % 2));
    const isWide = image.width >= image.height;
    let [width, height] = isWide ? [longest, even(longest / ratio)] : [even(longest * ratio), longest];
    const own = width / height;
    if (width >= height && width > MAX_SIDE) [width, height] = [MAX_SIDE, Math.max(1, Math.trunc(MAX_SIDE / own))];
    else if (height > width && height > MAX_SIDE) [width, height] = [Math.max(1, Math.trunc(MAX_SIDE * own)), MAX_SIDE];
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

/** Qwen-VL: sides are multiples of a block, and patches come block by block. */
class QwenProcessor extends ImageTextProcessor {
  readonly mark: number;

  constructor(config: Json, where: string, model: Settings) {
    super(config, where, { resample: 3, ...CLIP_COLORS });
    this.mark = model.count('image_token_id', 151655, MAX_COUNT);
  }

  protected *ready(image: Pixels): Generator<undefined, ReadyImage> {
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
    let at = 0;
    for (const [row, column] of blockPlaces(rows, columns, merge))
      for (let channel = 0; channel < 3; channel++) {
        const own = values[channel] as Float32Array;
        const first = at;
        for (let y = row * patch; y < (row + 1) * patch; y++)
          for (let x = column * patch; x < (column + 1) * patch; x++)
            data[at++] = own[resized.data[(y * resized.width + x) * 3 + channel] as number] as number;
        for (let frame = 1; frame < frames; frame++, at += patch * patch)
          data.copyWithin(at, first, first + patch * patch);
      }
    return {
      pixelValues: { data, shape: [rows * columns, 3 * frames * patch * patch] },
      imageGridThw: [[1, rows, columns]],
      pieces: [{ rows: (rows * columns) / merge ** 2 }],
    };
  }

  *#sized(image: Pixels, factor: number): Generator<undefined, Pixels> {
    const least = this.settings.count('min_pixels', this.side('size', 'shortest_edge', 56 * 56), MAX_COUNT);
    const most = this.settings.count('max_pixels', this.side('size', 'longest_edge', 28 * 28 * 1280), MAX_COUNT);
    const { width, height } = image;
    if (Math.max(width, height) / Math.min(width, height) > 200)
      throw new ArgumentError(
        `image processor: an image is ${width} × ${height}, expected sides that differ by a factor of at most 200`,
      );
    const [wide, high] = smartSize(image, factor, least, most, 0);
    return yield* resize(image, wide, high, this.resample);
  }
}

/** Rounds sides to multiples of `factor`, with `least` to `most` pixels in all. `smallest`: minimum of a side. */
function smartSize(
  { width, height }: Pixels,
  factor: number,
  least: number,
  most: number,
  smallest: number,
): [number, number] {
  const rounded = (side: number) => Math.max(smallest, roundEven(side / factor) * factor);
  const [wide, high] = [rounded(width), rounded(height)];
  if (wide * high > most) {
    const shrink = Math.sqrt((height * width) / most);
    const down = (side: number) => Math.max(factor, Math.floor(side / shrink / factor) * factor);
    return [down(width), down(height)];
  }
  if (wide * high >= least) return [wide, high];
  const growth = Math.sqrt(least / (height * width));
  const up = (side: number) => Math.ceil((side * growth) / factor) * factor;
  return [up(width), up(height)];
}

/** Gemma 4: lists of patches, as many as the limit allows in the image's own aspect ratio. */
class Gemma4Processor extends ImageTextProcessor {
  readonly mark: number;
  readonly #begin: number;
  readonly #end: number;

  constructor(config: Json, where: string, model: Settings) {
    // Pixels range from 0 to 1 unless the file normalizes them.
    super({ do_normalize: false, ...config }, where, { resample: 3, mean: [0, 0, 0], std: [1, 1, 1] });
    this.mark = model.count('image_token_id', 258880, MAX_COUNT);
    this.#begin = model.count('boi_token_id', 255999, MAX_COUNT);
    this.#end = model.count('eoi_token_id', 258882, MAX_COUNT);
    const most = this.settings.count('max_soft_tokens', 280);
    if (!SOFT_TOKENS.includes(most)) this.settings.refuse('max_soft_tokens', most, `one of ${SOFT_TOKENS.join(', ')}`);
  }

  protected *ready(image: Pixels): Generator<undefined, ReadyImage> {
    const { settings } = this;
    const patch = settings.count('patch_size', 16);
    const pool = settings.count('pooling_kernel_size', 3);
    const most = settings.count('max_soft_tokens', 280) * pool ** 2;
    const resized = settings.boolean('do_resize', true) ? yield* this.#sized(image, patch, pool, most) : image;
    const [rows, columns] = [Math.floor(resized.height / patch), Math.floor(resized.width / patch)];
    if (rows * columns > most || rows % pool !== 0 || columns % pool !== 0 || rows * columns === 0) {
      const given = `an image is ${resized.width} × ${resized.height}`;
      throw new ArgumentError(
        `image processor: ${given}, expected multiples of ${patch * pool} and at most ${most} patches: set do_resize to true`,
      );
    }
    const values = this.values();
    const size = patch * patch * 3;
    const data = new Float32Array(most * size);
    const positions: [number, number][] = [];
    let at = 0;
    for (const [row, column] of blockPlaces(rows, columns, 1)) {
      positions.push([column, row]);
      for (let y = row * patch; y < (row + 1) * patch; y++)
        for (let x = column * patch; x < (column + 1) * patch; x++)
          for (let channel = 0; channel < 3; channel++)
            data[at++] = values[channel]?.[resized.data[(y * resized.width + x) * 3 + channel] as number] as number;
    }
    while (positions.length < most) positions.push([-1, -1]);
    return {
      pixelValues: { data, shape: [1, most, size] },
      imagePositionIds: positions,
      pieces: [{ token: this.#begin }, { rows: (rows * columns) / pool ** 2 }, { token: this.#end }],
    };
  }

  /** The largest size in whole blocks that has at most `most` patches. */
  #sized(image: Pixels, patch: number, pool: number, most: number): Generator<undefined, Pixels> {
    const { width, height } = image;
    const block = patch * pool;
    const factor = Math.sqrt((most * patch ** 2) / (height * width));
    let [wide, high] = [width, height].map((side) => Math.floor((factor * side) / block) * block) as [number, number];
    const longest = Math.floor(most / pool ** 2) * block;
    if (wide === 0 && high === 0)
      throw new ArgumentError(`image processor: an image of ${width} × ${height} has no room for a block of ${block}`);
    if (high === 0) [wide, high] = [Math.min(Math.floor(width / height) * block, longest), block];
    else if (wide === 0) [wide, high] = [block, Math.min(Math.floor(height / width) * block, longest)];
    return resize(image, wide, high, this.resample);
  }
}

/** Token counts that Gemma 4 allows for an image. */
const SOFT_TOKENS: readonly number[] = [70, 140, 280, 560, 1120];

/** Python's `round`: halves become even. */
function roundEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor + (floor % 2);
}

/** LFM2-VL: one image in its own aspect ratio, or tiles and a thumbnail. */
class Lfm2Processor extends ImageTextProcessor {
  readonly mark: number;
  readonly #factor: number;

  constructor(config: Json, where: string, model: Settings) {
    super(config, where, { resample: 2, mean: HALVES, std: HALVES });
    this.mark = model.count('image_token_id', 396, MAX_COUNT);
    this.#factor = this.settings.count('downsample_factor', 2);
  }

  protected *ready(image: Pixels): Generator<undefined, ReadyImage> {
    const { settings } = this;
    const patch = settings.count('encoder_patch_size', 16);
    const [least, most] = [settings.count('min_image_tokens', 64), settings.count('max_image_tokens', 256)];
    const tile = settings.count('tile_size', 512);
    const splits = settings.boolean('do_image_splitting', true);
    const [fewest, largest] = splits ? [settings.count('min_tiles', 2), settings.count('max_tiles', 10)] : [1, 1];
    const factor = patch * this.#factor;
    const area = factor * factor;
    const [width, height] = smartSize(image, factor, least * area, most * area, factor);
    const small = yield* resize(image, width, height, this.resample);
    const rowsOf = ({ width: wide, height: high }: Pick<Pixels, 'width' | 'height'>) =>
      Math.ceil(Math.floor(wide / patch) / this.#factor) * Math.ceil(Math.floor(high / patch) / this.#factor);
    const patches = Math.max(most * this.#factor ** 2, splits ? Math.floor(tile / patch) ** 2 : 0);
    const near = (side: number) => Math.max(patch, roundEven(side / factor) * factor);
    const isLarge =
      near(image.width) * near(image.height) > most * area * settings.number('max_pixels_tolerance', 2) &&
      !(fewest === 1 && largest === 1);
    if (!isLarge) return this.#packed([small], patch, patches, [START, { rows: rowsOf(small) }, END]);
    const [columns, rows] = tilesFor(image, fewest, largest, tile);
    const large = yield* resize(image, columns * tile, rows * tile, this.resample);
    const places = Array.from({ length: rows * columns }, (_, i) => [Math.floor(i / columns), i % columns] as const);
    const tiles = places.map(([row, column]) => crop(large, column * tile, row * tile, tile, tile));
    const hasSmall = settings.boolean('use_thumbnail', true) && places.length > 1;
    const pieces = places.flatMap(([row, column]): Piece[] => [
      ...(places.length > 1 ? [`<|img_row_${row + 1}_col_${column + 1}|>`] : []),
      { rows: rowsOf({ width: tile, height: tile }) },
    ]);
    const rest: Piece[] = hasSmall ? ['<|img_thumbnail|>', { rows: rowsOf(small) }] : [];
    return this.#packed(hasSmall ? [...tiles, small] : tiles, patch, patches, [START, ...pieces, ...rest, END]);
  }

  /** Lists of patches, padded to `most` patches. */
  #packed(images: readonly Pixels[], patch: number, most: number, pieces: readonly Piece[]): ReadyImage {
    const values = this.values();
    const size = patch * patch * 3;
    const data = new Float32Array(images.length * most * size);
    const grids = images.map(({ width, height }) => [Math.floor(height / patch), Math.floor(width / patch)] as const);
    for (const [i, { width, data: bytes }] of images.entries()) {
      let at = i * most * size;
      const [rows, columns] = grids[i] as readonly [number, number];
      for (const [row, column] of blockPlaces(rows, columns, 1))
        for (let y = row * patch; y < (row + 1) * patch; y++)
          for (let x = column * patch; x < (column + 1) * patch; x++)
            for (let channel = 0; channel < 3; channel++)
              data[at++] = values[channel]?.[bytes[(y * width + x) * 3 + channel] as number] as number;
    }
    return {
      pixelValues: { data, shape: [images.length, most, size] },
      spatialShapes: grids,
      pixelAttentionMask: grids.map(([rows, columns]) =>
        Array.from({ length: most }, (_, i) => Number(i < rows * columns)),
      ),
      pieces,
    };
  }
}

const [START, END] = ['<|image_start|>', '<|image_end|>'];

/** Columns and rows of tiles with the aspect ratio nearest to the image's. */
function tilesFor({ width, height }: Pixels, least: number, most: number, tile: number): readonly [number, number] {
  const grids: [number, number][] = [];
  for (let wide = 1; wide <= most; wide++)
    for (let high = 1; wide * high <= most; high++) if (wide * high >= least) grids.push([wide, high]);
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

/** Rows and columns of patches in row-major square blocks. */
function* blockPlaces(rows: number, columns: number, side: number): Generator<readonly [number, number]> {
  for (let top = 0; top < rows; top += side)
    for (let left = 0; left < columns; left += side)
      for (let row = top; row < top + side; row++)
        for (let column = left; column < left + side; column++) yield [row, column];
}

/** Crops an image. Parts beyond its edges are left out. */
function crop(image: Pixels, left: number, top: number, width: number, height: number): Pixels {
  const [wide, high] = [Math.min(width, image.width - left), Math.min(height, image.height - top)];
  const data = new Uint8ClampedArray(wide * high * 3);
  for (let y = 0; y < high; y++) {
    const from = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(from, from + wide * 3), y * wide * 3);
  }
  return { width: wide, height: high, channels: 3, data };
}

const processors = {
  gemma3: Gemma3Processor,
  gemma4: Gemma4Processor,
  paligemma: PaliGemmaProcessor,
  smolvlm: TilesProcessor,
  idefics3: TilesProcessor,
  qwen3_vl: QwenProcessor,
  qwen3_5: QwenProcessor,
  lfm2_vl: Lfm2Processor,
} as const;

/** The processor for a model's config.json. Throws FormatError for settings that are not supported. */
export function imageTextProcessor(config: Json, model: Json, where: string): ImageTextProcessor {
  const { model_type: type, vision_config: vision } = model;
  if (!Object.hasOwn(processors, String(type)))
    throw new FormatError(`${where}: there is no processor for ${String(type)}`);
  const Processor = processors[type as keyof typeof processors];
  return new Processor(
    config,
    where,
    new Settings('config.json', model),
    new Settings('vision_config', (vision ?? {}) as Json),
  );
}
