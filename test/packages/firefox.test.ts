// The example for pages without a bundler, in Firefox: with its worker and without, isolated and not.
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import puppeteer, { type Browser } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serve } from '../browser/server.js';
import { installed, untested } from './installed.js';

const executablePath = [process.env.FIREFOX_PATH, '/usr/bin/firefox-esr', '/usr/bin/firefox'].find(
  (path) => path && existsSync(path),
);
if (!executablePath) untested('Firefox', 'it is not there (/usr/bin/firefox-esr, FIREFOX_PATH)');
const folder = executablePath && (await installed());

describe.runIf(folder)('the example without a bundler in Firefox', () => {
  const project = join(folder ?? '', 'script');
  let browser: Browser;

  beforeAll(async () => {
    const [html, main] = await Promise.all(
      ['index.html', 'main.js'].map((name) => readFile(join(project, name), 'utf8')),
    );
    await writeFile(join(project, 'here.html'), html!.replace('main.js', 'here.js'));
    await writeFile(join(project, 'here.js'), main!.replace('worker: true', ''));
    browser = await puppeteer.launch({ browser: 'firefox', executablePath, headless: true });
  });
  afterAll(() => browser?.close());

  it.each([
    ['isolated, in a worker', true, 'index.html'],
    ['isolated, in the page', true, 'here.html'],
    ['not isolated, in a worker', false, 'index.html'],
    ['not isolated, in the page', false, 'here.html'],
  ])('%s: trains and generates', async (_, isolated, file) => {
    const server = await serve({ '/': `${project}/` }, isolated);
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'warn' || message.type() === 'error') complaints.push(message.text());
    });
    try {
      await page.goto(`${server.origin}/${file}`);
      await page.waitForFunction(() => document.querySelector('#result')?.textContent?.includes('backwards'));
      const result = await page.$eval('#result', (element) => element.textContent);
      const threads = isolated ? Math.min(availableParallelism(), 64) : 1;
      expect(result).toMatch(new RegExp(`^137 backwards is 731 \\((relaxed|simd128), threads: ${threads}\\)$`));
      const reason = expect.stringMatching(/one thread: the page is not cross-origin isolated/);
      expect(complaints).toEqual(isolated || availableParallelism() === 1 ? [] : [reason]);
    } finally {
      await page.close();
      server.close();
    }
  });
});
