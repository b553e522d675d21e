// Models that load at their first request, share a limit of memory, and have adapters by name.
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadLora, lora } from '../../src/finetune/index.js';
import { type Device, loadModel } from '../../src/index.js';
import type { LoadedModel, TextModel } from '../../src/pretrained/index.js';
import { type ManagedModel, type RunningServer, serve } from '../../src/server/index.js';
import { keepAliveOf } from '../../src/server/keep-alive.js';
import { type SmallModels, smallModels } from '../frameworks/small-models.js';
import { Random } from '../random.js';
import { testData } from '../test-data.js';

const PROMPT = 'Once there was a';
const ADAPTERS = ['red', 'blue'];

let models: SmallModels;
let device: Device;
/** A folder with the model `stories`, its adapters `red` and `blue`, and `vectors`. */
let folder: string;
beforeAll(async () => {
  models = await smallModels();
  device = models.device;
  folder = mkdtempSync(join(tmpdir(), 'simdformer-models-'));
  cpSync(models.folder, join(folder, 'stories'), { recursive: true });
  cpSync(join(testData('checkpoints').path, 'rxnmapper-albert'), join(folder, 'vectors'), { recursive: true });
  for (const name of ADAPTERS) {
    using model = await loadModel(device, models.folder);
    const adapter = lora(model, { r: 4, alpha: 16, name });
    const random = new Random(name);
    for (const { layer } of adapter.parts)
      for (const [, tensor] of layer.tensors()) tensor.write(random.normal([tensor.size], 0.25).data);
    await adapter.save(join(folder, name));
  }
});
afterAll(() => {
  rmSync(folder, { recursive: true });
  models?.end();
});

/** Number of times that the server loaded each model. */
const loads = new Map<ManagedModel, number>();

function managed(name: 'stories' | 'vectors', more: Partial<ManagedModel> = {}): ManagedModel {
  const head = name === 'vectors' ? 'none' : undefined;
  const source: ManagedModel = {
    load() {
      loads.set(source, (loads.get(source) ?? 0) + 1);
      return loadModel(device, join(folder, name), { head, onWarning: () => {} });
    },
    ...more,
  };
  return source;
}

const adapters = () =>
  Object.fromEntries(
    ADAPTERS.map((name) => [name, (model: LoadedModel) => loadLora(model, join(folder, name), { name })]),
  );

let server: RunningServer | null = null;
async function start(...[options]: Parameters<typeof serve>) {
  await server?.close();
  server = await serve({ port: 0, log: 'none', context: 256, ...options });
  const { url } = server;
  return {
    url,
    openai: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 }),
    ollama: new Ollama({ host: url }),
  };
}
afterAll(() => server?.close());

const states = async ({ openai }: { openai: OpenAI }) =>
  Object.fromEntries(
    (await openai.models.list()).data.map((each) => [each.id, (each as unknown as Status).status.value]),
  );
type Status = { status: { value: string } };

/** The text that a model writes by itself. */
async function alone(adapter: string | null, prompt = PROMPT, maxNewTokens = 24): Promise<string> {
  using model = (await loadModel(device, join(folder, 'stories'))) as TextModel;
  if (adapter !== null) await loadLora(model, join(folder, adapter), { name: adapter });
  const ids = model.tokenizer.encode(prompt, { addSpecial: true });
  const { sequences } = await model.generate([ids], { maxNewTokens, doSample: false });
  const [answer] = sequences as [number[]];
  return model.tokenizer.decode([...ids, ...answer]).slice(model.tokenizer.decode(ids).length);
}

const ask = async (openai: OpenAI, model: string, prompt = PROMPT) => {
  const { choices } = await openai.completions.create({ model, prompt, max_tokens: 24, temperature: 0 });
  return choices[0]!.text;
};

/** Waits until a condition holds, because models leave after the answer was sent. */
async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it does not come true within five seconds');
}

describe('models in memory', () => {
  it('load once at their first requests, and free all memory when they are unloaded', async () => {
    const stories = managed('stories');
    const client = await start({ models: { stories, vectors: managed('vectors') } });
    await device.flush();
    const { used } = device.memory();
    expect(await states(client)).toEqual({ stories: 'unloaded', vectors: 'unloaded' });
    expect((await client.ollama.ps()).models).toEqual([]);
    const expected = await alone(null);
    const texts = await Promise.all(Array.from({ length: 6 }, () => ask(client.openai, 'stories')));
    expect(new Set(texts)).toEqual(new Set([expected]));
    expect(loads.get(stories)).toBe(1);
    expect(await states(client)).toEqual({ stories: 'loaded', vectors: 'unloaded' });
    const [running] = (await client.ollama.ps()).models;
    expect(running).toMatchObject({ name: 'stories' });
    const left = new Date(running!.expires_at).getTime() - Date.now();
    expect(left).toBeGreaterThan(200_000);
    expect(left).toBeLessThanOrEqual(300_000);
    expect(running!.size).toBeGreaterThan(656_000 * 4);
    // Without a prompt, `keep_alive: 0` unloads a model.
    expect(await client.ollama.generate({ model: 'stories', prompt: '', keep_alive: 0 })).toMatchObject({
      done_reason: 'unload',
    });
    await until(async () => (await client.ollama.ps()).models.length === 0);
    await device.flush();
    expect(device.memory().used).toBe(used);
  });

  it('follow keep_alive, as in Ollama', async () => {
    const client = await start({ models: { stories: managed('stories') }, keepAliveSeconds: 3600 });
    const chat = (keep_alive: string | number) =>
      client.ollama.chat({
        model: 'stories',
        messages: [{ role: 'user', content: 'A cat' }],
        keep_alive,
        options: { num_predict: 2 },
      });
    const expiry = async () => {
      const [entry] = (await client.ollama.ps()).models;
      return entry === undefined ? null : (new Date(entry.expires_at).getTime() - Date.now()) / 60_000;
    };
    await chat('2h');
    expect(await expiry()).toBeCloseTo(120, -1);
    await ask(client.openai, 'stories');
    expect(await expiry()).toBeCloseTo(60, -1);
    await chat(-1);
    expect(await expiry()).toBeGreaterThan(1e6);
    await chat('50ms');
    await until(async () => (await expiry()) === null);
    await expect(chat('soon')).rejects.toThrow(/keep_alive/);
  });

  it('accept durations', () => {
    expect(['5m', '1h30m', '500ms', '3µs', '90', '0', 7].map(keepAliveOf)).toEqual([300, 5400, 0.5, 3e-6, 90, 0, 7]);
    expect(['', '5', '5x', 'm', '1h 5m'].map(keepAliveOf)).toEqual([null, 5, null, null, null]);
    expect(['-1', '-5m', -1].map(keepAliveOf)).toEqual([Infinity, Infinity, Infinity]);
    expect(['', '5', 'm5', '5 m', '1x'].map(keepAliveOf)).toEqual([null, 5, null, null, null]);
  });

  it('are unloaded when memory is short, the least recently used first', async () => {
    const first = managed('stories');
    const [a, b, c] = [managed('stories'), managed('stories'), managed('stories')];
    let client = await start({ models: { first } });
    await ask(client.openai, 'first');
    const { size } = (await client.ollama.ps()).models[0]!;
    client = await start({ models: { a, b, c }, maxMemoryBytes: 2.5 * size });
    for (const model of ['a', 'b', 'a', 'c']) await ask(client.openai, model);
    expect(await states(client)).toEqual({ a: 'loaded', b: 'unloaded', c: 'loaded' });
    await ask(client.openai, 'b');
    expect(await states(client)).toEqual({ a: 'unloaded', b: 'loaded', c: 'loaded' });
    expect([a, b, c].map((each) => loads.get(each))).toEqual([1, 2, 1]);
  });

  it('stay loaded while they are used, and are refused if they cannot fit', async () => {
    let client = await start({ models: { first: managed('stories') } });
    await ask(client.openai, 'first');
    const { size } = (await client.ollama.ps()).models[0]!;
    const large = managed('stories', { bytes: 100 * size });
    const pinned = managed('stories', { pinned: true });
    client = await start({
      models: { a: managed('stories'), b: managed('stories'), large },
      maxMemoryBytes: 1.5 * size,
    });
    const stream = await client.openai.completions.create({
      model: 'a',
      prompt: PROMPT,
      max_tokens: 200,
      temperature: 0,
      stream: true,
      logit_bias: { 2: -100 },
    });
    const pieces = stream[Symbol.asyncIterator]();
    await pieces.next();
    const order: string[] = [];
    const other = ask(client.openai, 'b').then(() => order.push('b'));
    let last = '';
    for (let piece = await pieces.next(); !piece.done; piece = await pieces.next())
      last = piece.value.choices[0]?.finish_reason ?? last;
    order.push('a');
    await other;
    expect(last).toBe('length');
    expect(order).toEqual(['a', 'b']);
    expect(await states(client)).toEqual({ a: 'unloaded', b: 'loaded', large: 'unloaded' });
    await expect(ask(client.openai, 'large')).rejects.toMatchObject({
      status: 503,
      code: 'insufficient_memory',
      message: expect.stringMatching(/'large' needs .* of memory, and all models may have/),
    });
    expect(loads.get(large)).toBe(undefined);
    client = await start({ models: { pinned, b: managed('stories') }, maxMemoryBytes: 1.5 * size });
    expect(await states(client)).toEqual({ pinned: 'loaded', b: 'unloaded' });
    await expect(ask(client.openai, 'b')).rejects.toThrow(/of which pinned keep/);
    expect(await states(client)).toEqual({ pinned: 'loaded', b: 'unloaded' });
  });

  it('wait for room in the order of their requests, up to a limit', async () => {
    let client = await start({ models: { first: managed('stories') } });
    await ask(client.openai, 'first');
    const { size } = (await client.ollama.ps()).models[0]!;
    const names = ['a', 'b', 'c', 'd'];
    const models = Object.fromEntries(names.map((name) => [name, managed('stories')]));
    client = await start({ models, maxMemoryBytes: 1.5 * size, maxWaiting: 1, parallel: 1 });
    const stream = await client.openai.completions.create({
      model: 'a',
      prompt: PROMPT,
      max_tokens: 200,
      temperature: 0,
      stream: true,
      logit_bias: { 2: -100 },
    });
    const pieces = stream[Symbol.asyncIterator]();
    await pieces.next();
    const order: string[] = [];
    const asked: Promise<unknown>[] = [];
    for (const name of ['b', 'd', 'c']) {
      asked.push(ask(client.openai, name).then(() => order.push(name)));
      await until(async () => (await states(client))[name] === 'loading');
    }
    // Two requests for `b` may wait, of which one is there already: one for `parallel`, one for `maxWaiting`.
    const more = Array.from({ length: 4 }, () => ask(client.openai, 'b'));
    const settled = Promise.allSettled(more);
    for (let piece = await pieces.next(); !piece.done; piece = await pieces.next());
    await Promise.all(asked);
    expect(order).toEqual(['b', 'd', 'c']);
    const refused = (await settled).flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
    expect(refused.length).toBe(3);
    for (const error of refused) {
      expect(error).toMatchObject({ status: 429, code: 'queue_full' });
      expect(Number(error.headers.get('retry-after'))).toBeGreaterThan(0);
    }
  });

  it('answer all waiting requests when a load fails, and load again later', async () => {
    let isBroken = true;
    const stories = managed('stories');
    const source = { load: () => (isBroken ? Promise.reject(new Error('no disk')) : stories.load()) };
    const client = await start({ models: { source } });
    const asked = await Promise.allSettled([ask(client.openai, 'source'), ask(client.openai, 'source')]);
    expect(asked.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    isBroken = false;
    expect(await ask(client.openai, 'source')).toBe(await alone(null));
  });
});

describe('adapters', () => {
  it('are selected by name, several in one batch', async () => {
    const client = await start({ models: { stories: managed('stories', { adapters: adapters() }) } });
    const names = ['stories', 'stories:red', 'stories:blue'];
    expect(Object.keys(await states(client))).toEqual(names);
    const expected = [await alone(null), await alone('red'), await alone('blue')];
    expect(new Set(expected).size).toBe(3);
    const wanted = Array.from({ length: 18 }, (_, i) => i % 3);
    const told = await Promise.all(wanted.map((i) => ask(client.openai, names[i]!)));
    expect(told).toEqual(wanted.map((i) => expected[i]));
    await expect(ask(client.openai, 'stories:green')).rejects.toMatchObject({ status: 404 });
    // A long answer by one adapter does not hold up an answer by another one.
    const long = await client.openai.completions.create({
      model: 'red',
      prompt: PROMPT,
      max_tokens: 200,
      temperature: 0,
      stream: true,
      logit_bias: { 2: -100 },
    });
    const pieces = long[Symbol.asyncIterator]();
    await pieces.next();
    expect(await ask(client.openai, 'blue')).toBe(expected[2]);
    expect((await pieces.next()).done).toBe(false);
    long.controller.abort();
  });

  it('of a loaded model are selected by name, too', async () => {
    using model = await loadModel(device, join(folder, 'stories'));
    await loadLora(model, join(folder, 'red'), { name: 'red' });
    model.setAdapter(null);
    const client = await start({ models: { stories: model } });
    expect(await ask(client.openai, 'stories:red')).toBe(await alone('red'));
    expect(await ask(client.openai, 'stories')).toBe(await alone(null));
    await server?.close();
    server = null;
  });

  it('leave the queue when their client disconnects', async () => {
    const client = await start({ models: { stories: managed('stories', { adapters: adapters() }) }, parallel: 1 });
    const stream = await client.openai.completions.create({
      model: 'red',
      prompt: PROMPT,
      max_tokens: 200,
      temperature: 0,
      stream: true,
      logit_bias: { 2: -100 },
    });
    const pieces = stream[Symbol.asyncIterator]();
    await pieces.next();
    const controller = new AbortController();
    const left = client.openai.completions.create(
      { model: 'blue', prompt: PROMPT, max_tokens: 2 },
      { signal: controller.signal },
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    controller.abort();
    await expect(left).rejects.toThrow();
    stream.controller.abort();
    expect(await ask(client.openai, 'stories')).toBe(await alone(null));
  });
});
