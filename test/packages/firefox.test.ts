// The example for pages without a bundler, in Firefox: with its worker and without, isolated and not.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import puppeteer, { type Browser } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serve } from '../browser/server.js';
import { firefox, reasonAgainst, untested } from '../equipment.js';
import { installed } from './installed.js';

const folder = firefox && (await installed());
if (!firefox) untested('the example without a bundler in Firefox', reasonAgainst('Firefox') as string);

if (folder) {
  describe('the example without a bundler in Firefox', () => {
    const project = join(folder ?? '', 'script');
    let browser: Browser;

    beforeAll(async () => {
      const [html, main] = await Promise.all(
        ['index.html', 'main.js'].map((name) => readFile(join(project, name), 'utf8')),
      );
      await writeFile(join(project, 'here.html'), html!.replace('main.js', 'here.js'));
      await writeFile(join(project, 'here.js'), main!.replace('worker: true', ''));
      browser = await puppeteer.launch({ browser: 'firefox', executablePath: firefox as string, headless: true });
    });
    afterAll(() => browser?.close());

    it.each([
      ['isolated, in a worker', 2, 'index.html'],
      ['isolated, in the page', 3, 'here.html'],
      ['not isolated, in a worker', 1, 'index.html'],
      ['not isolated, in the page', 1, 'here.html'],
    ])('%s: trains and generates', async (_, threads, file) => {
      const isolated = threads > 1;
      const server = await serve({ '/': `${project}/` }, isolated);
      const page = await browser.newPage();
      const complaints: string[] = [];
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('console', (message) => {
        if (message.type() === 'warn' || message.type() === 'error') complaints.push(message.text());
      });
      try {
        await page.evaluateOnNewDocument(() => Object.defineProperty(navigator, 'hardwareConcurrency', { value: 3 }));
        await page.goto(`${server.origin}/${file}`);
        const isDone = () => document.querySelector('#result')?.textContent?.includes('backwards');
        await page.waitForFunction(isDone, { polling: 100 }); // a page in the background draws no frames
        const result = await page.$eval('#result', (element) => element.textContent);
        expect(result).toMatch(new RegExp(`^137 backwards is 731 \\((relaxed|simd128), threads: ${threads}\\)$`));
        const reason = expect.stringMatching(/one thread: the page is not cross-origin isolated/);
        expect(complaints).toEqual(isolated ? [] : [reason]);
      } finally {
        await page.close();
        server.close();
      }
    });
  });
}
