// Decodes image files to pixels: in pages by the browser, in Node by the optional package sharp.

import { isNode } from '../../backend/node.js';
import { describeValue } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import { isBlob, isTyped } from '../../core/kinds.js';
import { importPackage } from '../../io/optional-package.js';
import type { ImageBytes } from './image.js';

/** The part of sharp's interface that is used here. */
type Sharp = (
  bytes: Uint8Array,
  options?: {
    raw?: { width: number; height: number; channels: number };
    limitInputPixels?: number;
    ignoreIcc?: boolean;
  },
) => SharpImage;

/** An image of the package sharp, which has many more methods. */
export interface SharpImage {
  toFormat(format: string, options?: { quality?: number }): SharpImage;
  toBuffer(): Promise<Uint8Array>;
  toBuffer(options: {
    resolveWithObject: true;
  }): Promise<{ data: Uint8Array; info: { width: number; height: number } }>;
  metadata(): Promise<{ format?: string; space?: string; channels?: number }>;
  rotate(): SharpImage;
  removeAlpha(): SharpImage;
  pipelineColourspace(name: string): SharpImage;
  toColourspace(name: string): SharpImage;
  raw(options?: { depth: 'ushort' }): SharpImage;
}

/** Maximum number of pixels: Pillow's limit. Headers that declare more are refused before memory is allocated. */
const MAX_PIXELS = 178_956_970;
/** Formats that Pillow and browsers read, by sharp's names. Pillow does not read SVG, and its markup is untrusted. */
const FORMATS: readonly unknown[] = ['jpeg', 'png', 'webp', 'gif', 'heif', 'tiff'];

/**
 * Decodes a JPEG, PNG, WebP, AVIF, GIF or TIFF file as transformers' `load_image` does: red, green and blue, rotated by
 * the EXIF orientation. Alpha and colour profiles are dropped, and the first picture of an animation is read. Throws
 * FormatError for a file that is damaged, has another format or more than 178,956,970 pixels. Throws ArgumentError for
 * other values, and in Node if sharp is not installed.
 */
export function decodeImage(file: Uint8Array | Blob): Promise<ImageBytes> {
  return decode(file, false);
}

/** @internal Same as `decodeImage`, but keeps alpha. Grey images have one channel. In pages, all images are RGBA. */
export function decodeWithAlpha(file: Uint8Array | Blob): Promise<ImageBytes> {
  return decode(file, true);
}

async function decode(file: Uint8Array | Blob, keepsChannels: boolean): Promise<ImageBytes> {
  if (!(isBlob(file) || isTyped(file, 'Uint8Array')))
    throw new ArgumentError(`decodeImage: the file is ${describeValue(file)}, expected a Blob or a Uint8Array`);
  try {
    if (isNode) return await bySharp(isBlob(file) ? new Uint8Array(await file.arrayBuffer()) : file, keepsChannels);
    const pixels = await byCanvas(isBlob(file) ? file : new Blob([file as Uint8Array<ArrayBuffer>]));
    return keepsChannels ? pixels : withoutAlpha(pixels);
  } catch (cause) {
    if (cause instanceof ArgumentError) throw cause;
    throw new FormatError(`decodeImage: this is not a readable image: ${(cause as Error).message}`, { cause });
  }
}

/** Loads Node's decoder, because its first import blocks for 60 to 100 ms. Does nothing if it is not installed. */
export async function prepareDecoder(): Promise<void> {
  if (isNode) await loadSharp().catch(() => {});
}

/** Formats of files that are written, by sharp's names. */
const WRITTEN = ['png', 'jpeg', 'webp', 'avif', 'gif', 'tiff'] as const;
export type ImageFormat = (typeof WRITTEN)[number];

/**
 * Encodes an image. `quality` is from 0 to 1; PNG, GIF and TIFF lose nothing. Browsers write PNG, JPEG and WebP. Throws
 * ArgumentError for other formats, and in Node if sharp is not installed.
 */
export async function encodeImage(image: ImageBytes, format: ImageFormat = 'png', quality = 1): Promise<Uint8Array> {
  if (!WRITTEN.includes(format))
    throw new ArgumentError(
      `the format of an image is ${describeValue(format)}, expected one of ${WRITTEN.join(', ')}`,
    );
  if (isNode) {
    const isLossy = ['jpeg', 'webp', 'avif'].includes(format);
    const options = isLossy ? { quality: Math.max(1, Math.round(quality * 100)) } : {};
    const isGrey = image.data.length < 3 * image.width * image.height;
    const pixels = fromPixels(await loadSharp(), image).toColourspace(isGrey ? 'b-w' : 'srgb');
    return pixels.toFormat(format, options).toBuffer();
  }
  const type = `image/${format}`;
  const blob = await canvasOf(image).convertToBlob({ type, quality });
  if (blob.type !== type) throw new ArgumentError(`this browser does not write ${type}, expected image/png`);
  return new Uint8Array(await blob.arrayBuffer());
}

/** Draws an image on a new canvas. Throws ArgumentError where there is none, as in Node. */
export function canvasOf({ width, height, data }: ImageBytes): OffscreenCanvas {
  if (typeof OffscreenCanvas === 'undefined')
    throw new ArgumentError('an image cannot be drawn, because there is no OffscreenCanvas');
  const canvas = new OffscreenCanvas(width, height);
  const channels = data.length / (width * height);
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i++)
    for (let c = 0; c < 4; c++)
      pixels.data[i * 4 + c] = c === 3 && channels < 4 ? 255 : (data[i * channels + (channels < 3 ? 0 : c)] as number);
  (canvas.getContext('2d') as OffscreenCanvasRenderingContext2D).putImageData(pixels, 0, 0);
  return canvas;
}

/** sharp, if it was loaded. */
let loaded: Sharp | undefined;

/** Returns an image of sharp at once. Throws ArgumentError in pages, and if sharp is not installed. */
export function sharpOf(image: ImageBytes): SharpImage {
  const { getBuiltinModule: builtin } = globalThis.process ?? {};
  const { url } = import.meta;
  try {
    if (isNode) loaded ??= builtin('module').createRequire(url)('sharp') as Sharp;
  } catch (cause) {
    throw new ArgumentError(NO_SHARP, { cause });
  }
  if (loaded) return fromPixels(loaded, image);
  throw new ArgumentError('toSharp: a page has no package sharp: use toCanvas()');
}

function fromPixels(sharp: Sharp, { width, height, data }: ImageBytes): SharpImage {
  const channels = data.length / (width * height);
  return sharp(new Uint8Array(data.buffer, data.byteOffset, data.length), { raw: { width, height, channels } });
}

const NO_SHARP =
  'decodeImage: Node reads and writes images by the package sharp, which cannot be loaded: npm install sharp, or give { width, height, data }';

async function loadSharp(): Promise<Sharp> {
  const found = importPackage<{ default: Sharp }>('sharp').catch((cause) => {
    throw new ArgumentError(NO_SHARP, { cause });
  });
  loaded = (await found).default;
  return loaded;
}

async function bySharp(bytes: Uint8Array, keepsChannels: boolean): Promise<ImageBytes> {
  const sharp = await loadSharp();
  const file = sharp(bytes, { limitInputPixels: MAX_PIXELS, ignoreIcc: true });
  const { format, space, channels } = await file.metadata();
  if (!FORMATS.includes(format))
    throw new Error(`its format is ${format}, expected JPEG, PNG, WebP, AVIF, GIF or TIFF`);
  const upright = file.rotate();
  if (space === 'cmyk')
    return fromCmyk(await pixelsOf(upright.pipelineColourspace('cmyk').toColourspace('cmyk').raw()));
  if (space === 'grey16' && channels === 1)
    return fromGrey16(await pixelsOf(upright.toColourspace('grey16').raw({ depth: 'ushort' })));
  const seen = keepsChannels ? upright : upright.removeAlpha();
  return pixelsOf(seen.toColourspace(keepsChannels && channels === 1 ? 'b-w' : 'srgb').raw());
}

async function pixelsOf(image: SharpImage): Promise<ImageBytes & { readonly data: Uint8Array }> {
  const { data, info } = await image.toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}

/** Converts cyan, magenta, yellow and black to red, green and blue by Pillow's rule. */
function fromCmyk({ width, height, data }: ImageBytes): ImageBytes {
  const rgb = new Uint8ClampedArray(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    const light = 255 - (data[i * 4 + 3] as number);
    for (let c = 0; c < 3; c++) {
      const product = (data[i * 4 + c] as number) * light + 128;
      rgb[i * 3 + c] = light - (((product >> 8) + product) >> 8);
    }
  }
  return { width, height, data: rgb };
}

/** Converts 16-bit grey to 8 bits. Pillow clips values above 255, so models see the same pixels as in transformers. */
function fromGrey16({ width, height, data }: ImageBytes): ImageBytes {
  const grey = new Uint16Array(Uint8Array.from(data).buffer); // a copy, because 16-bit numbers need an even offset
  return { width, height, data: Uint8ClampedArray.from(grey) };
}

async function byCanvas(blob: Blob): Promise<ImageBytes> {
  const bitmap = await createImageBitmap(blob, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
  try {
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    if (context === null) throw new Error('there is no canvas');
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, width, height);
  } finally {
    bitmap.close();
  }
}

function withoutAlpha({ width, height, data }: ImageBytes): ImageBytes {
  const rgb = new Uint8Array(width * height * 3);
  for (let to = 0, from = 0; to < rgb.length; to += 3, from += 4)
    for (let c = 0; c < 3; c++) rgb[to + c] = data[from + c] as number;
  return { width, height, data: rgb };
}
