import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { StaticServer } from '../browser/server.js';
import { buildExplorer } from '../build-once.js';
import { describeWith, firefox } from '../equipment.js';
import { modelInNode, serveExplorer } from './explorer.js';

/** test/backend/built.test.ts says so if not. */
describeWith(['WebAssembly', 'Firefox'], 'the explorer in Firefox', () => {
  let browser: Browser;
  let server: StaticServer;
  let page: Page;
  const trouble: string[] = [];

  beforeAll(async () => {
    server = await serveExplorer(await buildExplorer());
    browser = await puppeteer.launch({ browser: 'firefox', executablePath: firefox as string, headless: true });
    page = await browser.newPage();
    page.on('pageerror', (error) => trouble.push(String(error)));
    await page.goto(`${server.origin}/some/path/index.html`);
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  async function said(): Promise<string> {
    await page.waitForSelector('#said[aria-busy=false]');
    return page.$eval('#said', (element) => element.textContent ?? '');
  }

  it('pronounces like the model in Node', async () => {
    await page.waitForSelector('#said[aria-busy=false]', { timeout: 60_000 });
    const input = (await page.$('#word'))!;
    await input.evaluate((element) => (element as HTMLInputElement).select());
    await input.type('phoenix');
    const model = await modelInNode();
    const { source, target } = model.tokenizers;
    const { sequences } = await model.generate([source?.encode('phoenix') as number[]]);
    expect(await said()).toBe(target?.decode(sequences[0] as number[]));
  });

  it.each(['look-inside', 'follow-numbers', 'positions', 'bring'])('shows %s', async (part) => {
    await page.evaluate((hash) => {
      location.hash = hash;
    }, part);
    await page.waitForSelector('main .figure');
    expect(trouble).toEqual([]);
  });

  it('trains a model', async () => {
    await page.evaluate(() => {
      location.hash = 'teach';
    });
    await page.waitForSelector('.enrolment');
    await (await page.waitForSelector('text/Small'))?.click();
    await (await page.waitForSelector('text/Start teaching'))?.click();
    await page.waitForFunction(() => Number(document.querySelector('.facts dd')?.textContent) > 20, {
      timeout: 90_000,
    });
    await (await page.waitForSelector('text/Pause'))?.click();
    await page.waitForSelector('text/Resume');
    expect(trouble).toEqual([]);
  });
});
