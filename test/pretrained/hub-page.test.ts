// Cache of the hub in pages, tested in Node with a Cache storage made of a map.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { HubClient } from '../../src/pretrained/hub-client.js';
import { openPageCache } from '../../src/pretrained/hub-page.js';
import { cutting, Hub, SHA } from './hub-server.js';

const weights = Buffer.alloc((1 << 25) + 1000); // two parts and a bit
for (let i = 0; i < weights.length; i += 997) weights[i] = i;

/** The used part of Cache storage. */
class Caches {
  readonly entries = new Map<string, Response>();
  async open() {
    return {
      match: async (key: string) => this.entries.get(key)?.clone(),
      put: async (key: string, response: Response) => void this.entries.set(key, response),
    };
  }
}

let hub: Hub;
let caches: Caches;
beforeEach(async () => {
  hub = await new Hub({ 'model.safetensors': weights }).start();
  caches = new Caches();
  vi.stubGlobal('caches', caches);
});
afterEach(async () => {
  vi.unstubAllGlobals();
  await hub.stop();
});

async function open(signal?: AbortSignal) {
  const cache = await openPageCache('huggingface-hub', hub.endpoint, 'org/model');
  const client = new HubClient({ endpoint: hub.endpoint, token: undefined, signal }, 'org/model');
  const url = `${hub.endpoint}/org/model/resolve/${SHA}/model.safetensors`;
  const file = { name: 'model.safetensors', size: weights.length };
  const loaded: number[] = [];
  return { cache, loaded, fetch: () => cache.fetch(SHA, file, url, client, (now) => loaded.push(now)) };
}

it('keeps files in parts, and reads them as one', async () => {
  const { cache, fetch, loaded } = await open();
  expect(await cache.open(SHA, 'model.safetensors')).toBeNull();
  await fetch();
  expect(loaded[0]).toBe(0);
  expect(loaded.at(-1)).toBe(weights.length);
  const file = (await cache.open(SHA, 'model.safetensors'))!;
  expect(file.size).toBe(weights.length);
  const bytes = new Uint8Array(weights.length);
  await file.readAsync!(0, bytes);
  expect(weights.equals(bytes)).toBe(true);
  hub.requests.length = 0;
  await fetch(); // all parts are there
  expect(hub.requests).toEqual([]);
});

it('resumes at once after a lost connection, and later with the cached parts', async () => {
  const controller = new AbortController();
  hub.faults = [cutting(weights, 1 << 20, 1)];
  const first = await open(controller.signal);
  first.loaded.push = (now) => {
    if (now > 1 << 24) controller.abort(new Error('closed'));
    return 0;
  };
  await expect(first.fetch()).rejects.toThrow('closed');
  expect(await first.cache.open(SHA, 'model.safetensors')).toBeNull();
  hub.requests.length = 0;
  const { cache, fetch } = await open();
  await fetch();
  const ranges = hub.requests.filter(({ host }) => host === 'store').map(({ range }) => range);
  expect(ranges).toEqual([`bytes=${1 << 24}-${(1 << 25) - 1}`, `bytes=${1 << 25}-`]);
  const bytes = new Uint8Array(weights.length);
  await (await cache.open(SHA, 'model.safetensors'))!.readAsync!(0, bytes);
  expect(weights.equals(bytes)).toBe(true);
});

it('remembers a revision and its files', async () => {
  const { cache } = await open();
  expect(await cache.remembered('main')).toBeNull();
  const found = { sha: SHA, files: new Map([['config.json', { name: 'config.json', size: 3, etag: 'x' }]]) };
  await cache.remember('main', found);
  expect(await cache.remembered('main')).toEqual(found);
});

it('reports that there is no Cache storage', async () => {
  vi.stubGlobal('caches', undefined);
  await expect(openPageCache('x', hub.endpoint, 'org/model')).rejects.toThrow(/Cache storage is not available/);
});
