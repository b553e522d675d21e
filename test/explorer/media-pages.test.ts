// The pages of examples/media in Chromium, with small models of random weights, made pictures and a made microphone.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import { encodeImage } from '../../src/pretrained/processors/decode-image.js';
import { writeWav } from '../../src/pretrained/processors/wav.js';
import { pipeline } from '../../src/tasks/index.js';
import { chromium } from '../browser/chromium.js';
import type { StaticServer } from '../browser/server.js';
import { describeWith } from '../equipment.js';
import { serveExplorer, takePicture } from './explorer.js';

const RATE = 16_000;
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
type Files = Record<string, Buffer>;

/** The files of a small checkpoint, with further ones. */
function checkpoint(name: string, more: Files, changes: object = {}): Files {
  const read = (file: string) => readFileSync(`test/data/families/${name}/${file}`);
  const config = { ...JSON.parse(`${read('config.json')}`), ...changes };
  return { 'config.json': json(config), 'model.safetensors': read('model.safetensors'), ...more };
}

const words = (count: number, decoder: object | null) => {
  const vocab = Object.fromEntries(Array.from({ length: count }, (_, i) => [decoder ? `▁t${i}` : `w${i}`, i]));
  return json({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    post_processor: null,
    pre_tokenizer: decoder ?? { type: 'WhitespaceSplit' },
    decoder,
    model: { type: 'WordLevel', vocab, unk_token: decoder ? '▁t1' : 'w1' },
  });
};

const picture = (seed: number, width = 40, height = 30) => ({
  width,
  height,
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * i * seed + seed * 50) % 251),
});

describeWith(['WebAssembly', 'Chromium'], 'pages of speech and images', () => {
  const outDir = `${process.cwd()}/build/explorer/media`;
  const folder = mkdtempSync(join(tmpdir(), 'simdformer-media-'));
  const sound = join(folder, 'sound.wav');
  let browser: Browser;
  let server: StaticServer;
  beforeAll(async () => {
    await build({ configFile: 'examples/media/vite.config.ts', build: { outDir }, logLevel: 'error' });
    server = await serveExplorer(`${outDir}/`);
    const tone = Float32Array.from({ length: 4 * RATE }, (_, i) =>
      i < 2 * RATE ? 0.4 * Math.sin(0.03 * i + 1e-6 * i * i) : 0,
    );
    writeFileSync(sound, writeWav(tone, RATE));
    const fake = ['use-fake-device-for-media-stream', 'use-fake-ui-for-media-stream'];
    const microphone = [...fake, `use-file-for-fake-audio-capture=${sound}`].map((option) => `--${option}`);
    browser = await playwright.launch({ ...chromium, args: [...(chromium?.args ?? []), ...microphone] });
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function open(name: string, files: Files): Promise<{ page: Page; trouble: string[] }> {
    const page = await browser.newPage({ viewport: { width: 800, height: 700 } });
    const trouble: string[] = [];
    page.on('pageerror', (error) => trouble.push(String(error)));
    await page.goto(`${server.origin}/some/path/${name}.html`);
    const model = mkdtempSync(join(folder, 'model-'));
    for (const [file, content] of Object.entries(files)) writeFileSync(join(model, file), content);
    await page.locator('input[name=folder]').setInputFiles(model);
    await page.getByRole('button', { name: 'Load' }).click();
    await page.getByRole('status').getByText('The model is loaded.').waitFor();
    return { page, trouble };
  }
  const shoot = (page: Page, name: string) => takePicture(page, `media-${name}`, false);

  it('captions: the text of the microphone', async () => {
    const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };
    const { vocab_size: count } = JSON.parse(readFileSync('test/data/families/moonshine/config.json', 'utf8'));
    const files = checkpoint('moonshine', {
      'generation_config.json': readFileSync('test/data/families/moonshine/generation_config.json'),
      'preprocessor_config.json': json({ feature_extractor_type: 'Wav2Vec2FeatureExtractor', do_normalize: false }),
      'tokenizer.json': words(count, metaspace),
    });
    const { page, trouble } = await open('captions', files);
    await page.getByRole('button', { name: 'Listen' }).click();
    await page.getByRole('status').getByText('Listening').waitFor();
    await page.locator('#final').getByText(/t\d/).waitFor(); // final after the pause
    await shoot(page, 'captions');
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('status').getByText('Stopped').waitFor();
    expect(await page.locator('#captions').textContent()).toMatch(/^t\d+/);
    expect(trouble).toEqual([]);
    await page.close();
  });

  it('photos: the best one first', async () => {
    const size = JSON.parse(readFileSync('test/data/families/siglip/config.json', 'utf8'));
    const files: Files = {
      'config.json': readFileSync('test/data/families/siglip/config.json'),
      'model.safetensors': readFileSync('test/data/families/siglip/model.safetensors'),
      'preprocessor_config.json': json({
        image_processor_type: 'SiglipImageProcessor',
        size: { height: size.vision_config.image_size, width: size.vision_config.image_size },
      }),
      'tokenizer.json': words(size.text_config.vocab_size, null),
      'tokenizer_config.json': json({ pad_token: 'w1', unk_token: 'w1' }),
    };
    const photos = await Promise.all([1, 2, 3].map(async (seed) => Buffer.from(await encodeImage(picture(seed)))));
    const { page, trouble } = await open('photos', files);
    const uploads = photos.map((buffer, i) => ({ name: `photo-${i}.png`, mimeType: 'image/png', buffer }));
    await page.locator('#photos').setInputFiles(uploads);
    await page.getByLabel('Words').fill('w20 w31');
    await page.getByRole('button', { name: 'Search' }).click();
    await page.getByRole('status').getByText('3 photos, the best first.').waitFor();
    const lines = await page.locator('#found li').allTextContents();
    await shoot(page, 'photos');

    const device = await createDevice();
    const compare = await pipeline('zero-shot-image-classification', files, { device });
    const scores = await Promise.all(photos.map(async (photo) => (await compare(photo, ['w20 w31']))[0]!.score));
    const order = scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!);
    expect(lines.map((line) => line.split(' ')[0])).toEqual(order.map((i) => `photo-${i}.png`));
    for (const [i, line] of lines.entries()) expect(Number(line.split(' ')[1]) / scores[order[i]!]!).toBeCloseTo(1, 2);
    device.dispose();
    expect(trouble).toEqual([]);
    await page.close();
  });

  it('cut-out: the picture without its background', async () => {
    const processor = { image_processor_type: 'SegformerImageProcessor', size: { height: 64, width: 32 } };
    const labels = { id2label: { 0: 'Background', 1: 'b', 2: 'c', 3: 'd', 4: 'e' } };
    const files = checkpoint('segformer', { 'preprocessor_config.json': json(processor) }, labels);
    const { page, trouble } = await open('cut-out', files);
    const png = Buffer.from(await encodeImage(picture(3)));
    await page.locator('#picture').setInputFiles([{ name: 'a.png', mimeType: 'image/png', buffer: png }]);
    await page.getByRole('status').getByText('40 × 30 pixels').waitFor();
    await shoot(page, 'cut-out');
    const alphas: number[] = await page.locator('#cut').evaluate((canvas: unknown) => {
      const drawn = canvas as { width: number; height: number; getContext(kind: string): never };
      const context: { getImageData(...sides: number[]): { data: Uint8ClampedArray } } = drawn.getContext('2d');
      return [...context.getImageData(0, 0, drawn.width, drawn.height).data].filter((_, i) => i % 4 === 3);
    });
    const device = await createDevice();
    const remove = await pipeline('background-removal', files, { device });
    const expected = await remove(png);
    const own = Array.from({ length: 1200 }, (_, i) => expected.data[i * 4 + 3]!);
    const odd = alphas.filter((alpha, i) => alpha !== own[i]).length;
    expect(odd).toBeLessThanOrEqual(12); // logits that are equal but for rounding
    expect(new Set(own).size).toBe(2);
    device.dispose();
    await page.getByRole('link', { name: 'Save as PNG' }).waitFor();
    const message = 'background-removal: the labels of the model';
    expect(await page.getByRole('status').textContent()).not.toContain(message);
    expect(trouble).toEqual([]);
    await page.close();
  });
});
