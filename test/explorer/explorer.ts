// The explorer, built and served as a static host would, open in Chromium.
import { type Browser, type BrowserContextOptions, type Page, chromium as playwright } from 'playwright-core';
import { expect } from 'vitest';
import { createDevice, Transformer } from '../../src/index.js';
import { chromium } from '../browser/chromium.js';
import { type StaticServer, serve } from '../browser/server.js';
import { buildExplorer } from '../build-once.js';

/** The shipped model in Node, to compare with. */
export async function modelInNode(): Promise<Transformer> {
  return Transformer.load(await createDevice(), 'models/g2p-en');
}

/** Serves a build, below a path as on a shared host. */
export function serveExplorer(folder: string, isolated = true): Promise<StaticServer> {
  return serve({ '/some/path/': folder }, isolated);
}

/**
 * Writes a picture of the page to build/explorer/pictures, to be looked at by eye. Does nothing unless SIMDFORMER_PICTURES
 * is set, because large pictures take seconds.
 */
export async function takePicture(page: Page, name: string, fullPage = true): Promise<void> {
  if (process.env.SIMDFORMER_PICTURES) await page.screenshot({ path: `build/explorer/pictures/${name}.png`, fullPage });
}

/** A browser with the explorer in it, for the tests of one file. */
export class Explorer {
  readonly #servers: StaticServer[] = [];

  private constructor(
    private readonly browser: Browser,
    readonly folder: string,
  ) {}

  static async start(): Promise<Explorer> {
    const folder = await buildExplorer();
    return new Explorer(await playwright.launch(chromium), folder);
  }

  /** Opens a part of the page, once the first word is pronounced. */
  async open(part = 'pronounce', options: BrowserContextOptions = {}, isolated = true): Promise<ExplorerPage> {
    const server = await serveExplorer(this.folder, isolated);
    this.#servers.push(server);
    const context = await this.browser.newContext(options);
    const page = new ExplorerPage(await context.newPage());
    await page.page.goto(`${server.origin}/some/path/index.html#${part}`);
    await page.settled();
    return page;
  }

  /** Opens the page on a host that lacks a file. */
  async openWithout(file: string): Promise<Page> {
    const server = await serveExplorer(this.folder);
    this.#servers.push(server);
    const page = await this.browser.newPage();
    await page.route(`**/${file}`, (route) => route.fulfill({ status: 404 }));
    await page.goto(`${server.origin}/some/path/index.html`);
    return page;
  }

  async close(): Promise<void> {
    await this.browser.close();
    for (const server of this.#servers) server.close();
  }
}

/** A page, and what it complained about on its console. */
export class ExplorerPage {
  readonly trouble: string[] = [];

  constructor(readonly page: Page) {
    page.on('pageerror', (error) => this.trouble.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && this.trouble.push(message.text()));
  }

  /** Until the page has answered to the word. */
  async settled(): Promise<void> {
    await this.page.locator('#said[aria-busy=false]').waitFor();
  }

  async show(part: string): Promise<void> {
    await this.page.getByRole('navigation').getByRole('link', { name: part }).click();
    await this.page.getByRole('heading', { name: part, level: 2 }).waitFor();
  }

  /** Types a word and returns what the page says to it, phonemes or complaint. */
  async say(word: string): Promise<string> {
    await this.page.getByLabel('Word', { exact: true }).fill(word);
    return this.said();
  }

  async said(): Promise<string> {
    await this.settled();
    return (await this.page.locator('#said').textContent()) ?? '';
  }
}

/** Compares a number in the page, which has a true minus sign. */
export function expectNear(shown: string, expected: number, allowed: number): void {
  const shownNumber = Number.parseFloat(shown.replace('−', '-'));
  expect(Math.abs(shownNumber - expected), `${shown}, ${expected}`).toBeLessThan(allowed);
}
