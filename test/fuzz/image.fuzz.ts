// Fuzzes the reader of images. It must throw an error of this package, or return all pixels that the header promises. To run
// it for 30 seconds:
//
//   npm run fuzz -- image 30
import assert from 'node:assert';
import sharp from 'sharp';
import { decodeImage } from '../../src/pretrained/processors/decode-image.js';
import { checked, withoutTraces } from './checked.js';
import { variants } from './variants.js';

const raw = { width: 5, height: 3, channels: 3 } as const;
const pixels = Uint8Array.from({ length: 45 }, (_, i) => 5 * i);
const formats = ['png', 'jpeg', 'webp', 'gif', 'tiff'] as const;
const seeds = await Promise.all(formats.map((format) => sharp(pixels, { raw }).toFormat(format).toBuffer()));

export function fuzz(bytes: Buffer): Promise<void> {
  return withoutTraces(async () => {
    for (const file of [bytes, ...variants(bytes, seeds)]) await checked(file, () => check(file));
  });
}

async function check(file: Uint8Array): Promise<void> {
  const { width, height, data } = await decodeImage(file);
  assert.ok(width > 0 && height > 0);
  assert.ok([1, 2, 3, 4].includes(data.length / (width * height)));
}
