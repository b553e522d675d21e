// Random and damaged request bodies. None of them causes a server error, and the server keeps answering.
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.js';
import { type Served, startServer } from './served.js';

const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object' } } };
const BODIES: readonly [path: string, body: Record<string, unknown>][] = [
  [
    '/v1/completions',
    { model: 'stories', prompt: 'Once', max_tokens: 2, stop: ['a'], logit_bias: { 5: 1 }, logprobs: 1, n: 1 },
  ],
  [
    '/v1/chat/completions',
    {
      model: 'stories',
      messages: [{ role: 'user', content: 'x' }],
      max_tokens: 2,
      tools: [tool],
      tool_choice: 'auto',
      response_format: { type: 'text' },
      logprobs: true,
      top_logprobs: 1,
      stream: true,
      stream_options: {},
    },
  ],
  ['/v1/embeddings', { model: 'vectors', input: ['C'], encoding_format: 'float', dimensions: 3 }],
];

describe('a server under bodies of chance', () => {
  let server: Served;
  beforeAll(async () => {
    server = await startServer({ parallel: 4 });
  });
  afterAll(() => server?.end());

  const junk = (random: Random, depth = 2): unknown => {
    const pick = <T>(values: readonly T[]) => values[random.below(values.length)] as T;
    const plain = [
      null,
      true,
      0,
      -1,
      1.5,
      1e308,
      2 ** 53,
      '',
      'x',
      '\u0000',
      '\ud800',
      'é'.repeat(300),
      [],
      {},
      'none',
      'required',
    ];
    const nests = [
      () => [junk(random, depth - 1)],
      () => ({ [pick(['type', 'a', '__proto__', '5'])]: junk(random, depth - 1) }),
    ];
    return depth > 0 && random.below(3) === 0 ? pick(nests)() : pick(plain);
  };

  /** Returns the value with one random part replaced, removed or added. */
  const mutated = (random: Random, value: unknown): unknown => {
    if (typeof value !== 'object' || value === null || random.below(4) === 0) return junk(random);
    const copy = structuredClone(value) as Record<string, unknown>;
    const names = Object.keys(copy);
    const name = names[random.below(names.length + 1)] ?? 'added';
    if (random.below(6) === 0) delete copy[name];
    else copy[name] = mutated(random, copy[name]);
    return copy;
  };

  it('refuses them as invalid requests', async () => {
    const seen = new Set<number>();
    for (let seed = 0; seed < 400; seed++) {
      const random = new Random(seed, 11);
      const [path, body] = BODIES[seed % BODIES.length] as (typeof BODIES)[number];
      let text = JSON.stringify(mutated(random, body)) ?? '';
      if (seed % 10 === 0) text = text.slice(0, random.below(text.length));
      const response = await server.post(path, null, { body: text });
      const answer = await response.text();
      seen.add(response.status);
      expect(response.status, `${path} ${text}: ${answer}`).toBeLessThan(500);
      if (response.status >= 400)
        expect(JSON.parse(answer), text).toMatchObject({ error: { message: expect.any(String) } });
      expect(answer, text).not.toContain('"server_error"'); // an answer that has begun reports errors as an event
    }
    expect([...seen].sort()).toEqual(expect.arrayContaining([200, 400]));
  });

  it('keeps answering while other clients send slowly or hang up', async () => {
    const { hostname, port } = new URL(server.url);
    const head =
      'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{';
    const slow = Array.from({ length: 20 }, () => {
      const socket = connect(Number(port), hostname, () => socket.write(head));
      return socket.on('error', () => {});
    });
    const [path, body] = BODIES[0] as (typeof BODIES)[number];
    expect((await server.post(path, body)).status).toBe(200);
    for (const socket of slow) socket.destroy();
    expect((await server.post(path, body)).status).toBe(200);
    expect(await (await fetch(`${server.url}/metrics`)).text()).toContain('simdformer_running{model="stories"} 0');
  });
});
