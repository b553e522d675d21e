// Decodes image files to pixels: in pages by the browser, in Node by the optional package sharp.

import { isNode } from '../../backend/node.js';
import { describeValue } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import { isBlob, isTyped } from '../../core/kinds.js';
import { importPackage } from '../../io/optional-package.js';
import type { RawImage } from './image.js';

/** The part of sharp's interface that is used here. */
type Sharp = (
  bytes: Uint8Array,
  options?: {
    raw?: { width: number; height: number; channels: number };
    limitInputPixels?: number;
    ignoreIcc?: boolean;
  },
) => SharpImage;

interface SharpImage {
  png(): { toBuffer(): Promise<Uint8Array> };
  metadata(): Promise<{ format?: string; space?: string; channels?: number }>;
  rotate(): SharpImage;
  removeAlpha(): SharpImage;
  pipelineColourspace(name: string): SharpImage;
  toColourspace(name: string): SharpImage;
  raw(options?: { depth: 'ushort' }): {
    toBuffer(options: {
      resolveWithObject: true;
    }): Promise<{ data: Uint8Array; info: { width: number; height: number } }>;
  };
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
export async function decodeImage(file: Uint8Array | Blob): Promise<RawImage> {
  if (!(isBlob(file) || isTyped(file, 'Uint8Array')))
    throw new ArgumentError(`decodeImage: the file is ${describeValue(file)}, expected a Blob or a Uint8Array`);
  try {
    if (isNode) return await bySharp(isBlob(file) ? new Uint8Array(await file.arrayBuffer()) : file);
    return await byCanvas(isBlob(file) ? file : new Blob([file as Uint8Array<ArrayBuffer>]));
  } catch (cause) {
    if (cause instanceof ArgumentError) throw cause;
    throw new FormatError(`decodeImage: this is no image that can be read: ${(cause as Error).message}`, { cause });
  }
}

/** Loads Node's decoder, because its first import blocks for 60 to 100 ms. Does nothing if it is not installed. */
export async function prepareDecoder(): Promise<void> {
  if (isNode) await loadSharp().catch(() => {});
}

/** Encodes an image as a PNG file, in Node. Throws ArgumentError if sharp is not installed. */
export async function encodePng({ width, height, data }: RawImage): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const channels = data.length / (width * height);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
  return sharp(bytes, { raw: { width, height, channels } }).png().toBuffer();
}

async function loadSharp(): Promise<Sharp> {
  const loaded = await importPackage<{ default: Sharp }>('sharp').catch((cause) => {
    const instead = 'npm install sharp, or give { width, height, data }';
    throw new ArgumentError(
      `decodeImage: Node reads and writes images by the package sharp, which cannot be loaded: ${instead}`,
      {
        cause,
      },
    );
  });
  return loaded.default;
}

async function bySharp(bytes: Uint8Array): Promise<RawImage> {
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
  return pixelsOf(upright.removeAlpha().toColourspace('srgb').raw());
}

async function pixelsOf(image: ReturnType<SharpImage['raw']>): Promise<RawImage & { readonly data: Uint8Array }> {
  const { data, info } = await image.toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}

/** Converts cyan, magenta, yellow and black to red, green and blue by Pillow's rule. */
function fromCmyk({ width, height, data }: RawImage): RawImage {
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
function fromGrey16({ width, height, data }: RawImage): RawImage {
  const grey = new Uint16Array(Uint8Array.from(data).buffer); // a copy, because 16-bit numbers need an even offset
  return { width, height, data: Uint8ClampedArray.from(grey) };
}

async function byCanvas(blob: Blob): Promise<RawImage> {
  const bitmap = await createImageBitmap(blob, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
  try {
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    if (context === null) throw new Error('there is no canvas');
    context.drawImage(bitmap, 0, 0);
    return withoutAlpha(context.getImageData(0, 0, width, height));
  } finally {
    bitmap.close();
  }
}

function withoutAlpha({ width, height, data }: RawImage): RawImage {
  const rgb = new Uint8Array(width * height * 3);
  for (let to = 0, from = 0; to < rgb.length; to += 3, from += 4)
    for (let c = 0; c < 3; c++) rgb[to + c] = data[from + c] as number;
  return { width, height, data: rgb };
}
