// The page that teaches a model in a tab: it learns, answers, and gives its adapter away as PEFT writes it.
import { readFile } from 'node:fs/promises';
import { type Browser, chromium as playwright } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadLora } from '../../src/finetune/index.js';
import { createDevice } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/index.js';
import { chromium } from '../browser/chromium.js';
import type { StaticServer } from '../browser/server.js';
import { describeWith } from '../equipment.js';
import { testData } from '../test-data.js';
import { serveExplorer, takePicture } from './explorer.js';

const folder = `${testData('checkpoints/tinystories-656k').path}/`;

describeWith(['WebAssembly', 'Chromium'], 'a page that teaches', () => {
  let browser: Browser;
  let server: StaticServer;
  beforeAll(async () => {
    const outDir = `${process.cwd()}/build/explorer/finetune`;
    await build({ configFile: 'examples/finetune/vite.config.ts', build: { outDir }, logLevel: 'error' });
    server = await serveExplorer(`${outDir}/`);
    browser = await playwright.launch(chromium);
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  it('trains, answers, and downloads its adapter', async () => {
    const page = await browser.newPage({ viewport: { width: 360, height: 740 } });
    const trouble: string[] = [];
    page.on('pageerror', (error) => trouble.push(String(error)));
    await page.goto(`${server.origin}/some/path/index.html`);
    await page.locator('#examples-news').getByText('200 examples.').waitFor();
    const files = [
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ];
    await page.locator('#files').setInputFiles([`${folder}config.json`]);
    await page.locator('#model-news.wrong').getByText('model.safetensors').waitFor();
    await page.locator('#files').setInputFiles(files.map((name) => `${folder}${name}`));
    await page.locator('#model-news').getByText('A llama is here').waitFor();
    await page.locator('#examples').fill('no arrow');
    await page.locator('#examples-news.wrong').getByText('Line 1 has no →').waitFor();
    expect(await page.locator('#teach').isDisabled()).toBe(true);
    const pairs = ['red', 'blue', 'green', 'big', 'small', 'old'].map((word, i) => `the ${word} one → ${'abcdef'[i]}`);
    await page.locator('#examples').fill(pairs.join('\n'));
    await page.locator('#passes').fill('60');
    await page.locator('#rate').fill('0.01');
    await page.locator('#teach').click();
    await page
      .locator('#teach-news')
      .getByText(/^Learnt after \d+ s\.$/)
      .waitFor({ timeout: 150_000 });
    expect(await page.locator('#curve').getAttribute('aria-label')).toMatch(/The loss: \d.* at first, now 0\.\d+/);
    const asked = async (text: string) => {
      await page.locator('#prompt').fill(text);
      await page.locator('#ask').click();
      await page.locator('#ask:not([disabled])').waitFor();
      return [await page.locator('#with').textContent(), await page.locator('#without').textContent()];
    };
    const [learnt, before] = await asked('the green one');
    expect(learnt).toBe('c');
    expect(before).not.toBe('c');
    await takePicture(page, 'finetune narrow');
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);

    const downloads: Record<string, string> = {};
    page.on('download', (download) => {
      void download.path().then((path) => {
        downloads[download.suggestedFilename()] = path;
      });
    });
    await page.locator('#save').click();
    await expect.poll(() => Object.keys(downloads).length, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
    const model = await loadModel(await createDevice({ threads: 1 }), folder);
    const given = await Promise.all(
      ['adapter_config.json', 'adapter_model.safetensors'].map(
        async (name) => [name, new Uint8Array(await readFile(downloads[name]!))] as const,
      ),
    );
    await loadLora(model, Object.fromEntries(given));
    const { inputIds } = model.tokenizer!.encodeBatch(['the green one\n→', 'the old one\n→']);
    const { sequences } = await model.generate(inputIds, { numBeams: 1, doSample: false, maxNewTokens: 64 });
    expect(sequences.map((ids) => model.tokenizer!.decode(ids).trim())).toEqual(['c', 'f']);
    expect(trouble).toEqual([]);
    await page.close();
  });
});
