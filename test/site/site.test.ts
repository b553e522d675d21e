// The built documentation site in Chromium, as a static host serves it.
import { readdirSync, readFileSync } from 'node:fs';
import type { AxeResults } from 'axe-core';
import { type Browser, type BrowserContext, chromium as playwright } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chromium } from '../browser/chromium.js';
import { type StaticServer, serve } from '../browser/server.js';
import { standInForHub } from './hub.js';

const built = 'docs/.vitepress/dist/';
const pages = readdirSync(built).filter((name) => name.endsWith('.html') && name !== '404.html');
const snippetsOf = (page: string) => readFileSync(`${built}${page}`, 'utf8').match(/class="snippet[ "]/g)?.length ?? 0;
const snippets = pages.flatMap((page) => Array.from({ length: snippetsOf(page) }, (_, i) => [page, i] as const));

let server: StaticServer;
let browser: Browser;
let context: BrowserContext;
let stopHub: () => Promise<void>;

beforeAll(async () => {
  server = await serve({ '/': built }, true);
  browser = await playwright.launch(chromium);
  context = await browser.newContext();
  stopHub = await standInForHub(context);
});

afterAll(async () => {
  await browser.close();
  await stopHub();
  server.close();
});

describe('snippets', () => {
  it('exist on the pages', () => expect(snippets.length).toBeGreaterThanOrEqual(12));

  it.each(snippets)('%s, number %i, runs in the page', { timeout: 120_000 }, async (name, i) => {
    const page = await context.newPage();
    await page.goto(`${server.origin}/${name}`);
    const snippet = page.locator('.snippet').nth(i);
    // A tab that is not chosen is hidden.
    await snippet.locator('button.run').evaluate((button: HTMLElement) => button.click());
    await page.waitForSelector('.snippet[data-state=done], .snippet[data-state=failed]', {
      state: 'attached',
      timeout: 110_000,
    });
    const output = await snippet.locator('output').textContent();
    expect(await snippet.getAttribute('data-state'), `${output}`).toBe('done');
    expect(output).not.toBe('');
    if (name === 'index.html' && i === 2) expect(output).toContain('efacdab');
    await page.close();
  });
});

/** The programs of the API's pages. One example can be on several pages. */
function apiSnippets(): string[] {
  const files = readdirSync(`${built}api`, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.html'),
  );
  const found = files.flatMap((name) =>
    Array.from(readFileSync(`${built}api/${name}`, 'utf8').matchAll(/data-code="([^"]*)"/g), ([, code = '']) => code),
  );
  return [...new Set(found)];
}

describe('examples of the API', () => {
  it('run in the page', { timeout: 600_000 }, async () => {
    const codes = apiSnippets();
    expect(codes.length).toBeGreaterThan(100);
    const page = await context.newPage();
    await page.goto(`${server.origin}/api/index.html`);
    const failed = await page.evaluate(async (all) => {
      const failures: string[] = [];
      for (const escaped of all) {
        const code = new DOMParser().parseFromString(escaped, 'text/html').documentElement.textContent ?? '';
        const worker = new Worker('/run-worker.js', { type: 'module' });
        const end = await new Promise<string>((resolve) => {
          worker.onerror = ({ message }) => resolve(message);
          worker.onmessage = ({ data }) => {
            if ('error' in data) resolve(data.error);
            else if ('isDone' in data) resolve('done');
          };
          worker.postMessage(code);
        });
        worker.terminate();
        if (end !== 'done') failures.push(`${end}\n${code}`);
      }
      return failures;
    }, codes);
    expect(failed).toEqual([]);
    await page.close();
  });
});

describe('pages', () => {
  it.each(pages)('%s is accessible in both colour schemes, and fits 360 pixels', { timeout: 60_000 }, async (name) => {
    const page = await browser.newPage({ colorScheme: 'light', viewport: { width: 360, height: 740 } });
    await page.goto(`${server.origin}/${name}`);
    await page.addScriptTag({ path: 'node_modules/axe-core/axe.min.js' });
    const violations = async (rules: string) => {
      const found = await page.evaluate<AxeResults>(`axe.run({ runOnly: [${rules}] })`);
      return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join('\n')}`);
    };
    expect(await violations('"wcag2a", "wcag2aa", "wcag21a", "wcag21aa"')).toEqual([]);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.waitForFunction('document.documentElement.classList.contains("dark")');
    expect(await violations('"color-contrast"')).toEqual([]); // other rules do not depend on colours
    await page.close();
  });
});

describe('search', () => {
  it('finds a class of the API', async () => {
    const page = await browser.newPage();
    await page.goto(`${server.origin}/index.html`);
    await page.locator('button', { hasText: 'Search' }).first().click();
    await page.locator('#localsearch-input').fill('MultiHeadAttention');
    await page.locator('.result', { hasText: 'MultiHeadAttention' }).first().waitFor();
    await page.close();
  });
});
