// Image processors of ConvNeXt, DPT, Donut, GLPN, MobileViT, Swin2SR and YOLOS, which have their own ways of resizing.

import { ArgumentError } from '../../core/errors.js';
import type { Features } from './features.js';
import { type ImageBytes, ImageProcessor, MAX_SIDE, type PixelSize } from './image.js';
import { type Pixels, resize } from './resize.js';
import { type Json, Settings } from './settings.js';

/** ConvNeXt: resizes to a larger size and crops the middle. From 384 pixels on, it resizes without cropping. */
export class ConvNextImageProcessor extends ImageProcessor {
  readonly #cropShare: number;

  /** Throws FormatError for settings that are not supported. */
  constructor(config: Json, modelType?: string, where = 'preprocessor_config.json') {
    super(config, modelType, where);
    const settings = new Settings(where, config);
    this.#cropShare = settings.number('crop_pct', 224 / 256);
    if (!(this.#cropShare > 0)) settings.refuse('crop_pct', this.#cropShare, 'a positive number');
    if (this.size && !('shortest' in this.size)) settings.refuse('size', config.size, '{ shortest_edge }, in pixels');
  }

  protected override *resizeImage(image: Pixels): Generator<undefined, Pixels> {
    if (this.size === null || !('shortest' in this.size)) return image;
    const { shortest: side } = this.size;
    if (side >= 384) return yield* resize(image, side, side, this.resample);
    const shortened = yield* this.resizeShorterSide(image, Math.trunc(side / this.#cropShare));
    return this.centerCrop(shortened, { height: side, width: side });
  }
}

/** DPT: resizes to multiples of a size, and keeps the aspect ratio if the file says so. */
export class DptImageProcessor extends ImageProcessor {
  readonly #multiple: number;
  readonly #keepsRatio: boolean;
  /** Sides become multiples of it, by zeros around the normalized image; null for no padding. */
  readonly #divisor: number | null;

  /** Throws FormatError for settings that are not supported. */
  constructor(config: Json, modelType?: string, where = 'preprocessor_config.json') {
    super(config, modelType, where);
    const settings = new Settings(where, config);
    this.#multiple = settings.count('ensure_multiple_of', 1);
    this.#keepsRatio = settings.boolean('keep_aspect_ratio', false);
    const pads = settings.boolean('do_pad', false) && config.size_divisor != null;
    this.#divisor = pads ? settings.count('size_divisor', 1) : null;
    if (this.size && !('height' in this.size)) settings.refuse('size', config.size, '{ height, width }, in pixels');
  }

  protected override get addsPadding(): boolean {
    return true;
  }

  override *processInParts(images: readonly ImageBytes[]): Generator<undefined, Features> {
    const features = yield* super.processInParts(images);
    return this.#divisor === null ? features : paddedTo(features, this.#divisor);
  }

  protected override *resizeImage(image: Pixels): Generator<undefined, Pixels> {
    if (this.size === null || !('height' in this.size)) return image;
    let [down, right] = [this.size.height / image.height, this.size.width / image.width];
    if (this.#keepsRatio) {
      if (Math.abs(1 - right) < Math.abs(1 - down)) down = right;
      else right = down;
    }
    const [height, width] = [this.#fitting(down * image.height), this.#fitting(right * image.width)];
    if (Math.max(height, width) <= MAX_SIDE && Math.min(height, width) > 0)
      return yield* resize(image, width, height, this.resample);
    const described = `${image.width} × ${image.height}`;
    throw new ArgumentError(`image processor: an image of ${described} would become ${width} × ${height}`);
  }

  /** The nearest multiple. Halves become even, as in Python. */
  #fitting(size: number): number {
    const times = size / this.#multiple;
    const floor = Math.floor(times);
    const isHalf = times - floor === 0.5;
    return (isHalf ? floor + (floor % 2) : Math.round(times)) * this.#multiple;
  }
}

/** Zeros around images [N, channels, height, width], so that height and width are multiples of `divisor`. */
function paddedTo({ data, shape }: Features, divisor: number): Features {
  const [count, channels, height, width] = shape as [number, number, number, number];
  const [rows, columns] = [height, width].map((side) => Math.ceil(side / divisor) * divisor) as [number, number];
  const [top, left] = [Math.floor((rows - height) / 2), Math.floor((columns - width) / 2)];
  const padded = new Float32Array(count * channels * rows * columns);
  for (let row = 0; row < count * channels * height; row++) {
    const [plane, y] = [Math.floor(row / height), row % height];
    padded.set(data.subarray(row * width, (row + 1) * width), (plane * rows + top + y) * columns + left);
  }
  return { data: padded, shape: [count, channels, rows, columns] };
}

/**
 * Donut: fits a page into a size with a black border. The page may be rotated first to match the size's orientation.
 */
export class DonutImageProcessor extends ImageProcessor {
  readonly #resizes: boolean;
  readonly #fits: boolean;
  readonly #aligns: boolean;
  readonly #pads: boolean;
  readonly #page: { readonly height: number; readonly width: number };

  /** Throws FormatError for settings that are not supported. */
  constructor(config: Json, modelType?: string, where = 'preprocessor_config.json') {
    const { size } = config;
    // Older files have [width, height].
    const imageConfig = Array.isArray(size) ? { ...config, size: { height: size[1], width: size[0] } } : config;
    super({ ...imageConfig, do_resize: true }, modelType, where);
    const settings = new Settings(where, config);
    this.#resizes = settings.boolean('do_resize', true);
    this.#fits = settings.boolean('do_thumbnail', true);
    this.#aligns = settings.boolean('do_align_long_axis', false);
    this.#pads = settings.boolean('do_pad', true);
    const page = this.size;
    const isPage = page !== null && 'height' in page;
    this.#page = isPage ? page : settings.refuse('size', size, '{ height, width }, in pixels');
  }

  protected override get addsPadding(): boolean {
    return true;
  }

  protected override *resizeImage(image: Pixels): Generator<undefined, Pixels> {
    const { height, width } = this.#page;
    let page = this.#aligns && isAcross(image, this.#page) ? rotated(image) : image;
    if (this.#resizes) page = yield* this.resizeShorterSide(page, Math.min(height, width));
    if (this.#fits) page = yield* this.#fitted(page);
    if (!this.#pads) return page;
    if (page.height > height || page.width > width) {
      const fix = 'set do_thumbnail to true';
      throw new ArgumentError(`image processor: a page of ${page.width} × ${page.height} is too large to pad: ${fix}`);
    }
    return padded(page, this.#page);
  }

  /** Resizes the page to fit the size, with its own aspect ratio. */
  *#fitted(image: Pixels): Generator<undefined, Pixels> {
    let [height, width] = [Math.min(image.height, this.#page.height), Math.min(image.width, this.#page.width)];
    if (height === image.height && width === image.width) return image;
    if (image.height > image.width) width = Math.trunc((image.width * height) / image.height);
    else if (image.width > image.height) height = Math.trunc((image.height * width) / image.width);
    return yield* resize(image, Math.max(1, width), Math.max(1, height), this.resample || 3);
  }
}

/** True if one is wider than high, and the other is higher than wide. */
function isAcross(image: Pixels, page: { readonly height: number; readonly width: number }): boolean {
  return (
    (page.width < page.height && image.width > image.height) || (page.width > page.height && image.width < image.height)
  );
}

/** The image rotated clockwise by 90°. */
function rotated({ width, height, channels, data }: Pixels): Pixels {
  const result = new Uint8Array(data.length);
  for (let y = 0; y < width; y++)
    for (let x = 0; x < height; x++)
      for (let c = 0; c < channels; c++)
        result[(y * height + x) * channels + c] = data[((height - 1 - x) * width + y) * channels + c] as number;
  return { width: height, height: width, channels, data: result };
}

/** The image centred on a black page. */
function padded(image: Pixels, page: { readonly height: number; readonly width: number }): Pixels {
  const { channels } = image;
  const [top, left] = [Math.floor((page.height - image.height) / 2), Math.floor((page.width - image.width) / 2)];
  const data = new Uint8Array(page.height * page.width * channels);
  for (let y = 0; y < image.height; y++) {
    const row = image.data.subarray(y * image.width * channels, (y + 1) * image.width * channels);
    data.set(row, ((y + top) * page.width + left) * channels);
  }
  return { ...page, channels, data };
}

/** YOLOS: resizes as DETR, then down to multiples of 16 pixels, which is the side of its patches. */
export class YolosImageProcessor extends ImageProcessor {
  protected override sizeFor(image: PixelSize): PixelSize {
    const { width, height } = super.sizeFor(image);
    const down = (side: number) => side - (side % 16);
    if (this.size === null || 'height' in this.size) return { width, height };
    if (Math.min(width, height) >= 16) return { width: down(width), height: down(height) };
    throw new ArgumentError(`image processor: an image would become ${width} × ${height}, expected 16 pixels or more`);
  }
}

/** MobileViT: the channels are blue, green and red, and images are not normalized. */
export class MobileVitImageProcessor extends ImageProcessor {
  readonly #flips: boolean;

  /** Throws FormatError for settings that are not supported. */
  constructor(config: Json, modelType?: string, where = 'preprocessor_config.json') {
    super({ ...config, do_normalize: false, crop_size: config.crop_size ?? 256 }, modelType, where);
    this.#flips = new Settings(where, config).boolean('do_flip_channel_order', true);
  }

  protected override *resizeImage(image: Pixels): Generator<undefined, Pixels> {
    const resized = yield* super.resizeImage(image);
    if (!this.#flips) return resized;
    const data = resized.data.map((_, i, all) => all[i + 2 - 2 * (i % 3)] as number);
    return { ...resized, data };
  }
}

/** GLPN: both sides become multiples of a number, by resizing. */
export class GlpnImageProcessor extends ImageProcessor {
  readonly #divisor: number;

  /** Throws FormatError for settings that are not supported. */
  constructor(config: Json, modelType?: string, where = 'preprocessor_config.json') {
    super({ ...config, size: null }, modelType, where);
    this.#divisor = new Settings(where, config).count('size_divisor', 32);
  }

  protected override *resizeImage(image: Pixels): Generator<undefined, Pixels> {
    if (this.size === null) return image;
    const [width, height] = [image.width, image.height].map((side) => side - (side % this.#divisor));
    if (width && height) return yield* resize(image, width, height, this.resample);
    const expected = `${this.#divisor} pixels or more`;
    throw new ArgumentError(`image processor: an image is ${image.width} × ${image.height}, expected ${expected}`);
  }
}

/**
 * Swin2SR: mirrors rows and columns at the lower and right edges, up to the next multiple of a number. As in
 * transformers, sides that are multiples already grow, too.
 */
export class Swin2SRImageProcessor extends ImageProcessor {
  readonly #divisor: number | null;

  /** Throws FormatError for settings that are not supported. */
  constructor(config: Json, modelType?: string, where = 'preprocessor_config.json') {
    super({ ...config, do_resize: false, do_center_crop: false, do_normalize: false, do_pad: false }, modelType, where);
    const settings = new Settings(where, { size_divisor: config.pad_size, ...config });
    this.#divisor = settings.boolean('do_pad', true) ? settings.count('size_divisor', 8) : null;
  }

  protected override *resizeImage({ width, height, channels, data }: Pixels): Generator<undefined, Pixels> {
    const divisor = this.#divisor;
    if (divisor === null) return { width, height, channels, data };
    const [wide, high] = [width, height].map((side) => (Math.floor(side / divisor) + 1) * divisor) as [number, number];
    const mirrored = (position: number, size: number) => {
      const wrapped = position % (2 * size);
      return wrapped < size ? wrapped : 2 * size - 1 - wrapped;
    };
    const columns = Int32Array.from({ length: wide }, (_, x) => mirrored(x, width) * channels);
    const padded = new Uint8Array(wide * high * channels);
    for (let y = 0, to = 0; y < high; y++) {
      const row = mirrored(y, height) * width * channels;
      for (const column of columns) for (let c = 0; c < channels; c++) padded[to++] = data[row + column + c] as number;
      yield;
    }
    return { width: wide, height: high, channels, data: padded };
  }
}
