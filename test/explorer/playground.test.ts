// The playground in Chromium, with small models: each tab, the page without a network, and its size.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDevice, type Device } from '../../src/index.js';
import { encodeImage } from '../../src/pretrained/processors/decode-image.js';
import { writeWav } from '../../src/pretrained/processors/wav.js';
import { pipeline } from '../../src/tasks/index.js';
import { chromium } from '../browser/chromium.js';
import type { StaticServer } from '../browser/server.js';
import { describeWith } from '../equipment.js';
import { standInForHub } from '../site/hub.js';
import { programModel } from '../tasks/program-models.js';
import { serveExplorer, takePicture } from './explorer.js';

describeWith(['WebAssembly', 'Chromium'], 'the playground', () => {
  const outDir = `${process.cwd()}/build/explorer/playground`;
  let browser: Browser;
  let server: StaticServer;
  let device: Device;
  beforeAll(async () => {
    await build({ configFile: 'examples/playground/vite.config.ts', build: { outDir }, logLevel: 'error' });
    server = await serveExplorer(`${outDir}/`);
    browser = await playwright.launch(chromium);
    device = await createDevice();
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
    device?.dispose();
  });

  /** Opens a tab, and answers for the hub with small models. `trouble` lists the errors of the page. */
  async function open(tab: string) {
    const context = await browser.newContext({ viewport: { width: 360, height: 740 }, serviceWorkers: 'block' });
    const stop = await standInForHub(context);
    const page = await context.newPage();
    const trouble: string[] = [];
    page.on('pageerror', (error) => trouble.push(String(error)));
    await page.goto(`${server.origin}/some/path/index.html`);
    await page.getByRole('tab', { name: tab }).click();
    const close = async () => {
      await context.close();
      await stop();
    };
    return { page, trouble, close };
  }

  async function load(page: Page, id: string) {
    await page.getByLabel('Model', { exact: true }).fill(id);
    await page.getByRole('button', { name: 'Load', exact: true }).click();
    await page.getByText(`${id} is loaded.`).waitFor();
  }

  it('chats: streams, edits, retries, and follows a schema', async () => {
    const { page, trouble, close } = await open('Chat');
    await page.getByLabel('Model', { exact: true }).fill('nobody/nothing');
    await page.getByRole('button', { name: 'Load', exact: true }).click();
    await page
      .locator('.news.wrong')
      .getByText(/nobody\/nothing/)
      .waitFor();
    await load(page, 'HuggingFaceTB/SmolLM2-135M-Instruct');
    const message = page.getByLabel('Message');
    const answer = page.locator('.messages .assistant p');
    const idle = () => page.getByRole('button', { name: 'Retry' }).and(page.locator(':enabled')).waitFor();
    await message.fill('Tom had a');
    await message.press('Enter');
    await idle();
    const first = await answer.textContent();
    expect(first).not.toBe('');
    await page.getByRole('button', { name: 'Retry' }).click();
    await idle();
    expect(await answer.count()).toBe(1);
    await page.getByRole('button', { name: 'Edit' }).click();
    expect(await message.inputValue()).toBe('Tom had a');
    expect(await answer.count()).toBe(0);
    await page.getByText('System prompt, schema and tools').click();
    await page.getByLabel('Schema of the answer').fill('{ "type": ');
    await page.getByRole('button', { name: 'Send' }).click();
    await page
      .getByRole('alert')
      .getByText(/^Schema: /)
      .waitFor();
    await page.getByLabel('Schema of the answer').fill('{ "enum": ["yes", "no"] }');
    await message.fill('Is it?');
    await page.getByRole('button', { name: 'Send' }).click();
    await page
      .locator('.messages .assistant')
      .getByText(/^"(yes|no)"$/)
      .waitFor();
    expect(await page.locator('#kernels').textContent()).toMatch(/^relaxed, threads: \d/);
    expect(Number.parseFloat((await page.locator('#memory').textContent()) ?? '')).toBeGreaterThan(0);
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    await takePicture(page, 'playground-chat');
    await page.setViewportSize({ width: 360, height: 500 });
    await page.evaluate('scrollTo(0, 0)');
    const bottom = await page
      .getByRole('button', { name: 'Stop' })
      .evaluate((each) => each.getBoundingClientRect().bottom);
    expect(bottom, 'the buttons of a long conversation stay in view').toBeLessThanOrEqual(500);
    expect(trouble).toEqual([]);
    await close();
  });

  it('finds passages of files by their meaning', async () => {
    const { page, trouble, close } = await open('Search');
    await load(page, 'sentence-transformers/all-MiniLM-L6-v2');
    const text = ['The cat sleeps on the sofa.', 'Stocks fell sharply.'].map((line) => line.padEnd(590, '.'));
    const note = { name: 'note.txt', mimeType: 'text/plain', buffer: Buffer.from(text.join('\n\n')) };
    await page.locator('input[accept^=".txt"]').setInputFiles([note]);
    await page.getByText('2 passages of 1 files.').waitFor();
    await page.getByLabel('Question').fill(text[0] as string);
    await page.getByRole('button', { name: 'Search', exact: true }).click();
    const found = page.getByRole('list', { name: 'Found passages' }).getByRole('listitem');
    await found.first().waitFor();
    expect(await found.count()).toBe(2);
    expect(await found.first().textContent()).toMatch(/^note\.txt \d\.\d+The cat sleeps/);
    await takePicture(page, 'playground-search');
    expect(trouble).toEqual([]);
    await close();
  });

  it('transcribes a recording', async () => {
    const { page, trouble, close } = await open('Transcribe');
    await load(page, 'openai/whisper-tiny.en');
    const sound = Float32Array.from({ length: 16_000 }, (_, i) => 0.3 * Math.sin(i / (10 + i / 2000)));
    const input = page.locator('input[accept^="audio"]');
    await input.setInputFiles([{ name: 'a.txt', mimeType: 'audio/wav', buffer: Buffer.from('no sound') }]);
    await page.getByRole('alert').waitFor();
    await input.setInputFiles([{ name: 'a.wav', mimeType: 'audio/wav', buffer: Buffer.from(writeWav(sound, 16_000)) }]);
    const written = page.locator('output').getByText(/\(\d+\.\d s\)$/);
    await written.waitFor();
    await using transcribe = await pipeline('automatic-speech-recognition', 'test/tasks/whisper', { device });
    const { text } = await transcribe(sound);
    expect((await written.textContent())?.split('\n')[0]).toBe(text.trim());
    expect(await page.getByRole('alert').count()).toBe(0);
    expect(trouble).toEqual([]);
    await close();
  });

  it('finds objects, describes images, and cuts them out', async () => {
    const { page, trouble, close } = await open('Images');
    const draw = async (width: number, height: number) => {
      const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (3 * i * i + 150) % 251);
      return Buffer.from(await encodeImage({ width, height, data }));
    };
    const [small, large] = [await draw(12, 12), await draw(64, 32)];
    const look = async (task: string, model: string, buffer: Buffer) => {
      await page.getByRole('combobox', { name: 'Task' }).selectOption(task);
      await load(page, model);
      await page.locator('input[accept="image/*"]').setInputFiles([{ name: 'a.png', mimeType: 'image/png', buffer }]);
      await page
        .locator('output:not(:empty)')
        .getByText(/^(?!Looking)/)
        .or(page.getByRole('alert'))
        .waitFor();
      expect(await page.getByRole('alert').allTextContents()).toEqual([]);
      return page.locator('output').textContent();
    };
    const pixel = () =>
      page.locator('canvas').evaluate((canvas: HTMLCanvasElement) => {
        const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((_, i) => i % 4 === 3 && data[i] === 0).length;
      });
    expect(await look('Find objects', 'facebook/detr-resnet-50', small)).toMatch(/^Nothing found\.$|^\S.* \d+ %/);
    expect(await pixel(), 'no transparent pixels').toBe(0);
    await using describe = await pipeline('image-to-text', programModel('vision-gpt2'), { device });
    const [description] = await describe(small);
    expect(await look('Describe', 'microsoft/trocr-small-printed', small)).toBe(
      description!.generated_text || 'No text found.',
    );
    expect(await look('Cut out', 'apple/deeplabv3-mobilevit-small', large)).toMatch(/transparent/);
    await using remove = await pipeline('background-removal', programModel('segformer-background'), { device });
    const cut = await remove(large);
    expect(await pixel()).toBe(cut.data.filter((alpha, i) => i % 4 === 3 && alpha === 0).length);
    expect(trouble).toEqual([]);
    await close();
  });

  it('sorts texts into classes', async () => {
    const { page, trouble, close } = await open('Classify');
    await load(page, 'Xenova/nli-deberta-v3-xsmall');
    await page.getByLabel('Texts, one a line').fill('w1 w2 w3');
    await page.getByLabel('Labels, separated by commas').fill('w4, w5');
    await page.getByRole('button', { name: 'Classify' }).click();
    const found = page.getByRole('list', { name: 'Classes' }).locator('.row');
    await found.first().waitFor();
    await using classify = await pipeline('zero-shot-classification', programModel('bert-nli'), { device });
    const { labels, scores } = await classify('w1 w2 w3', ['w4', 'w5']);
    const expected = labels.map((label, i) => `${label}: ${(100 * scores[i]!).toFixed(1)} %`);
    expect((await found.allTextContents()).map((text) => text.trim())).toEqual(expected);
    expect(trouble).toEqual([]);
    await close();
  });

  it('learns examples, and learns again with another model', async () => {
    const { page, trouble, close } = await open('Fine-tune');
    for (const _ of [1, 2]) {
      await load(page, 'HuggingFaceTB/SmolLM2-135M');
      expect(await page.getByRole('button', { name: 'Download the adapter' }).isDisabled()).toBe(true);
      await page.getByLabel(/^Examples/).fill('the red one → a\nthe blue one → b');
      await page.getByRole('button', { name: 'Learn 2 examples' }).click();
      await page.getByRole('button', { name: 'Download the adapter' }).and(page.locator(':enabled')).waitFor();
      expect(await page.locator('output').textContent()).toMatch(/^Step (\d+) of \1, loss \d+\.\d{3}$/);
      await page.getByLabel('Ask it').fill('the red one');
      await page.getByRole('button', { name: 'Ask', exact: true }).click();
      await page
        .locator('output')
        .getByText(/^the red one → /)
        .waitFor();
      expect(await page.getByRole('alert').count()).toBe(0);
    }
    const downloads: string[] = [];
    page.on('download', (download) => downloads.push(download.suggestedFilename()));
    await page.getByRole('button', { name: 'Download the adapter' }).click();
    const files = ['adapter_config.json', 'adapter_model.safetensors', 'tokenizer.json'];
    await expect.poll(() => downloads).toEqual(expect.arrayContaining(files));
    expect(trouble).toEqual([]);
    await close();
  });

  it('opens without a network after the first visit', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${server.origin}/some/path/index.html`);
    // The kernels of packed weights are loaded by the engine's worker, as soon as such a model is.
    await page.locator('.button input[type=file]').first().setInputFiles('test/data/gguf/llama.Q8_0.gguf');
    await page.locator('dd').getByText('yes').waitFor();
    await page
      .locator('.news')
      .getByText(/^llama\.Q8_0\.gguf is loaded|template/)
      .waitFor();
    const kept = await page.evaluate(async () =>
      (await (await caches.open('playground-1')).keys()).map(({ url }) => url),
    );
    expect(kept.filter((url) => /-packed-.*\.wasm$/.test(url))).toHaveLength(1);
    await context.setOffline(true);
    await page.reload();
    await page.getByRole('tab', { name: 'Search' }).click();
    await page.getByText('Add text files').waitFor();
    await context.close();
  });

  it('loads at most 126 kB before a model does', async () => {
    const page = await browser.newPage();
    const loaded: string[] = [];
    page.on('response', (response) => loaded.push(new URL(response.url()).pathname.replace('/some/path/', '')));
    await page.goto(`${server.origin}/some/path/index.html`);
    await page.getByLabel('Message').waitFor();
    const sizes = await Promise.all(
      [...new Set(loaded)].map(async (path) => gzipSync(await readFile(join(outDir, path))).length),
    );
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(126_000);
    await page.close();
  });
});
