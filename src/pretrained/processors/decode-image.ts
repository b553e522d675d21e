// Files of images → pixels: by what browsers have, in Node by the package sharp, if it is installed.

import { isNode } from '../../backend/node.js';
import { describeValue } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import { isBlob, isTyped } from '../../core/kinds.js';
import type { RawImage } from './image.js';

/** The part of sharp's interface that is used here. */
type Sharp = (
  bytes: Uint8Array,
  options?: { raw: { width: number; height: number; channels: number } },
) => {
  png(): { toBuffer(): Promise<Uint8Array> };
  rotate(): ReturnType<Sharp>;
  toColourspace(name: 'srgb'): ReturnType<Sharp>;
  raw(): {
    toBuffer(options: {
      resolveWithObject: true;
    }): Promise<{ data: Uint8Array; info: { width: number; height: number } }>;
  };
};

/**
 * Decodes a JPEG, PNG, WebP or whatever else the browser or sharp knows, turned as its EXIF data says. Throws FormatError for what
 * is no image, ArgumentError for what is no file's content, and in Node if sharp is not installed.
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

/** A PNG file of an image, in Node. Throws ArgumentError if sharp is not installed. */
export async function encodePng({ width, height, data }: RawImage): Promise<Uint8Array> {
  const sharp = await loadSharp();
  const channels = data.length / (width * height);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
  return sharp(bytes, { raw: { width, height, channels } }).png().toBuffer();
}

async function loadSharp(): Promise<Sharp> {
  const name = 'sharp'; // a variable, so that no bundler looks for it
  const loaded = await import(/* @vite-ignore */ /* webpackIgnore: true */ name).catch((cause) => {
    const instead = 'npm install sharp, or give { width, height, data }';
    throw new ArgumentError(
      `decodeImage: Node reads and writes images by the package sharp, which cannot be loaded: ${instead}`,
      {
        cause,
      },
    );
  });
  return loaded.default as Sharp;
}

async function bySharp(bytes: Uint8Array): Promise<RawImage> {
  const sharp = await loadSharp();
  const image = sharp(bytes).rotate().toColourspace('srgb');
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}

async function byCanvas(blob: Blob): Promise<RawImage> {
  const bitmap = await createImageBitmap(blob, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
  try {
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    if (context === null) throw new Error('there is no canvas');
    context.drawImage(bitmap, 0, 0);
    return { width, height, data: context.getImageData(0, 0, width, height).data };
  } finally {
    bitmap.close();
  }
}
