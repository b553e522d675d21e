// Every task in a page, with the engine in WebAssembly: the programs of test/tasks, beside what transformers.js returned.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pipeline, RawImage, type TaskName } from '../../src/tasks/index.js';
import { pagePackage } from '../build-once.js';
import { describeWith } from '../equipment.js';
import { expectAlike } from '../tasks/alike.js';
import { writeModels } from '../tasks/program-models.js';
import results from '../tasks/programs/results.json' with { type: 'json' };
import { ownPrograms, type Pipeline, plain, programs } from '../tasks/programs.js';
import { chromium } from './chromium.js';
import { type StaticServer, serve } from './server.js';

/** Prepares the page: `run(task)` runs a program with files from the server. */
const SETUP = `
  const { pipeline, env, RawAudio, RawImage } = await import('/build/page/tasks.js');
  const names = ['config', 'tokenizer', 'tokenizer_config', 'preprocessor_config'].map((name) => name + '.json');
  const read = async (path) => {
    const response = await fetch(path);
    return response.ok ? new Uint8Array(await response.arrayBuffer()) : null;
  };
  const filesOf = async (id) => {
    const all = [...names, 'model.safetensors'].map(async (name) => [name, await read('/models/' + id + '/' + name)]);
    return Object.fromEntries((await Promise.all(all)).filter(([, bytes]) => bytes !== null));
  };
  const picture = async (name) => new Blob([await read('/pictures/' + name + '.png')]);
  globalThis.change = async () => {
    const image = await RawImage.read(await picture('square'));
    const grey = await (await image.clone().grayscale().resize(5, null)).crop([0, 0, 2, 1]);
    const remover = await pipeline('background-removal', await filesOf('org/segformer-background'));
    const [cut, ofCanvas] = [await remover(image), await remover(image.toCanvas())];
    await remover.dispose();
    const blob = await image.toBlob('image/jpeg', 0.5);
    const again = await RawImage.read(new URL('/pictures/square.png', location.href));
    await cut.save('cut.png');
    await new RawAudio(new Float32Array(4), 8000).save('sound.wav');
    return listed.plain({ image, grey, cut, ofCanvas, again, type: blob.type });
  };
  globalThis.run = async (task) => {
    const pictures = { small: await picture('small'), square: await picture('square') };
    const opened = async (name, id, options) => pipeline(name, await filesOf(id), options);
    const program = listed.programs[task] ?? listed.ownPrograms[task];
    return listed.plain(await program(opened, pictures));
  };
`;

describeWith(['WebAssembly', 'Chromium'], 'a task in a page', () => {
  let browser: Browser;
  let server: StaticServer;
  let page: Page;
  let models: string;

  beforeAll(async () => {
    models = await mkdtemp(join(tmpdir(), 'page-tasks-'));
    writeModels(models);
    const output = await pagePackage();
    browser = await playwright.launch(chromium);
    const folders = { '/build/page/': `${output}/`, '/models/': `${models}/`, '/pictures/': 'test/tasks/programs/' };
    server = await serve({ ...folders, '/wasm/': 'wasm/' }, true);
    page = await browser.newPage();
    await page.goto(server.origin);
    const options = { bundle: true, write: false, format: 'iife', globalName: 'listed' } as const;
    const { outputFiles } = await build({ ...options, entryPoints: ['test/tasks/programs.ts'] });
    // The page runs strings, in which Vite rewrites no import().
    await page.evaluate(`${outputFiles[0]?.text}; globalThis.listed = listed; (async () => {${SETUP}})()`);
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
    await rm(models, { recursive: true, force: true });
  });

  it.each(Object.keys(programs))('%s', async (task) => {
    const actual = await page.evaluate(`run(${JSON.stringify(task)})`);
    expectAlike(actual, (results as Record<string, unknown>)[task], task);
  });

  it('changes images and saves them', async () => {
    const downloads: string[] = [];
    page.on('download', (download) => downloads.push(download.suggestedFilename()));
    const { type, ...shown } = (await page.evaluate('change()')) as Record<string, unknown>;
    const image = (await RawImage.read('test/tasks/programs/square.png')).rgba(); // pages always read RGBA
    const grey = await (await image.clone().grayscale().resize(5, null)).crop([0, 0, 2, 1]);
    const remover = await pipeline('background-removal', join(models, 'org/segformer-background'));
    const cut = await remover(image);
    await remover.dispose();
    expect(shown).toEqual(plain({ image, grey, cut, ofCanvas: cut, again: image }));
    expect(type).toBe('image/jpeg');
    await expect.poll(() => downloads).toEqual(['cut.png', 'sound.wav']);
  });

  it.each(Object.keys(ownPrograms))('%s, as in Node', async (task) => {
    const inNode = (name: string, id: string, options?: object) =>
      pipeline(name as TaskName, join(models, id), options);
    const picture = (name: string) => `test/tasks/programs/${name}.png`;
    const pictures = { small: picture('small'), square: picture('square') };
    const expected = plain(await ownPrograms[task]?.(inNode as unknown as Pipeline, pictures));
    expectAlike(await page.evaluate(`run(${JSON.stringify(task)})`), expected, task);
  });
});
