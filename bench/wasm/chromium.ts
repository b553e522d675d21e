// Pages of headless Chromium for bench/wasm.ts, with the package as pages without a bundler load it.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';
import type * as Simdformer from '../../src/index.js';
import type * as Ops from '../../src/ops/index.js';
import { chromium } from '../../test/browser/chromium.js';
import { type StaticServer, serve } from '../../test/browser/server.js';
import type { Turn } from '../harness/contest.js';
import { type Script, type Watched, watch } from './alone.js';
import type { Sides } from './side.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** A folder as deep in the package as src/backend/, because the paths to wasm/ are relative to that. */
const built = 'build/bench-wasm';

/** Returns the reason why Chromium is not available; null if it is. */
export function whyNoChromium(): string | null {
  if (chromium === undefined) return 'it is neither at CHROME_PATH nor at /usr/bin/chromium';
  return existsSync(join(root, 'wasm/dist/relaxed.wasm')) ? null : 'the modules are not built: npm run build:wasm';
}

/** Marks the package as external, so that the page's own copy is used. */
const package_: Plugin = {
  name: 'package',
  setup: ({ onResolve }) =>
    onResolve({ filter: /src\/(\w+\/)?index\.js$/ }, ({ path }) => ({
      path: `./${/src\/(\w+)\/index\.js$/.exec(path)?.[1] ?? 'index'}.js`,
      external: true,
    })),
};

/** Builds the package for pages. Returns the folders of its files and of the engine's files. */
function builtFolders(): Record<string, string> {
  execFileSync(process.execPath, [join(root, 'scripts/browser.mjs'), built]);
  return { [`/${built}/`]: `${root}${built}/`, '/wasm/': `${root}wasm/` };
}

const serveBuilt = (folders: Record<string, string>, headers: Record<string, string> = {}) =>
  serve({ ...builtFolders(), ...folders }, true, headers);

/** Bundles a file of this folder as a module for pages. Returns its path. */
async function buildModule(file: string): Promise<string> {
  const entryPoints = [fileURLToPath(new URL(`${file}.ts`, import.meta.url))];
  await build({ entryPoints, outdir: join(root, built), bundle: true, format: 'esm', plugins: [package_] });
  return `/${built}/${file}.js`;
}

/** A cross-origin isolated page that has a file of this folder as `module`, and further folders by their prefixes. */
export async function openPage(file: string, folders: Record<string, string>) {
  const server = await serveBuilt(folders);
  const module = await buildModule(file);
  const browser = await playwright.launch(chromium);
  const page = await browser.newPage();
  await page.goto(server.origin);
  await page.evaluate(`(async () => (globalThis.module = await import('${module}')))()`);
  return { server, browser, page };
}

/** Same as `watch`, for a page that has a file of this folder as `module`. */
export async function watchPage(
  file: string,
  script: Omit<Script, 'module'>,
  folders: Record<string, string>,
  headers?: Record<string, string>,
): Promise<Watched> {
  const all = { ...builtFolders(), ...folders };
  return watch({ module: await buildModule(file), ...script }, all, headers);
}

type InPage = typeof globalThis & { side: Sides };

/** `Side` in one page, which is cross-origin isolated. */
export class ChromiumSide implements Sides {
  private constructor(
    private readonly server: StaticServer,
    private readonly browser: Browser,
    private readonly page: Page,
  ) {}

  /**
   * Opens a page with onnxruntime-web from its folder. It uses the build with WebAssembly only, as the documentation
   * advises.
   */
  static async open(onnxRuntime: string): Promise<ChromiumSide> {
    const { server, browser, page } = await openPage('side', { '/onnxruntime-web/': `${onnxRuntime}/` });
    await page.evaluate(`(async () => {
      const onnxRuntime = await import('/onnxruntime-web/dist/ort.wasm.bundle.min.mjs');
      globalThis.side = new globalThis.module.Side(onnxRuntime);
    })()`);
    return new ChromiumSide(server, browser, page);
  }

  version(): string {
    return this.browser.version();
  }

  encoder(...args: Parameters<Sides['encoder']>): Promise<string> {
    return this.page.evaluate((args) => (globalThis as InPage).side.encoder(...args), args);
  }

  linear(...args: Parameters<Sides['linear']>): Promise<void> {
    return this.page.evaluate((args) => (globalThis as InPage).side.linear(...args), args);
  }

  take(...args: Parameters<Sides['take']>): Promise<Turn> {
    return this.page.evaluate((args) => (globalThis as InPage).side.take(...args), args);
  }

  clear(): Promise<void> {
    return this.page.evaluate(() => (globalThis as InPage).side.clear());
  }

  async close(): Promise<void> {
    await this.browser.close();
    this.server.close();
  }
}

/** Returns the seconds from `import` to the first result. The source text of this function runs in the page. */
async function firstResult(url: string): Promise<number> {
  const start = performance.now();
  const { createDevice } = (await import(url)) as typeof Simdformer;
  const { softmax } = (await import(url.replace('index.js', 'ops.js'))) as typeof Ops;
  const device = await createDevice({ threads: 1 });
  const [first] = await softmax(device.tensor([[1, 2, 3]])).data();
  if (Math.abs((first as number) - 0.0900306) > 1e-6) throw new Error(`softmax gave ${first}`);
  return (performance.now() - start) / 1e3;
}

/** Seconds to the first result in `count` browsers, one after the other. All have the files in their HTTP cache. */
export async function coldStarts(count: number): Promise<number[]> {
  const server = await serveBuilt({}, { 'Cache-Control': 'max-age=3600' });
  const profile = mkdtempSync(join(tmpdir(), 'simdformer-chromium-'));
  const seconds: number[] = [];
  try {
    for (let i = -1; i < count; i++) {
      const browser = await playwright.launchPersistentContext(profile, chromium);
      const page = await browser.newPage();
      await page.goto(server.origin);
      const time = await page.evaluate(`(${firstResult})('/${built}/index.js')`);
      if (i >= 0) seconds.push(time as number); // the first runs fetch the files
      await browser.close();
    }
  } finally {
    server.close();
    rmSync(profile, { recursive: true });
  }
  return seconds;
}
