// Models loaded by URL, in Node and in Chromium, from a server that also fails in the ways servers do.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium as playwright } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type * as Simdformer from '../../src/index.js';
import {
  ArgumentError,
  CharTokenizer,
  createDevice,
  type Device,
  FetchError,
  FormatError,
  Transformer,
} from '../../src/index.js';
import { pagePackage } from '../build-once.js';
import { describeWith } from '../equipment.js';
import { chromium } from './chromium.js';
import { filesOf } from './server.js';

let server: Server;
let origin: string;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simdformer-'));
  const files = filesOf({
    '/saved/': `${folder}/`,
    '/store/': `${folder}/`,
    '/models/': 'models/',
    '/build/page/': 'build/page/',
    '/wasm/': 'wasm/',
  });
  server = createServer((request, response) => {
    const page = { 'Content-Type': 'text/html; charset=utf-8' };
    if (request.url?.startsWith('/slow/')) return; // never
    if (request.url?.startsWith('/broken/')) response.writeHead(500, page).end('oh');
    else if (request.url?.startsWith('/closed/') || request.url?.endsWith('store/small/target-tokenizer.json'))
      response.writeHead(403).end(); // object stores answer 403 for missing files
    else if (request.url?.startsWith('/cut/'))
      response.writeHead(200, { 'Content-Length': 9 }).write('{', () => response.destroy());
    else
      files(request, response, () =>
        response.writeHead(request.url === '/empty/config.json' ? 404 : 200, page).end('<!doctype html>'),
      );
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

/** Pronunciation of a word by the shipped model. Its text runs in the page. */
async function pronounce({ createDevice, Transformer }: typeof Simdformer, url: string) {
  const device = await createDevice({ threads: 1 });
  const model = await Transformer.load(device, url);
  const { source, target } = model.tokenizers;
  const { sequences } = await model.generate([source!.encode('hello')]);
  device.dispose();
  return target!.decode(sequences[0]!);
}

describe('in Node', () => {
  let device: Device;
  beforeAll(async () => {
    device = await createDevice({ threads: 1 });
  });
  afterAll(() => device.dispose());
  const load = (url: string | URL, options?: { signal: AbortSignal }) => Transformer.load(device, url, options);

  it('loads a model by http, with or without a slash and a query, from a path, and from a file: URL', async () => {
    const letters = CharTokenizer.train('hello');
    const sizes = { dModel: 8, heads: 2, encoderLayers: 1, decoderLayers: 0, sourceVocab: letters.vocabSize };
    const small = new Transformer(device, sizes);
    small.tokenizers = { source: letters };
    const path = join(folder, 'small');
    await small.save(pathToFileURL(path));
    const names = ['saved/small', 'saved/small/', 'saved/small?token=1', 'store/small'];
    const urls = names.map((name) => `${origin}/${name}`);
    for (const place of [...urls, new URL(urls[1]!), path, pathToFileURL(path), `${pathToFileURL(path)}/`]) {
      const model = await load(place);
      expect(model.tokenizers.source?.decode(model.tokenizers.source.encode('hello'))).toBe('hello');
      model.dispose();
    }
  });

  it.each([
    [
      '/empty',
      FormatError,
      /empty contains no model: there is no config.json \(HTTP status 404 for http.*\/empty\/config.json\)/,
    ],
    ['/app', FormatError, /there is no config.json \(http.*config.json is a page, text\/html\)/],
    ['/broken', FetchError, /broken\/config.json cannot be fetched: HTTP status 500/],
    ['/closed', FetchError, /closed\/config.json cannot be fetched: HTTP status 403/],
    ['/cut', FetchError, /cut\/config.json cannot be fetched: /],
  ])('%s gives a clear error', async (path, type, message) => {
    const error = await load(origin + path).catch((error) => error);
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(message);
  });

  it('refuses an unreachable server, and an invalid URL', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    await new Promise((done) => closed.close(done));
    await expect(load(`http://127.0.0.1:${port}/model`)).rejects.toThrow(
      /model.config.json cannot be fetched: .*ECONN/,
    );
    await expect(load('http://')).rejects.toThrow(ArgumentError);
    await expect(load(undefined as never)).rejects.toThrow(ArgumentError);
  });

  it('a signal aborts loading with its reason', async () => {
    const controller = new AbortController();
    const loading = load(`${origin}/slow`, { signal: controller.signal });
    controller.abort(new Error('no more'));
    await expect(loading).rejects.toThrow('no more');
    await expect(load('models/g2p-en', { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
  });

  it('refuses to save to a server', async () => {
    const model = new Transformer(device, { dModel: 8, heads: 2, encoderLayers: 1, decoderLayers: 0, sourceVocab: 3 });
    await expect(model.save(`${origin}/models/new`)).rejects.toThrow(ArgumentError);
  });
});

describeWith(['WebAssembly', 'Chromium'], 'in Chromium', () => {
  beforeAll(pagePackage);

  it('loads a model by a URL relative to the page, with the same errors', async () => {
    const browser = await playwright.launch(chromium);
    try {
      const page = await browser.newPage();
      const content = `import * as simdformer from '/build/page/index.js'; globalThis.simdformer = simdformer;`;
      await page.goto(`${origin}/page`);
      await page.addScriptTag({ type: 'module', content });
      await page.waitForFunction(() => 'simdformer' in globalThis);
      const said = await page.evaluate(`(${pronounce})(simdformer, 'models/g2p-en')`);
      const simdformer = await import('../../src/index.js');
      expect(said).toBe(await pronounce(simdformer, 'models/g2p-en'));
      const errors = await page.evaluate(async (origin) => {
        const { createDevice, Transformer } = (globalThis as unknown as { simdformer: typeof Simdformer }).simdformer;
        const device = await createDevice({ threads: 1 });
        const failures = ['empty', new URL('app', origin), 'broken', 'cut'].map((url) =>
          Transformer.load(device, url).catch((error) => `${error.name}: ${error.message}`),
        );
        return Promise.all(failures);
      }, origin);
      expect(errors).toEqual([
        expect.stringMatching(/^FormatError: .*HTTP status 404/),
        expect.stringMatching(/^FormatError: .*is a page/),
        expect.stringMatching(/^FetchError: .*HTTP status 500/),
        expect.stringMatching(/^FetchError: .*cannot be fetched/),
      ]);
    } finally {
      await browser.close();
    }
  });
});
