// Features of pages that pretrained models need: Cache storage, dropped files, and a canvas.
import { afterEach, expect, it, vi } from 'vitest';
import { openSource } from '../../src/pretrained/open-source.js';
import { decodeAudio } from '../../src/pretrained/processors/decode-audio.js';
import { decodeImage } from '../../src/pretrained/processors/decode-image.js';
import audioFiles from '../pretrained/audio-files.json' with { type: 'json' };

const sha = '0123456789abcdef0123456789abcdef01234567';
const weights = new Uint8Array((1 << 24) + 1000).map((_, i) => i >> 8); // two parts
const config = new TextEncoder().encode('{"model_type": "bert"}');

/** Compares bytes, for which `toEqual` would take minutes. */
const isSame = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** Answers as the hub does; counts what it is asked. */
function hub(): { asked: string[]; isAway: boolean } {
  const state = { asked: [] as string[], isAway: false };
  vi.stubGlobal('fetch', async (url: string, { headers }: { headers: Headers }) => {
    state.asked.push(`${url.replace('https://huggingface.co/', '')} ${headers.get('range') ?? ''}`.trim());
    if (state.isAway) throw new TypeError('Failed to fetch');
    const files = { 'config.json': config, 'model.safetensors': weights };
    if (url.includes('/api/')) {
      const siblings = Object.entries(files).map(([rfilename, data]) => ({ rfilename, size: data.length }));
      return Response.json({ sha, siblings });
    }
    const data = url.endsWith('config.json') ? config : weights;
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.get('range') ?? '');
    if (range === null) return new Response(data);
    const [from, to] = [Number(range[1]), range[2] === '' ? data.length : Number(range[2]) + 1];
    const sent = { 'content-range': `bytes ${from}-${to - 1}/${data.length}` };
    return new Response(data.slice(from, to), { status: 206, headers: sent });
  });
  return state;
}

afterEach(async () => {
  vi.unstubAllGlobals();
  await caches.delete('test');
});

it('keeps downloads from the hub in Cache storage', async () => {
  const state = hub();
  const first = await openSource('org/model', { cacheDir: 'test' });
  expect(await first.json('config.json')).toEqual({ model_type: 'bert' });
  expect(isSame(await first.bytes('model.safetensors'), weights)).toBe(true);
  expect(state.asked).toEqual([
    'api/models/org/model/revision/main?blobs=true',
    `org/model/resolve/${sha}/config.json`,
    `org/model/resolve/${sha}/model.safetensors bytes=0-16777215`,
    `org/model/resolve/${sha}/model.safetensors bytes=16777216-`,
  ]);
  state.isAway = true;
  const again = await openSource('org/model', { cacheDir: 'test' });
  expect(isSame(await again.bytes('model.safetensors'), weights)).toBe(true);
  expect(state.asked.length).toBe(5);
});

it('reads files that were dropped, and decodes an image by a canvas', async () => {
  const source = await openSource([new File([config], 'config.json'), new File([weights], 'model.safetensors')]);
  expect(await source.json('config.json')).toEqual({ model_type: 'bert' });
  expect(isSame(await source.bytes('model.safetensors'), weights)).toBe(true);

  const canvas = new OffscreenCanvas(2, 1);
  const context = canvas.getContext('2d')!;
  context.fillStyle = 'rgb(255 0 0)';
  context.fillRect(0, 0, 1, 1);
  context.fillStyle = 'rgb(0 10 250)';
  context.fillRect(1, 0, 1, 1);
  const image = await decodeImage(await canvas.convertToBlob({ type: 'image/png' }));
  expect({ ...image, data: [...image.data] }).toEqual({ width: 2, height: 1, data: [255, 0, 0, 0, 10, 250] });
  await expect(decodeImage(new Uint8Array(10))).rejects.toThrow(/not a readable image/);
});

const sounds = audioFiles.flatMap((each) => ('values' in each && each.values ? [[each.name, each] as const] : []));

it.each(sounds)('the browser decodes %s', async (name, { rate, samples, values, every, file }) => {
  const bytes = Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0));
  const { samplingRate, channels } = await decodeAudio(bytes, rate);
  expect(samplingRate).toBe(rate);
  const [sound] = channels as [Float32Array];
  // Browsers cut lossy files at the ends of their blocks.
  expect(Math.abs(sound.length - samples)).toBeLessThanOrEqual(name.endsWith('.flac') ? 0 : 0.1 * rate);
  expect(Math.max(...sound.map(Math.abs))).toBeGreaterThan(0.1);
  if (!name.endsWith('.flac')) return;
  for (const [i, value] of values.entries()) expect(Math.abs(sound[i * every]! - value)).toBeLessThan(2 ** -14);
});

it('damaged sounds are refused', async () => {
  const bytes = new TextEncoder().encode('fLaC and nothing else');
  await expect(decodeAudio(bytes)).rejects.toThrow(/the file is damaged/);
});
