// Images for ViT, CLIP, SigLIP, DINOv2 and others, by preprocessor_config.json, as in transformers' PIL processors.

import { describeValue, isCount, isObject } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import { isTyped } from '../../core/kinds.js';
import { atOnce } from '../../core/slices.js';
import type { Features } from './features.js';
import { isResample, type Pixels, resize } from './resize.js';
import { type Json, Settings } from './settings.js';

/**
 * An image as rows of bytes from the top: RGB, RGBA or grey. Alpha is blended with white. A canvas's ImageData is one.
 */
export interface ImageBytes {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
  /** Numbers per pixel. Results of pipelines have it; it is not read. */
  readonly channels?: number | undefined;
}

const HALVES = [0.5, 0.5, 0.5];
const CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073];
const CLIP_STD = [0.26862954, 0.26130258, 0.27577711];

const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;
const HALF = { mean: HALVES, std: HALVES } as const;
const DETECTOR = { ...IMAGENET, resample: 2, crop: false } as const;

/** Defaults of each processor for missing settings. `squares`: a size of one number is both sides. */
const kinds = {
  ViT: { squares: true, size: { height: 224, width: 224 }, resample: 2, crop: false, mean: HALVES, std: HALVES },
  CLIP: { squares: false, size: { shortest_edge: 224 }, resample: 3, crop: true, mean: CLIP_MEAN, std: CLIP_STD },
  Siglip: { squares: false, size: { height: 224, width: 224 }, resample: 3, crop: false, mean: HALVES, std: HALVES },
  Bit: { squares: false, size: { shortest_edge: 224 }, resample: 3, crop: true, mean: CLIP_MEAN, std: CLIP_STD },
  Beit: { squares: true, size: { height: 224, width: 224 }, resample: 3, crop: false, ...HALF },
  ConvNext: { squares: false, size: { shortest_edge: 384 }, resample: 3, crop: false, ...HALF },
  DPT: { squares: true, size: { height: 384, width: 384 }, resample: 3, crop: false, ...HALF },
  DeiT: { squares: true, size: { height: 256, width: 256 }, resample: 3, crop: true, ...HALF },
  Donut: { squares: true, size: { height: 2560, width: 1920 }, resample: 2, crop: false, ...HALF },
  Siglip2: { squares: true, size: { height: 1, width: 1 }, resample: 2, crop: false, ...HALF },
  LayoutLMv3: { squares: true, size: { height: 224, width: 224 }, resample: 2, crop: false, ...HALF },
  Segformer: { squares: true, size: { height: 512, width: 512 }, resample: 2, crop: false, ...IMAGENET },
  Pvt: { squares: true, size: { height: 224, width: 224 }, resample: 3, crop: false, ...IMAGENET },
  MobileViT: { squares: false, size: { shortest_edge: 224 }, resample: 3, crop: true, ...IMAGENET },
  GLPN: { squares: true, size: { height: 1, width: 1 }, resample: 2, crop: false, ...HALF },
  Swin2SR: { squares: true, size: { height: 1, width: 1 }, resample: 2, crop: false, ...HALF },
  Sam: { ...DETECTOR, squares: false, size: { shortest_edge: 1024 } },
  Detr: { ...DETECTOR, squares: false, size: { shortest_edge: 800, longest_edge: 1333 } },
  RfDetr: { ...DETECTOR, squares: false, size: { shortest_edge: 800, longest_edge: 1333 } },
  Yolos: { ...DETECTOR, squares: false, size: { shortest_edge: 800, longest_edge: 1333 } },
  RTDetr: { ...DETECTOR, squares: true, size: { height: 640, width: 640 } },
  OwlViT: {
    squares: true,
    size: { height: 768, width: 768 },
    resample: 3,
    crop: false,
    mean: CLIP_MEAN,
    std: CLIP_STD,
  },
  Owlv2: { squares: true, size: { height: 960, width: 960 }, resample: 2, crop: false, mean: CLIP_MEAN, std: CLIP_STD },
} as const;

/** Processors that do not normalize by default. */
const WITHOUT_NORMALIZATION: readonly Kind[] = ['RTDetr', 'GLPN'];
/** Processors that pad images of a batch on the right and at the bottom. Here each image is a batch of its own. */
const WITH_PADDING: readonly Kind[] = ['Detr', 'RfDetr', 'RTDetr', 'Yolos'];
/** Processors whose older files give the size as two numbers. */
const WITH_SIZE_PAIRS: readonly Kind[] = ['Detr', 'RfDetr', 'Yolos'];

export type Kind = keyof typeof kinds;

/** Processors of models whose file does not name one. */
const ofModels: Readonly<Record<string, Kind>> = {
  vit: 'ViT',
  vit_mae: 'ViT',
  vit_msn: 'ViT',
  pvt: 'Pvt',
  ijepa: 'ViT',
  clip: 'CLIP',
  clip_vision_model: 'CLIP',
  siglip: 'Siglip',
  siglip_vision_model: 'Siglip',
  dinov2: 'Bit',
  hiera: 'Bit',
  swin: 'ViT',
  beit: 'Beit',
  'data2vec-vision': 'Beit',
  deit: 'DeiT',
  convnext: 'ConvNext',
  convnextv2: 'ConvNext',
  resnet: 'ConvNext',
  yolos: 'Yolos',
  segformer: 'Segformer',
  depth_anything: 'DPT',
  dpt: 'DPT',
  bit: 'Bit',
  mobilevit: 'MobileViT',
  glpn: 'GLPN',
  swin2sr: 'Swin2SR',
  clipseg: 'ViT',
  siglip2: 'Siglip2',
  siglip2_vision_model: 'Siglip2',
  layoutlmv3: 'LayoutLMv3',
  detr: 'Detr',
  'table-transformer': 'Detr',
  rf_detr: 'RfDetr',
  rt_detr: 'RTDetr',
  owlvit: 'OwlViT',
  owlv2: 'Owlv2',
  sam: 'Sam',
} as const;

/** A target size: both sides, or the shorter side with an optional limit of the longer one. */
export type Size =
  | { readonly height: number; readonly width: number }
  | { readonly shortest: number; readonly longest?: number | undefined };

/** Width and height of an image, in pixels. */
export type PixelSize = Pick<Pixels, 'width' | 'height'>;

/** Maximum side of an image after resizing. No photograph needs more. */
export const MAX_SIDE = 1 << 16;

export class ImageProcessor {
  /** Null if images keep their size. */
  protected readonly size: Size | null;
  protected readonly resample: number;
  readonly #crop: { readonly height: number; readonly width: number } | null;
  readonly #scale: number;
  readonly #mean: readonly number[];
  readonly #std: readonly number[];

  /**
   * Takes the content of preprocessor_config.json. If it names no processor, `modelType` of config.json selects one.
   * Throws FormatError for unknown processors and unsupported settings.
   */
  constructor(config: Json, modelType?: string, where = 'preprocessor_config.json') {
    const settings = new Settings(where, config);
    const name = kindOf(config, modelType, where);
    const kind = kinds[name];
    const configuredSize = config.size ?? kind.size;
    const limited = WITH_SIZE_PAIRS.includes(name) && isCount(configuredSize as number);
    const size = limited ? { shortest_edge: configuredSize, longest_edge: config.max_size ?? 1333 } : configuredSize;
    this.size = settings.boolean('do_resize', true) ? sizeOf(settings, size, kind.squares) : null;
    this.resample = settings.number('resample', kind.resample);
    if (!isResample(this.resample)) settings.refuse('resample', this.resample, "a number of PIL's, from 0 to 5");
    this.#crop = settings.boolean('do_center_crop', kind.crop) ? cropOf(settings, config.crop_size ?? 224) : null;
    this.#scale = settings.boolean('do_rescale', true) ? settings.number('rescale_factor', 1 / 255) : 1;
    const normalizes = settings.boolean('do_normalize', !WITHOUT_NORMALIZATION.includes(name));
    this.#mean = normalizes ? settings.channels('image_mean', kind.mean) : [0, 0, 0];
    this.#std = normalizes ? settings.channels('image_std', kind.std) : [1, 1, 1];
    if (this.#std.includes(0)) settings.refuse('image_std', config.image_std, 'numbers other than 0');
    const pads = this.addsPadding || WITH_PADDING.includes(name);
    if (!pads && settings.boolean('do_pad', false)) settings.refuse('do_pad', true, 'false');
  }

  /**
   * Converts images to the model's pixels, [images, 3, height, width]. Throws ArgumentError for values that are not
   * images, and for results that differ in size. Sizes can differ if images are not resized to a fixed size.
   */
  process(images: readonly ImageBytes[]): Features {
    return atOnce(this.processInParts(images));
  }

  /** @internal Same as `process`, with a pause after every few milliseconds of work. */
  *processInParts(images: readonly ImageBytes[]): Generator<undefined, Features> {
    if (!Array.isArray(images) || images.length === 0)
      throw new ArgumentError(`image processor: the images are ${describeValue(images)}, expected an array of images`);
    const cropped: Pixels[] = [];
    for (const image of images) cropped.push(this.#cropped(yield* this.resizeImage(yield* rgbOf(image))));
    const { height, width } = cropped[0] as Pixels;
    const data = new Float32Array(cropped.length * 3 * height * width);
    for (const [i, pixels] of cropped.entries()) {
      if (pixels.height !== height || pixels.width !== width) {
        const sizes = `${width} × ${height} and ${pixels.width} × ${pixels.height}`;
        throw new ArgumentError(`image processor: images become ${sizes}, expected one size: give them one by one`);
      }
      yield* this.#normalize(pixels, data.subarray(i * 3 * height * width));
    }
    return { data, shape: [cropped.length, 3, height, width] };
  }

  /** True for processors that pad images with black. */
  protected get addsPadding(): boolean {
    return false;
  }

  /** Resizes an image by the file's settings. Cropping follows. */
  protected *resizeImage(image: Pixels): Generator<undefined, Pixels> {
    if (this.size === null) return image;
    const { width, height } = this.sizeFor(image);
    return yield* resize(image, width, height, this.resample);
  }

  /** The size of an image after resizing, before cropping. Throws ArgumentError if a side becomes too long. */
  protected sizeFor(image: PixelSize): PixelSize {
    const { size } = this;
    if (size === null) return image;
    if ('height' in size) return size;
    const { shortest, longest } = size;
    return longest === undefined ? shortenedSize(image, shortest) : limitedSize(image, shortest, longest);
  }

  /**
   * Resizes the shorter side to `shortest` and keeps the aspect ratio. Throws ArgumentError if a side becomes too long.
   */
  protected resizeShorterSide(image: Pixels, shortest: number): Generator<undefined, Pixels> {
    const { width, height } = shortenedSize(image, shortest);
    return resize(image, width, height, this.resample);
  }

  #cropped(image: Pixels): Pixels {
    return this.#crop === null ? image : this.centerCrop(image, this.#crop);
  }

  /** True if black is added on the right or at the bottom to make the image square. */
  get padsToSquare(): boolean {
    return false;
  }

  /** Maps a byte of a channel, or a mean of bytes, to the model's input value. */
  protected normalizer(channel: number): (value: number) => number {
    const [mean, std] = [this.#mean[channel] as number, this.#std[channel] as number];
    return (value) => (value * this.#scale - mean) / std;
  }

  /** Crops the middle of the image. Smaller images are padded with black on all sides. */
  protected centerCrop(image: Pixels, { height, width }: { readonly height: number; readonly width: number }): Pixels {
    const top = cropStart(image.height, height);
    const left = cropStart(image.width, width);
    const data = new Uint8ClampedArray(height * width * 3);
    for (let y = Math.max(0, -top); y < Math.min(height, image.height - top); y++) {
      const from = Math.max(0, -left);
      const to = Math.min(width, image.width - left);
      const row = (y + top) * image.width + left;
      data.set(image.data.subarray((row + from) * 3, (row + to) * 3), (y * width + from) * 3);
    }
    return { height, width, channels: 3, data };
  }

  /** Writes the three colour planes one after another. */
  *#normalize({ width, height, data }: Pixels, into: Float32Array): Generator<undefined, void> {
    const size = width * height;
    for (let channel = 0; channel < 3; channel++) {
      const normalize = this.normalizer(channel);
      const values = Float32Array.from({ length: 256 }, (_, byte) => normalize(byte));
      for (let start = 0; start < size; start += SLICE) {
        const end = Math.min(size, start + SLICE);
        for (let i = start; i < end; i++) into[channel * size + i] = values[data[i * 3 + channel] as number] as number;
        yield;
      }
    }
  }
}

/** The processor that a file names, or that its model has by default. Throws FormatError if it is unknown. */
export function kindOf(config: Json, modelType: string | undefined, where: string): Kind {
  const named = config.image_processor_type ?? config.feature_extractor_type;
  if (named === undefined && modelType !== undefined && Object.hasOwn(ofModels, modelType))
    return ofModels[modelType] as Kind;
  const name = typeof named === 'string' ? named.replace(/(ImageProcessor(Fast|Pil)?|FeatureExtractor)$/, '') : '';
  if (Object.hasOwn(kinds, name)) return name as Kind;
  const known = Object.keys(kinds).map((kind) => `${kind}ImageProcessor`);
  throw new FormatError(
    `${where}: image_processor_type is ${describeValue(named)}, expected one of ${known.join(', ')}`,
  );
}

const isSide = (value: unknown): value is number => isCount(value as number) && (value as number) <= MAX_SIDE;

/** Older files have one number. */
function sizeOf(settings: Settings, size: unknown, squares: boolean): Size {
  if (isSide(size)) return squares ? { height: size, width: size } : { shortest: size };
  if (isObject(size)) {
    const { height, width, shortest_edge: shortest, longest_edge: longest, ...otherKeys } = size;
    if (Object.values(otherKeys).every((value) => value == null)) {
      if (isSide(height) && isSide(width) && shortest == null && longest == null) return { height, width };
      if (isSide(shortest) && height == null && width == null) {
        if (longest == null) return { shortest };
        if (isSide(longest)) return { shortest, longest };
      }
    }
  }
  const described = JSON.stringify(size)?.slice(0, 200);
  return settings.refuse('size', described, '{ height, width } or { shortest_edge }, in pixels');
}

function cropOf(settings: Settings, size: unknown): { height: number; width: number } {
  if (isSide(size)) return { height: size, width: size };
  const { height, width } = isObject(size) ? size : {};
  if (isSide(height) && isSide(width)) return { height, width };
  return settings.refuse('crop_size', JSON.stringify(size)?.slice(0, 200), '{ height, width }, in pixels');
}

/** The first pixel of a centre crop, negative if there is padding. Rounded down as in transformers. */
function cropStart(size: number, crop: number): number {
  return crop <= size ? Math.floor((size - crop) / 2) : -Math.ceil((crop - size) / 2);
}

/** The size with `shortest` on the shorter side and the same aspect ratio. Throws ArgumentError if it is too long. */
function shortenedSize({ width, height }: PixelSize, shortest: number): PixelSize {
  const long = Math.trunc((shortest * Math.max(width, height)) / Math.min(width, height));
  if (long > MAX_SIDE)
    throw new ArgumentError(`image processor: an image of ${width} × ${height} would become ${long} pixels long`);
  return width <= height ? { width: shortest, height: long } : { width: long, height: shortest };
}

/** `shortest` on the shorter side, or less if the longer one would exceed `longest`. Rounds as transformers does. */
function limitedSize({ width, height }: PixelSize, shortest: number, longest: number): PixelSize {
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  const exact = (long / short) * shortest > longest ? (longest * short) / long : shortest;
  const side = Math.max(1, halfToEven(exact));
  if (side === short) return { width, height };
  const other = Math.max(1, Math.trunc((exact * long) / short));
  return width < height ? { width: side, height: other } : { width: other, height: side };
}

/** Rounds to the nearest integer. Halves become even, as in Python. */
function halfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Pixels of a channel between two pauses: a few milliseconds. */
const SLICE = 1 << 19;

/** RGB of an image. Pauses after some thousands of pixels. Throws ArgumentError for other values. */
export function* rgbOf(image: ImageBytes): Generator<undefined, Pixels> {
  const { width, height, data } = (image ?? {}) as ImageBytes;
  const isImage =
    isSide(width) && isSide(height) && (isTyped(data, 'Uint8Array') || isTyped(data, 'Uint8ClampedArray'));
  const channels = isImage ? data.byteLength / (width * height) : 0;
  if (![1, 3, 4].includes(channels)) {
    const described = isImage ? `${width} × ${height} of ${data.byteLength} bytes` : describeValue(image);
    throw new ArgumentError(
      `image processor: an image is ${described}, expected { width, height, data } with 3 bytes a pixel (RGB), 4 (RGBA) or 1 (grey)`,
    );
  }
  if (channels === 3) return { width, height, channels, data };
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    if (i % SLICE === SLICE - 1) yield;
    const alpha = channels === 4 ? (data[i * 4 + 3] as number) : 255;
    for (let c = 0; c < 3; c++)
      rgb[i * 3 + c] = onWhite(data[i * channels + (channels === 1 ? 0 : c)] as number, alpha);
  }
  return { width, height, channels: 3, data: rgb };
}

/** Blends a value with a white background, and rounds as PIL's `alpha_composite` does. */
function onWhite(value: number, alpha: number): number {
  const sum = (value * alpha + 255 * (255 - alpha) + 128) * 128;
  return ((sum >> 8) + sum) >> 15;
}
