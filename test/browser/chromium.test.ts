import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pagePackage } from '../build-once.js';
import { describeWith } from '../equipment.js';
import { assertLogits, shippedModel, targetsOf, words } from '../shipped.js';
import type * as Simdformer from '../simdformer.js';
import * as simdformerInNode from '../simdformer.js';
import { importParts } from '../simdformer.js';
import { chromium } from './chromium.js';
import { type StaticServer, serve } from './server.js';

/** Losses of a few steps of training and what the model then generates. Its text runs in the page. */
async function trainAndGenerate({ AdamW, createDevice, Transformer }: typeof Simdformer) {
  const device = await createDevice({ threads: 2 });
  const sizes = { dModel: 32, heads: 2, encoderLayers: 1, decoderLayers: 1, dFF: 64, maxLength: 16 };
  const model = new Transformer(device, { ...sizes, sourceVocab: 9, targetVocab: 9, norm: 'pre', seed: 7 });
  const optimizer = new AdamW(model.parameters(), { lr: 0.01 });
  const losses: number[] = [];
  for (let step = 0; step < 20; step++) {
    const loss = device.scope(() => {
      const mean = model.loss(
        [
          [3, 4, 5],
          [6, 7],
        ],
        [
          [1, 5, 4, 3, 2],
          [1, 7, 6, 2],
        ],
      );
      mean.backward();
      return mean;
    });
    optimizer.step();
    optimizer.zeroGrad();
    losses.push(await loss.item());
  }
  const { sequences } = await model.generate(
    [
      [3, 4, 5],
      [6, 7],
    ],
    { numBeams: 2, maxNewTokens: 8 },
  );
  device.dispose();
  return { losses, sequences };
}

/** Uses the shipped model for these letters. Its text runs in the page. */
async function useShipped(
  { createDevice, Transformer }: typeof Simdformer,
  url: string,
  sources: number[][],
  targets: number[][],
  isa?: string,
) {
  const device = await createDevice({ threads: 2, isa: isa as Simdformer.DeviceOptions['isa'] });
  const model = await Transformer.load(device, url);
  const logits = [...(await model.forward(sources, targets).data())];
  const sequences = [];
  for (const numBeams of [1, 5]) sequences.push((await model.generate(sources, { numBeams })).sequences);
  device.dispose();
  return { logits, sequences, config: model.config };
}

// test/backend/built.test.ts says so if there is none.
describeWith(['WebAssembly', 'Chromium'], 'a bare page in Chromium', () => {
  let output: string;
  let browser: Browser;
  const servers: StaticServer[] = [];

  beforeAll(async () => {
    output = await pagePackage();
    await mkdir(`${output}/partly`, { recursive: true });
    for (const name of ['relaxed.wasm', 'worker.js']) await copyFile(`wasm/dist/${name}`, `${output}/partly/${name}`);
    browser = await playwright.launch(chromium);
  });
  afterAll(async () => {
    await browser?.close();
    for (const server of servers) server.close();
  });

  /** An open page whose `simdformer` is the package, and what it has warned of. */
  async function open(
    isolated: boolean,
    headers?: Readonly<Record<string, string>>,
  ): Promise<{ page: Page; warnings: string[] }> {
    const folders = {
      '/build/page/': `${output}/`,
      '/wasm/': 'wasm/',
      '/partly/': `${output}/partly/`,
      '/models/': 'models/',
    };
    const server = await serve(folders, isolated, headers);
    servers.push(server);
    const page = await browser.newPage();
    const warnings: string[] = [];
    page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()));
    page.on('pageerror', (error) => warnings.push(String(error)));
    await page.goto(server.origin);
    // A string, in which Vite rewrites no import(). A policy may forbid script tags.
    await page.evaluate(`${importParts('/build/page')}.then((simdformer) => { globalThis.simdformer = simdformer; })`);
    return { page, warnings };
  }

  it.each([
    ['cross-origin isolated', true],
    ['not isolated', false],
  ])('%s: computes in WebAssembly, and reports how', async (_, isolated) => {
    const { page, warnings } = await open(isolated);
    const found = await page.evaluate(async () => {
      const { createDevice, matmul } = (globalThis as unknown as { simdformer: typeof Simdformer }).simdformer;
      const device = await createDevice({ threads: 2 });
      const again = await createDevice({ threads: 2 });
      const n = 200;
      const x = device.tensor(
        Float32Array.from({ length: n * n }, (_, i) => (i % 7) - 3),
        [n, n],
      );
      const y = Float32Array.from(await matmul(x, x).data());
      again.dispose();
      return { info: device.info, sum: y.reduce((sum, value) => sum + value, 0) };
    });
    let sum = 0;
    const at = (i: number, j: number) => ((i * 200 + j) % 7) - 3;
    for (let i = 0; i < 200; i++)
      for (let j = 0; j < 200; j++) for (let k = 0; k < 200; k++) sum += at(i, k) * at(k, j);
    expect(found.sum).toBe(sum);
    expect(found.info).toMatchObject({ backend: 'wasm', threads: isolated ? 2 : 1, reason: /Node/ });
    expect(warnings).toEqual(
      isolated ? [] : [expect.stringMatching(/one thread: the page is not cross-origin isolated/)],
    );
  });

  it('trains and generates like the addon', async () => {
    const { page } = await open(true);
    const { losses, sequences } = (await page.evaluate(`(${trainAndGenerate})(globalThis.simdformer)`)) as Awaited<
      ReturnType<typeof trainAndGenerate>
    >;
    const expected = await trainAndGenerate(simdformerInNode);
    expect(sequences).toEqual(expected.sequences);
    expect(losses).toHaveLength(expected.losses.length);
    for (const [i, loss] of losses.entries()) expect(loss).toBeCloseTo(expected.losses[i]!, 4);
  });

  it.each(['relaxed', 'simd128'])('the shipped model says what it says with the addon, %s', async (isa) => {
    const { page } = await open(true);
    const device = await simdformerInNode.createDevice({ backend: 'native' });
    const { source } = (await simdformerInNode.Transformer.load(device, shippedModel)).tokenizers;
    device.dispose();
    const sources = words.map((word) => source!.encode(word));
    const asked = [sources, targetsOf(sources)] as const;
    const expected = await useShipped(simdformerInNode, shippedModel, ...asked);
    const args = JSON.stringify([`/${shippedModel}/`, ...asked, isa]);
    const found = (await page.evaluate(`(${useShipped})(simdformer, ...${args})`)) as typeof expected;
    expect(expected.sequences[0]!.length).toBeGreaterThan(50);
    expect(found.sequences).toEqual(expected.sequences);
    assertLogits(found.logits, expected.logits, expected.config);
  });

  it.each([
    ['cross-origin isolated', true],
    ['not isolated', false],
  ])('%s: reaches nearly 4 GiB, reports when memory runs out, and continues', async (_, isolated) => {
    const { page } = await open(isolated);
    const { blocks, error, last, again } = await page.evaluate(async () => {
      const { add, createDevice, OutOfMemoryError } = (globalThis as unknown as { simdformer: typeof Simdformer })
        .simdformer;
      const device = await createDevice({ threads: 2 });
      const blocks: Simdformer.Tensor[] = [];
      let error: unknown;
      while (error === undefined && blocks.length < 99) {
        try {
          blocks.push(device.empty([1 << 26])); // 256 MiB
        } catch (reason) {
          error = reason;
        }
      }
      const end = blocks.at(-1)!.rows((1 << 26) - 2, 1 << 26);
      end.write(Float32Array.of(5, 6));
      const last = [...(await add(end, 1).data())];
      for (const tensor of [...blocks, end]) tensor.dispose();
      const again = [...(await device.tensor([1]).data())];
      device.dispose();
      return { blocks: blocks.length, error: error instanceof OutOfMemoryError && error.message, last, again };
    });
    expect(blocks).toBe(15);
    expect(error).toMatch(/256 MiB does not fit: 3840 MiB are in use/);
    expect(last).toEqual([6, 7]);
    expect(again).toEqual([1]);
  });

  it.each([
    ['cross-origin isolated', true],
    ['not isolated', false],
  ])('%s: a worker computes while the page stays responsive', async (_, isolated) => {
    const { page } = await open(isolated);
    const { value, longest, elapsed } = await page.evaluate(async () => {
      const { createDevice, matmul } = (globalThis as unknown as { simdformer: typeof Simdformer }).simdformer;
      const device = await createDevice({ worker: true, threads: 1 });
      const n = 512;
      const start = device.full([n, n], 1 / n);
      await device.flush();
      const begun = performance.now();
      let last = begun;
      let longest = 0;
      const timer = setInterval(() => {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }, 1);
      let x = start;
      for (let i = 0; i < 100; i++) x = matmul(x, start);
      const value = (await x.data())[n]! * n;
      clearInterval(timer);
      device.dispose();
      return { value, longest, elapsed: performance.now() - begun };
    });
    expect(value).toBeCloseTo(1, 4);
    expect(longest).toBeLessThan(elapsed / 2);
  });

  /** Message of createDevice in a page with this policy. */
  async function refusal(policy: string, options: Simdformer.DeviceOptions): Promise<string> {
    const { page } = await open(true, { 'Content-Security-Policy': `script-src 'self' ${policy}` });
    return page.evaluate(async (given) => {
      const { createDevice } = (globalThis as unknown as { simdformer: typeof Simdformer }).simdformer;
      return createDevice(given).then(
        () => 'nothing',
        (error: Error) => `${error.name}: ${error.message}`,
      );
    }, options);
  }

  it('a policy that forbids WebAssembly gives a DeviceError that names the file', async () => {
    expect(await refusal('', { threads: 1 })).toMatch(
      /^DeviceError: .*did not load from .*\/wasm\/dist\/\w+\.wasm: .*Content Security Policy/i,
    );
  });

  it('a policy that forbids the worker gives a DeviceError that names the file', async () => {
    const trusted = "'wasm-unsafe-eval'; require-trusted-types-for 'script'";
    expect(await refusal(trusted, { worker: true })).toMatch(
      /^DeviceError: the worker .*\/worker\.js does not run: .*TrustedScriptURL/,
    );
    expect(await refusal(trusted, { threads: 2 })).toMatch(
      /^DeviceError: the worker .*\/thread\.js does not run: .*TrustedScriptURL/,
    );
  });

  it.each([
    ['a policy', { threads: 2 }, "worker-src 'none'"],
    ['a file that is not there', { threads: 2, wasmUrl: '/partly/' }, ''],
    ['a file that is not there, in a worker', { worker: true, threads: 2, wasmUrl: '/partly/' }, ''],
  ])('a device still computes with %s that keeps threads from loading', async (_, options, policy) => {
    const { page, warnings } = await open(true, {
      'Content-Security-Policy': `script-src 'self' 'wasm-unsafe-eval'; ${policy}`,
    });
    const values = await page.evaluate(async (given) => {
      const { add, createDevice } = (globalThis as unknown as { simdformer: typeof Simdformer }).simdformer;
      const device = await createDevice(given);
      const values = [await device.tensor([3]).item()];
      await new Promise((resolve) => setTimeout(resolve, 300));
      values.push(await add(device.tensor([3]), 1).item());
      device.dispose();
      return values;
    }, options);
    expect(values).toEqual([3, 4]);
    await expect
      .poll(() => warnings)
      .toEqual([expect.stringMatching(/fewer threads: the worker .*\/thread\.js does not run/)]);
  });

  it('a page opened as a file computes, also in a worker', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'simdformer-'));
    const page = await browser.newPage();
    try {
      await build({
        stdin: { resolveDir: output, contents: "export { createDevice } from './index.js'" },
        outfile: join(folder, 'page.js'),
        bundle: true,
        format: 'iife',
        globalName: 'simdformer',
        logLevel: 'silent', // it warns that there is no import.meta
      });
      await writeFile(join(folder, 'page.html'), '<!doctype html><script src="page.js"></script>');
      await page.goto(pathToFileURL(join(folder, 'page.html')).href);
      const values = await page.evaluate(async () => {
        const { createDevice } = (globalThis as unknown as { simdformer: typeof Simdformer }).simdformer;
        const devices = [await createDevice(), await createDevice({ worker: true })];
        return Promise.all(devices.map((device) => device.tensor([3]).item()));
      });
      expect(values).toEqual([3, 3]);
    } finally {
      await page.close();
      await rm(folder, { recursive: true });
    }
  });

  it('a service worker, which has no workers and no import(), gets an error with a remedy', async () => {
    await writeFile(
      `${output}/service.js`,
      `import { createDevice, loadTokenizer } from './index.js';
      const refused = (promise) => promise.then(() => 'nothing', ({ name, message }) => name + ': ' + message);
      onmessage = async ({ source }) => {
        const device = await createDevice({ threads: 1 });
        const values = [...await device.tensor([1, 2]).data()];
        const errors = [refused(createDevice({ worker: true })), refused(loadTokenizer({}))];
        source.postMessage([values, ...await Promise.all(errors)]);
      };`,
    );
    const { page } = await open(true);
    const said = await page.evaluate(async () => {
      const registered = await navigator.serviceWorker.register('/build/page/service.js', { type: 'module' });
      const worker = (registered.active ?? registered.waiting ?? registered.installing) as ServiceWorker;
      return new Promise((resolve) => {
        navigator.serviceWorker.onmessage = ({ data }) => resolve(data);
        worker.postMessage(null);
      });
    });
    expect(said).toEqual([
      [1, 2],
      'DeviceError: createDevice: worker is true, but this runtime has no workers',
      expect.stringMatching(/^SimdformerError: parseTokenizer: .*bundler/),
    ]);
  });
});
