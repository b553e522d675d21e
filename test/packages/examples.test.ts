// The example projects, installed from the packed package, built by their own scripts, and opened in Chromium.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build as esbuild } from 'esbuild';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { chromium } from '../browser/chromium.js';
import { isolation, serve } from '../browser/server.js';
import { run } from '../build-once.js';
import { reasonAgainst, untested } from '../equipment.js';
import { installed } from './installed.js';

const folder = chromium && (await installed());
if (!chromium) untested('the examples', reasonAgainst('Chromium') as string);

interface Extensions {
  readonly chrome: { readonly developerPrivate: { getExtensionsInfo(): Promise<{ id: string; name: string }[]> } };
}

/** A worker leaves one core to the page, so two threads remain on any machine. */
const CORES = 3;

const trained = /^137 backwards is 731 \((\w+), threads: (\d+)\)$/;

/** Output and errors of a page until its model has been trained. */
async function resultOf(page: Page, url: string) {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'warning' || message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.addInitScript((value) => {
    Object.defineProperty(navigator, 'hardwareConcurrency', { value });
  }, CORES);
  await page.goto(url);
  const shown = page.locator('#result');
  await page
    .waitForFunction(() => document.querySelector('#result')?.textContent?.includes('backwards'))
    .catch(async (cause) => {
      throw new Error(`the page shows ${await shown.textContent()}, and says ${complaints.join('\n')}`, { cause });
    });
  const [, isa, threads] = (await shown.textContent())?.match(trained) ?? [];
  return { isa, threads: Number(threads), complaints };
}

if (folder) {
  describe('the example', { timeout: 240_000 }, () => {
    const project = (name: string) => join(folder as string, name);
    /** Options of a bundler's command line. Minification takes webpack most of its time, and changes no behaviour. */
    const faster: Record<string, string[]> = { webpack: ['--', '--no-optimization-minimize'] };
    const build = async (name: string) => {
      const args = ['run', 'build', '--silent', ...(faster[name] ?? [])];
      const { stdout, stderr } = await run('npm', args, { cwd: project(name) });
      expect(stdout + stderr).not.toMatch(/warning/i);
    };

    let browser: Browser | undefined;
    afterAll(() => browser?.close());
    const cleanup: (() => unknown)[] = [];
    afterEach(async () => {
      for (const step of cleanup.splice(0).reverse()) await step();
    });

    async function newPage(): Promise<Page> {
      browser ??= await playwright.launch(chromium);
      const page = await browser.newPage();
      cleanup.push(() => page.close());
      return page;
    }
    async function open(path: string, isolated: boolean) {
      const server = await serve({ '/': `${path}/` }, isolated);
      cleanup.push(() => server.close());
      return resultOf(await newPage(), `${server.origin}/index.html`);
    }

    const best = { isa: 'relaxed', threads: CORES - 1, complaints: [] };

    it.each([
      ['script', '.'],
      ['vite', 'dist'],
      ['webpack', '.'],
      ['esbuild', '.'],
      ['rollup', '.'],
    ])('%s: works in isolated pages and in others', async (name, place) => {
      if (name !== 'script') await build(name);
      expect(await open(join(project(name), place), true)).toEqual(best);
      const reason = expect.stringMatching(
        /one thread: the page is not cross-origin isolated.*Cross-Origin-Embedder-Policy/,
      );
      const plain = { isa: 'relaxed', threads: 1, complaints: [reason] };
      expect(await open(join(project(name), place), false)).toEqual(plain);
    });

    it("vite: works in development, from Vite's own server", async () => {
      const vite: typeof import('vite') = await import(
        pathToFileURL(`${folder}/node_modules/vite/dist/node/index.js`).href
      );
      const server = await vite.createServer({
        root: project('vite'),
        logLevel: 'error',
        server: { port: 0, host: '127.0.0.1', headers: isolation },
      });
      cleanup.push(() => server.close());
      await server.listen();
      expect(await resultOf(await newPage(), server.resolvedUrls?.local[0] as string)).toEqual(best);
    });

    it('extension: works under the policy of extensions, with threads', async () => {
      await build('extension');
      const path = join(project('extension'), 'dist');
      const args = [...(chromium?.args ?? []), `--disable-extensions-except=${path}`, `--load-extension=${path}`];
      const context = await playwright.launchPersistentContext('', { ...chromium, channel: 'chromium', args });
      cleanup.push(() => context.close());
      const page = await context.newPage();
      await page.goto('chrome://extensions');
      const id = await page.evaluate(async () => {
        const { developerPrivate } = (globalThis as unknown as Extensions).chrome;
        return (await developerPrivate.getExtensionsInfo()).find(({ name }) => name === 'simdformer')?.id;
      });
      expect(await resultOf(page, `chrome-extension://${id}/index.html`)).toEqual(best);
    });

    it('esbuild without wasmUrl: computes with the engine in the bundle, and recommends wasmUrl', async () => {
      const place = join(project('esbuild'), 'plain');
      await mkdir(join(place, 'dist'), { recursive: true });
      const page = (name: string) => readFile(join(project('esbuild'), name), 'utf8');
      const contents = (await page('main.js')).replace(/, wasmUrl: '[^']*'/, '');
      await writeFile(join(place, 'index.html'), await page('index.html'));
      const outfile = join(place, 'dist/main.js');
      await esbuild({
        stdin: { contents, resolveDir: project('esbuild') },
        bundle: true,
        format: 'esm',
        outfile,
      });
      const text = await readFile(outfile, 'utf8');
      expect(text).toMatch(/createDevice: backend is/);
      expect(text).not.toMatch(/realpath|readlink|openSync/); // modules of files are of no use to a page
      const { complaints, ...result } = await open(place, true);
      expect(result).toEqual({ isa: 'simd128', threads: 1 });
      expect(complaints).toEqual([expect.stringMatching(/404/), expect.stringMatching(/wasmUrl: '\/folder\/'/)]);
    });
  });
}
