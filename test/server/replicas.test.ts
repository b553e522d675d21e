// Three replicas of the server behind examples/deploy/replicas/balancer.mjs.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RunningServer, serve } from '../../src/server/index.js';
import { type SmallModels, smallModels } from '../frameworks/small-models.js';

const { balance, ordered } = (await import('../../examples/deploy/replicas/balancer.mjs' as string)) as {
  balance(urls: readonly string[], port: number): Server;
  ordered(urls: readonly string[], prefix: string): string[];
};

let models: SmallModels;
let replicas: RunningServer[];
let balancer: Server;
let client: OpenAI;
beforeAll(async () => {
  models = await smallModels();
  const { stories } = models;
  replicas = await Promise.all(
    [1, 2, 3].map(() => serve({ models: { stories }, port: 0, log: 'none', context: 512, parallel: 2 })),
  );
  balancer = balance(
    replicas.map(({ url }) => url),
    0,
  );
  await new Promise((resolve) => balancer.once('listening', resolve));
  const { port } = balancer.address() as AddressInfo;
  client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  balancer?.close();
  balancer?.closeAllConnections();
  for (const replica of replicas ?? []) await replica.close();
  models?.end();
});

const opening = (topic: string) => `You tell stories about ${topic}. They are short, kind and end well. `.repeat(4);
const ask = (topic: string, question: string) =>
  client.chat.completions
    .create({
      model: 'stories',
      messages: [
        { role: 'system', content: opening(topic) },
        { role: 'user', content: question },
      ],
      max_tokens: 8,
      temperature: 0,
    })
    .withResponse();

it('sends prompts that begin alike to the replica that has their beginning in its cache', async () => {
  const seen = new Set<string | null>();
  for (const topic of ['cats', 'dogs', 'birds', 'ships', 'trees', 'rain', 'bread', 'snow']) {
    const first = await ask(topic, 'One?');
    const second = await ask(topic, 'Two?');
    const replica = first.response.headers.get('x-replica');
    seen.add(replica);
    expect(second.response.headers.get('x-replica')).toBe(replica);
    expect(second.data.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(50);
  }
  expect(seen.size).toBeGreaterThan(1);
});

it('streams answers as a replica does', async () => {
  const request = { model: 'stories', prompt: 'Once there was a cat', max_tokens: 16, temperature: 0 };
  const direct = new OpenAI({ baseURL: `${replicas[0]?.url}/v1`, apiKey: 'none' });
  const expected = (await direct.completions.create(request)).choices[0]?.text;
  let text = '';
  const stream = await client.completions.create({ ...request, stream: true });
  for await (const { choices } of stream) text += choices[0]?.text ?? '';
  expect(text).toBe(expected);
  expect(text.length).toBeGreaterThan(20);
});

it('moves only the prefixes of a replica that leaves', async () => {
  const urls = replicas.map(({ url }) => url);
  const prefixes = Array.from({ length: 300 }, (_, i) => `prefix ${i}`);
  const [left = '', ...rest] = urls;
  const counts = urls.map((url) => prefixes.filter((prefix) => ordered(urls, prefix)[0] === url).length);
  for (const count of counts) expect(count).toBeGreaterThan(60); // 100 expected; 60 is five deviations below
  for (const prefix of prefixes) {
    const before = ordered(urls, prefix)[0];
    if (before !== left) expect(ordered(rest, prefix)[0]).toBe(before);
  }
});

it('answers every request while a replica shuts down', async () => {
  const [gone] = replicas;
  const asked = ['a', 'b', 'c', 'd', 'e', 'f'].map((topic) => ask(topic, 'One?'));
  await gone?.close();
  const again = ['a', 'b', 'c', 'd', 'e', 'f'].map((topic) => ask(topic, 'Two?'));
  const answers = await Promise.all([...asked, ...again]);
  for (const { data } of answers) expect(data.choices[0]?.finish_reason).toBe('length');
  for (const { response } of await Promise.all(again)) expect(response.headers.get('x-replica')).not.toBe(gone?.url);
});
