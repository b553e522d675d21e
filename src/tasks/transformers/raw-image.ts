// Images by the names of transformers.js: results of pipelines, and images that programs read and change.

import { checkOptions, describeValue } from '../../core/check.js';
import { ArgumentError, ShapeError } from '../../core/errors.js';
import { inSlices } from '../../core/slices.js';
import {
  canvasOf,
  decodeWithAlpha,
  encodeImage,
  type ImageFormat,
  type SharpImage,
  sharpOf,
} from '../../pretrained/processors/decode-image.js';
import { isResample, resize } from '../../pretrained/processors/resize.js';
import { HostTensor } from '../host-tensor.js';
import { bytesOf, isMediaFile, type MediaFile } from '../media-source.js';
import { saveFile } from '../save-file.js';

/** Bytes per pixel: grey, grey and alpha, RGB, or RGBA. */
export type ImageChannels = 1 | 2 | 3 | 4;

/** A canvas of a page or a worker. */
export interface CanvasLike {
  readonly width: number;
  readonly height: number;
  // biome-ignore lint/suspicious/noExplicitAny: canvases of pages and of packages have different contexts.
  getContext(kind: '2d'): any;
}

/** The type OffscreenCanvas where it is declared. Programs for Node compile without the types of pages. */
type PageCanvas = typeof globalThis extends { OffscreenCanvas: { prototype: infer Canvas } } ? Canvas : CanvasLike;

/** Names of PIL's filters. A filter's number is its index. */
const FILTERS = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'] as const;

/** A filter of PIL, by its name or its number. */
export type Resample = (typeof FILTERS)[number] | 0 | 1 | 2 | 3 | 4 | 5;

/** The source of an alpha channel that the image does not have. */
const OPAQUE = -1;

/** True for canvases. */
export const isCanvas = (value: unknown): value is CanvasLike =>
  typeof (value as CanvasLike | null)?.getContext === 'function';

/**
 * An image as rows of bytes from the top. Methods that change the number of channels change the image itself. Methods
 * that change its size return another one.
 */
export class RawImage {
  constructor(
    public data: Uint8Array | Uint8ClampedArray,
    public width: number,
    public height: number,
    public channels: ImageChannels,
  ) {
    if (data.length !== width * height * channels)
      throw new ShapeError(`RawImage: ${width} × ${height} × ${channels} is given with ${data.length} bytes`);
  }

  /**
   * Reads an image from a file or a canvas. Files have 1, 3 or 4 channels in Node, and always 4 in pages. Rejects with
   * ArgumentError for other values, and as `decodeImage`.
   */
  static async read(input: RawImage | MediaFile | CanvasLike): Promise<RawImage> {
    if (input instanceof RawImage) return input;
    if (isCanvas(input)) return RawImage.fromCanvas(input);
    if (!isMediaFile(input))
      throw new ArgumentError(
        `RawImage: the image is ${describeValue(input)}, expected a path, a URL, a Blob, bytes or a canvas`,
      );
    const { width, height, data } = await decodeWithAlpha(await bytesOf('RawImage', input));
    const channels = (data.length / (width * height)) as ImageChannels;
    return new RawImage(new Uint8ClampedArray(data.buffer, data.byteOffset, data.length), width, height, channels);
  }

  /** Same as `read` for a path or a URL. */
  static fromURL(url: string | URL): Promise<RawImage> {
    return RawImage.read(url);
  }

  /** Same as `read` for a Blob. */
  static fromBlob(blob: Blob): Promise<RawImage> {
    return RawImage.read(blob);
  }

  /** Reads the pixels of a canvas: RGBA. */
  static fromCanvas(canvas: CanvasLike): RawImage {
    const { width, height } = canvas;
    return new RawImage(canvas.getContext('2d').getImageData(0, 0, width, height).data, width, height, 4);
  }

  /** Makes an image of bytes [channels, height, width], or of [height, width, channels] with 'HWC'. */
  static fromTensor(tensor: HostTensor<Uint8Array>, channel_format: 'CHW' | 'HWC' = 'CHW'): RawImage {
    const { dims, type } = tensor;
    checkOrder(channel_format);
    if (dims.length !== 3 || type !== 'uint8')
      throw new ArgumentError(`fromTensor: the tensor is ${type} [${dims.join(', ')}], expected uint8 [C, H, W]`);
    const [a, b, c] = dims as [number, number, number];
    if (channel_format === 'HWC') return new RawImage(tensor.data, b, a, c as ImageChannels);
    return new RawImage(transposed(tensor.data, a, b * c), c, b, a as ImageChannels);
  }

  /** Width and height. */
  get size(): [number, number] {
    return [this.width, this.height];
  }

  /** Makes the image grey. Returns itself. */
  grayscale(): this {
    const { data, channels } = this;
    if (channels < 3) return this.#pick([0]);
    const grey = new Uint8ClampedArray(this.width * this.height);
    for (let i = 0, index = 0; i < grey.length; i++, index += channels) {
      const [red, green, blue] = [data[index] as number, data[index + 1] as number, data[index + 2] as number];
      grey[i] = Math.round(0.2989 * red + 0.587 * green + 0.114 * blue);
    }
    return Object.assign(this, { data: grey, channels: 1 });
  }

  /** Makes the image RGB, without alpha. Returns itself. */
  rgb(): this {
    return this.#pick(this.channels < 3 ? [0, 0, 0] : [0, 1, 2]);
  }

  /** Makes the image RGBA. Images without alpha become opaque. Returns itself. */
  rgba(): this {
    const alpha = this.channels % 2 === 0 ? this.channels - 1 : OPAQUE;
    return this.#pick(this.channels < 3 ? [0, 0, 0, alpha] : [0, 1, 2, alpha]);
  }

  /** Same as `grayscale`, `rgb` or `rgba`, by the number of channels. Returns itself. */
  convert(channels: 1 | 3 | 4): this {
    if (channels === 1) return this.grayscale();
    if (channels === 3) return this.rgb();
    if (channels === 4) return this.rgba();
    throw new ArgumentError(`convert: the channels are ${describeValue(channels)}, expected 1, 3 or 4`);
  }

  /** Makes the image RGBA with a grey image of its size as alpha. Returns itself. */
  putAlpha(mask: RawImage): this {
    if (mask.width !== this.width || mask.height !== this.height || mask.channels !== 1)
      throw new ShapeError(
        `putAlpha: the mask is ${mask.width} × ${mask.height} × ${mask.channels}, expected ${this.width} × ${this.height} × 1`,
      );
    this.rgba();
    for (let i = 0; i < mask.data.length; i++) this.data[i * 4 + 3] = mask.data[i] as number;
    return this;
  }

  /**
   * Returns the image at another size, by the filters of Pillow. A side that is null or -1 keeps the aspect ratio.
   * Default filter: 'bilinear'.
   */
  async resize(
    width: number | null,
    height: number | null,
    options: { readonly resample?: Resample | undefined } = {},
  ): Promise<RawImage> {
    const { resample = 2 } = checkOptions('resize', options, { resample: 'any' } as const);
    const filter = typeof resample === 'string' ? FILTERS.indexOf(resample) : resample;
    if (!isResample(filter as number))
      throw new ArgumentError(`resize: resample is ${describeValue(resample)}, expected one of ${FILTERS.join(', ')}`);
    const isFree = (side: number | null) => side === null || side === -1;
    if (isFree(width) && isFree(height)) return this;
    const wide = isFree(width) ? Math.round(((height as number) / this.height) * this.width) : (width as number);
    const high = isFree(height) ? Math.round(((width as number) / this.width) * this.height) : (height as number);
    checkSides('resize', wide, high);
    const { data } = await inSlices(resize(this, wide, high, filter as number));
    return new RawImage(data, wide, high, this.channels);
  }

  /** Returns a part, from the first to the last pixel of each direction. Parts outside of the image are left out. */
  async crop([left, top, right, bottom]: readonly [number, number, number, number]): Promise<RawImage> {
    const [x, y] = [Math.max(left, 0), Math.max(top, 0)];
    return this.#crop('crop', x, y, Math.min(right, this.width - 1) - x + 1, Math.min(bottom, this.height - 1) - y + 1);
  }

  /** Returns the middle of the image. Smaller images get zeros around them. */
  async center_crop(width: number, height: number): Promise<RawImage> {
    const [left, top] = [Math.trunc((this.width - width) / 2), Math.trunc((this.height - height) / 2)];
    return this.#crop('center_crop', left, top, width, height);
  }

  /** Returns the image with zeros around it. */
  async pad([left, right, top, bottom]: readonly [number, number, number, number]): Promise<RawImage> {
    const [before, after] = [Math.max(left, 0), Math.max(right, 0)];
    const [above, below] = [Math.max(top, 0), Math.max(bottom, 0)];
    return this.#crop('pad', -before, -above, this.width + before + after, this.height + above + below);
  }

  /** Returns a grey image for each channel. */
  split(): RawImage[] {
    const { channels, width, height } = this;
    const planes = transposed(this.data, width * height, channels);
    const size = width * height;
    return Array.from(
      { length: channels },
      (_, i) => new RawImage(planes.slice(i * size, (i + 1) * size), width, height, 1),
    );
  }

  clone(): RawImage {
    return new RawImage(this.data.slice(), this.width, this.height, this.channels);
  }

  /** The bytes as a tensor [channels, height, width], or [height, width, channels] with 'HWC'. */
  toTensor(channel_format: 'CHW' | 'HWC' = 'CHW'): HostTensor<Uint8Array> {
    const { width, height, channels } = this;
    checkOrder(channel_format);
    if (channel_format === 'HWC') return new HostTensor(Uint8Array.from(this.data), [height, width, channels]);
    return new HostTensor(transposed(this.data, width * height, channels), [channels, height, width]);
  }

  /**
   * Encodes the image by its media type, such as image/jpeg. `quality` is from 0 to 1. Node needs the package sharp.
   * Rejects with ArgumentError for formats that are not written here.
   */
  async toBlob(type = 'image/png', quality = 1): Promise<Blob> {
    const format = type.replace('image/', '') as ImageFormat;
    return new Blob([(await encodeImage(this, format, quality)) as Uint8Array<ArrayBuffer>], { type });
  }

  /** Draws the image on a new OffscreenCanvas. Throws ArgumentError where there is none, as in Node. */
  toCanvas(): PageCanvas {
    return canvasOf(this);
  }

  /** Returns an object of the package sharp. Throws ArgumentError in pages, and if it is not installed. */
  toSharp(): SharpImage {
    return sharpOf(this);
  }

  /**
   * Writes a file in the format of the path's extension: PNG, JPEG, WebP, AVIF, GIF or TIFF. Pages offer it as a
   * download. Rejects with ArgumentError for other extensions, and with the system's error.
   */
  async save(path: string): Promise<void> {
    const extension = /\.(\w+)$/.exec(path)?.[1]?.toLowerCase() ?? 'png';
    const format = ({ jpg: 'jpeg', tif: 'tiff' }[extension] ?? extension) as ImageFormat;
    await saveFile(path, await encodeImage(this, format));
  }

  /** Makes each new channel of an old one, or of 255. Returns itself. */
  #pick(sources: readonly number[]): this {
    const { data, channels } = this;
    const count = sources.length;
    if (count === channels) return this;
    const picked = new Uint8ClampedArray(this.width * this.height * count);
    for (const [channel, source] of sources.entries())
      for (let to = channel, from = 0; to < picked.length; to += count, from += channels)
        picked[to] = source === OPAQUE ? 255 : (data[from + source] as number);
    return Object.assign(this, { data: picked, channels: count });
  }

  /** Copies a rectangle. Pixels outside of the image are zeros. */
  #crop(op: string, left: number, top: number, width: number, height: number): RawImage {
    checkSides(op, width, height);
    const { channels } = this;
    const data = new Uint8ClampedArray(width * height * channels);
    const [from, to] = [Math.max(0, -left), Math.min(width, this.width - left)];
    for (let y = Math.max(0, -top); y < Math.min(height, this.height - top) && from < to; y++) {
      const row = (y + top) * this.width + left;
      data.set(this.data.subarray((row + from) * channels, (row + to) * channels), (y * width + from) * channels);
    }
    return new RawImage(data, width, height, channels);
  }
}

/** Same as `RawImage.read`. */
export const load_image: typeof RawImage.read = RawImage.read;

function checkSides(op: string, width: number, height: number): void {
  if (Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0) return;
  throw new ArgumentError(`${op}: the new size is ${width} × ${height}, expected positive integers`);
}

function checkOrder(format: unknown): void {
  if (format === 'CHW' || format === 'HWC') return;
  throw new ArgumentError(`the channel format is ${describeValue(format)}, expected 'CHW' or 'HWC'`);
}

/** Transposes a matrix of bytes [rows, columns]. */
function transposed(data: Uint8Array | Uint8ClampedArray, rows: number, columns: number): Uint8Array {
  const result = new Uint8Array(data.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) result[j * rows + i] = data[i * columns + j] as number;
  return result;
}
