// The playground in Firefox, with small models: a conversation and a search.
import { writeFileSync } from 'node:fs';
import puppeteer, { type Browser, type ElementHandle, type HTTPRequest, type Page } from 'puppeteer-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { StaticServer } from '../browser/server.js';
import { describeWith, firefox } from '../equipment.js';
import { smallHub } from '../site/hub.js';
import { serveExplorer } from './explorer.js';

/** test/backend/built.test.ts says so if not. */
describeWith(['WebAssembly', 'Firefox'], 'the playground in Firefox', () => {
  const outDir = `${process.cwd()}/build/explorer/playground-firefox`;
  let browser: Browser;
  let server: StaticServer;
  let hub: Awaited<ReturnType<typeof smallHub>>;
  beforeAll(async () => {
    await build({ configFile: 'examples/playground/vite.config.ts', build: { outDir }, logLevel: 'error' });
    server = await serveExplorer(`${outDir}/`);
    hub = await smallHub();
    browser = await puppeteer.launch({ browser: 'firefox', executablePath: firefox as string, headless: true });
  });
  afterAll(async () => {
    await browser?.close();
    await hub?.stop();
    server?.close();
  });

  /** Answers a request for the hub from the local one. */
  async function answer(request: HTTPRequest): Promise<void> {
    const { host, pathname, search } = new URL(request.url());
    if (host !== 'huggingface.co') return request.continue();
    const { range } = request.headers();
    const response = await fetch(`${hub.endpoint}${pathname}${search}`, { headers: range ? { range } : {} });
    const headers: Record<string, string> = { 'access-control-allow-origin': '*' };
    response.headers.forEach((value, name) => {
      headers[name] = value;
    });
    return request.respond({ status: response.status, headers, body: Buffer.from(await response.arrayBuffer()) });
  }

  /** Opens a tab, and loads a model there. `trouble` lists the errors of the page. */
  async function open(tab: string, id: string): Promise<{ page: Page; trouble: string[] }> {
    const page = await browser.newPage();
    const trouble: string[] = [];
    page.on('pageerror', (error) => trouble.push(String(error)));
    await page.setRequestInterception(true);
    page.on('request', (request) => void answer(request));
    await page.goto(`${server.origin}/some/path/index.html`);
    await page.locator(`#tab-${tab}`).click();
    await page.locator('input[list]').fill(id);
    await page.locator('::-p-text(Load)').click();
    await page.waitForSelector(`::-p-text(${id} is loaded.)`);
    return { page, trouble };
  }

  it('chats', async () => {
    const { page, trouble } = await open('Chat', 'HuggingFaceTB/SmolLM2-135M-Instruct');
    await page.locator('.grow textarea').fill('Tom had a');
    await page.locator('button.main').click();
    await page.waitForFunction(() =>
      Array.from(document.querySelectorAll('button')).some((each) => each.textContent === 'Retry' && !each.disabled),
    );
    const answers = await page.$$eval('.messages .assistant p', (found) => found.map((each) => each.textContent));
    expect(answers).toHaveLength(1);
    expect(answers[0]).not.toBe('');
    expect(await page.$eval('#kernels', (found) => found.textContent)).toMatch(/^(relaxed|simd128), threads: \d/);
    expect(trouble).toEqual([]);
    await page.close();
  });

  it('finds passages of files by their meaning', async () => {
    const { page, trouble } = await open('Search', 'sentence-transformers/all-MiniLM-L6-v2');
    const file = `${outDir}/note.txt`;
    const lines = ['The cat sleeps on the sofa.', 'Stocks fell sharply.'];
    writeFileSync(file, lines.map((line) => line.padEnd(590, '.')).join('\n\n'));
    const input = (await page.waitForSelector('input[accept^=".txt"]')) as ElementHandle<HTMLInputElement>;
    await input.uploadFile(file);
    await page.waitForSelector('::-p-text(2 passages of 1 files.)');
    await page.locator('.grow input').fill(lines[0]!.padEnd(590, '.'));
    await page.locator('button.main').click();
    const found = await page.waitForSelector('[aria-label="Found passages"] li');
    expect(await found?.evaluate((each) => each.textContent)).toMatch(/^note\.txt \d\.\d+The cat sleeps/);
    expect(trouble).toEqual([]);
    await page.close();
  });
});
