// Files of images as transformers' `load_image` reads them, and files that are refused before they take memory.

import { readFileSync } from 'node:fs';
import { crc32, deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ArgumentError, FormatError } from '../../src/core/errors.js';
import { decodeImage } from '../../src/pretrained/processors/decode-image.js';

interface Recorded {
  readonly name: string;
  readonly file: string;
  readonly width: number;
  readonly height: number;
  readonly pixels: string;
}

// Results of make_image_files.py.
const recorded: Recorded[] = JSON.parse(readFileSync(new URL('image-files.json', import.meta.url), 'utf8'));

const bytesOf = (base64: string) => Uint8Array.from(Buffer.from(base64, 'base64'));
const named = (name: string) => bytesOf(recorded.find((each) => each.name === name)!.file);

function pngOf(width: number, height: number, rows = Buffer.alloc(8)): Uint8Array {
  const chunk = (kind: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(data.length, 0);
    ends.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8);
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  const chunks = [chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))];
  return Uint8Array.from(Buffer.concat([signature, ...chunks]));
}

/** A file with other bytes at a place. */
const changed = (file: Uint8Array, at: number, bytes: readonly number[]) => {
  const copy = Uint8Array.from(file);
  copy.set(bytes, at);
  return copy;
};

const frameOf = (jpeg: Uint8Array) => jpeg.findIndex((byte, i) => byte === 0xff && jpeg[i + 1] === 0xc0);

/** The place of a box or chunk with this name. */
const boxOf = (file: Uint8Array, name: string) => Buffer.from(file).indexOf(name);

const nameOf = (ending: string, box: string) =>
  recorded.find(({ name, file }) => name.endsWith(ending) && boxOf(bytesOf(file), box) > 0)!.name;
const [avif, webp] = [nameOf('.avif', 'ispe'), nameOf('.webp', 'VP8 ')];

describe('decodeImage', () => {
  it.each(recorded.map((each) => [each.name, each] as const))('reads %s like transformers', async (name, each) => {
    const { width, height, data } = await decodeImage(bytesOf(each.file));
    expect([width, height]).toEqual([each.width, each.height]);
    const expected = bytesOf(each.pixels);
    const channels = data.length / (width * height);
    const found = Array.from(expected, (_, i) => data[channels === 1 ? Math.floor(i / 3) : i]!);
    // libavif and libheif round the colours of YUV differently.
    if (name.endsWith('.avif'))
      expect(Math.max(...found.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(2);
    else expect(found).toEqual(Array.from(expected));
  });

  const huge: [string, Uint8Array][] = [
    ['a PNG header of 60,000²', pngOf(60_000, 60_000)],
    ['a PNG header of 2³¹ − 1', pngOf(2 ** 31 - 1, 2 ** 31 - 1)],
    [
      'a JPEG header of 65,000²',
      changed(named('subsampled.jpg'), frameOf(named('subsampled.jpg')) + 5, [253, 232, 253, 232]),
    ],
    ['an AVIF header of 60,000²', changed(named(avif), boxOf(named(avif), 'ispe') + 8, [0, 0, 234, 96, 0, 0, 234, 96])],
    ['a WebP header of 16,383²', changed(named(webp), boxOf(named(webp), 'VP8 ') + 14, [255, 63, 255, 63])],
    ['a drawing', Uint8Array.from(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'))],
    [
      'a large drawing',
      Uint8Array.from(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="60000" height="60000"/>')),
    ],
    ['text', Uint8Array.from(Buffer.from('no image'))],
    ['nothing', new Uint8Array(0)],
  ];
  it.each(huge)('refuses %s, and takes no memory', async (_, file) => {
    const before = process.memoryUsage().rss;
    await expect(decodeImage(file)).rejects.toThrow(FormatError);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 2 ** 20); // 12,000² pixels would take 432 MB
  });

  it('refuses files that end early', async () => {
    for (const { name, file } of recorded.filter((each) => !each.name.startsWith('animated'))) {
      const whole = bytesOf(file);
      const cut = whole.subarray(0, Math.floor(whole.length * 0.6));
      await expect(decodeImage(cut), name).rejects.toThrow(FormatError);
    }
    await expect(decodeImage(pngOf(100, 100))).rejects.toThrow(FormatError);
    await expect(decodeImage('image.png' as never)).rejects.toThrow(ArgumentError);
  });
});
