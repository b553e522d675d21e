// Behaviour of Firefox alone: it reports by events some errors that Chromium throws.
import puppeteer, { type Browser } from 'puppeteer-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pagePackage } from '../build-once.js';
import { describeWith, firefox } from '../equipment.js';
import type * as Simdformer from '../simdformer.js';
import { importParts } from '../simdformer.js';
import { serve } from './server.js';

/**
 * Results of devices with these options, at once and after their threads had time to fail. Its text runs in the page.
 */
async function compute({ add, createDevice }: typeof Simdformer, options: Simdformer.DeviceOptions[]) {
  const found: unknown[] = [];
  for (const given of options) {
    try {
      const device = await createDevice(given);
      const values = [await device.tensor([3]).item()];
      await new Promise((resolve) => setTimeout(resolve, 300));
      values.push(await add(device.tensor([3]), 1).item());
      found.push([device.info.threads, ...values]);
      device.dispose();
    } catch (error) {
      found.push(String(error));
    }
  }
  return found;
}

describeWith(['WebAssembly', 'Firefox'], 'a page in Firefox', () => {
  const files = { '/build/page/': 'build/page/', '/wasm/': 'wasm/' };
  let browser: Browser;

  beforeAll(async () => {
    await pagePackage();
    browser = await puppeteer.launch({ browser: 'firefox', executablePath: firefox as string, headless: true });
  });
  afterAll(() => browser?.close());

  /** Results of `compute` in a page of `site` with the package from `cdn`. */
  async function inPage(site: string, cdn: string, options: Simdformer.DeviceOptions[]) {
    const page = await browser.newPage();
    const warnings: string[] = [];
    page.on('console', (message) => message.type() === 'warn' && warnings.push(message.text()));
    page.on('pageerror', (error) => warnings.push(String(error)));
    await page.goto(site);
    const script = `${importParts(`${cdn}/build/page`)}.then((simdformer) => (${compute})(simdformer, ${JSON.stringify(options)}))`;
    const found = await page.evaluate(script);
    await page.close();
    return { found, warnings };
  }

  it('workers and threads load with a package from another origin', async () => {
    const cdn = await serve(files, false, {
      'Access-Control-Allow-Origin': '*',
      'Cross-Origin-Resource-Policy': 'cross-origin',
    });
    const site = await serve({}, true);
    try {
      const wasmUrl = `${cdn.origin}/wasm/dist/`;
      const options = [{ threads: 2 }, { worker: true, threads: 2 }, { worker: true, threads: 2, wasmUrl }];
      const { found, warnings } = await inPage(site.origin, cdn.origin, options);
      expect(found).toEqual(options.map(() => [2, 3, 4]));
      expect(warnings).toEqual([]);
    } finally {
      cdn.close();
      site.close();
    }
  });

  it('a device computes if a policy forbids its threads', async () => {
    const policy = "script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval'; worker-src 'none'";
    const site = await serve(files, true, { 'Content-Security-Policy': policy });
    try {
      const { found, warnings } = await inPage(site.origin, site.origin, [{ threads: 3 }]);
      expect(found).toEqual([[3, 3, 4]]);
      const ours = warnings.filter((text) => text.startsWith('simdformer')); // Firefox itself speaks of the policy
      expect(ours).toEqual([expect.stringMatching(/fewer threads: the worker .*\/thread\.js does not run/)]);
    } finally {
      site.close();
    }
  });
});
