// One client must not stop the server, nor learn what others ask.
import { connect, type Socket } from 'node:net';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openai, type RequestEntry, serve } from '../../src/server/index.js';
import { type TokenBound, tokenBoundOf } from '../../src/tasks/chat/token-bound.js';
import { byteTokenizer } from '../constrain/byte-tokenizer.js';
import { type Served, startServer } from './served.js';

const chat = { model: 'stories', messages: [{ role: 'user', content: 'x' }], max_tokens: 4 };

describe('a hostile client', () => {
  let server: Served;
  const entries: RequestEntry[] = [];
  beforeAll(async () => {
    server = await startServer({ parallel: 4, onRequest: (entry) => entries.push(entry) });
  });
  afterAll(() => server?.end());

  const errorOf = async (response: Response) => {
    const { error } = (await response.json()) as { error: { message: string; code: string; param: string } };
    return { status: response.status, ...error };
  };
  const nested = (depth: number, open: string, close: string) => `${open.repeat(depth)}1${close.repeat(depth)}`;

  it('sends deep JSON, and gets 400', async () => {
    const deep = nested(100_000, '[', ']');
    for (const body of [
      `{"model":"stories","messages":${deep}}`,
      `{"model":"stories","unknown":${nested(100_000, '{"a":', '}')}}`,
      JSON.stringify({ ...chat, tools: [{ type: 'function', function: { name: 'f', parameters: 0 } }] }).replace(
        '"parameters":0',
        `"parameters":{"const":${deep}}`,
      ),
    ])
      expect(await errorOf(await server.post('/v1/chat/completions', null, { body }))).toMatchObject({
        status: 400,
        code: 'nested_too_deep',
      });
    const call = { id: 'c', type: 'function', function: { name: 'f', arguments: `{"a":${deep}}` } };
    const messages = [...chat.messages, { role: 'assistant', tool_calls: [call] }];
    expect(await errorOf(await server.post('/v1/chat/completions', { ...chat, messages }))).toMatchObject({
      status: 400,
      param: 'messages[1].tool_calls[0].function.arguments',
    });
    const text = nested(1000, '[', ']'); // brackets in text are not nesting
    expect(
      (await server.post('/v1/completions', { model: 'stories', prompt: text.slice(0, 200), max_tokens: 1 })).status,
    ).toBe(200);
  });

  it('sends schemas that are deep or unsatisfiable, and gets 400 with the field', async () => {
    const tool = (parameters: object) => ({
      tools: [{ type: 'function', function: { name: 'f', parameters } }],
      tool_choice: 'required',
    });
    const format = (schema: object) => ({
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema } },
    });
    const impossible = { type: 'object', properties: { a: false }, required: ['a'] };
    const deep = JSON.parse(nested(140, '{"items":', '}').replace('1', 'true'));
    for (const [fields, param, message] of [
      [format(deep), 'response_format', 'levels deep'],
      [tool(deep), 'tools', 'levels deep'],
      [format(impossible), 'response_format', 'nothing that ends'],
      [tool(impossible), 'tools', 'nothing that ends'],
      [format({ $ref: '#/__proto__' }), 'response_format', 'which is not there'],
      [format({ $defs: {}, $ref: '#/$defs/constructor' }), 'response_format', 'which is not there'],
      [format({ type: 'string', pattern: `^(${'ab|'.repeat(20_000)}c)$` }), 'response_format', 'a pattern has'],
    ] as const) {
      const error = await errorOf(await server.post('/v1/chat/completions', { ...chat, ...fields }));
      expect(error).toMatchObject({ status: 400, param });
      expect(error.message).toContain(message);
      expect(error.message).not.toContain('responseFormat');
    }
  });

  it('is refused at once with a form of 50,000 fields', async () => {
    const part = '--XX\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n';
    const response = await fetch(`${server.url}/v1/audio/transcriptions`, {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=XX' },
      body: `${part.repeat(50_000)}--XX--\r\n`,
    });
    expect(await errorOf(response)).toMatchObject({ status: 400, code: 'too_many_fields' });
  });

  it('does not cause a server error by leaving while it sends a body', async () => {
    const { hostname, port } = new URL(server.url);
    const before = entries.length;
    const head =
      'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{';
    const socket = connect(Number(port), hostname, () =>
      socket.write(head, () => setTimeout(() => socket.destroy(), 50)),
    );
    await expect.poll(() => entries.length, { timeout: 10_000 }).toBeGreaterThan(before);
    expect(entries.at(-1)).toMatchObject({ status: 499, error: 'cancelled' });
  });

  it('speaks HTTP/1.0 without Host', async () => {
    const { hostname, port } = new URL(server.url);
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(Number(port), hostname, () => socket.write('GET /health HTTP/1.0\r\n\r\n'));
      socket
        .setEncoding('utf8')
        .on('data', (piece) => (text += piece))
        .on('close', () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('cannot learn the prefixes of requests with other keys, unless prefixes are shared', async () => {
    const cached = async (options: object, second: string) => {
      const api = await openai({ models: { stories: server.models.stories }, apiKeys: ['k1', 'k2'], ...options });
      const ask = async (key: string) => {
        const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
        const body = JSON.stringify({ model: 'stories', prompt: 'A secret dog '.repeat(20), max_tokens: 1 });
        const answer = await api.request('/v1/completions', { method: 'POST', headers, body });
        const { usage } = (await answer.json()) as { usage: { prompt_tokens_details: { cached_tokens: number } } };
        return usage.prompt_tokens_details.cached_tokens;
      };
      const first = await ask('k1');
      const counts = [first, await ask(second)];
      await api.close();
      return counts;
    };
    expect(await cached({}, 'k2')).toEqual([0, 0]);
    expect((await cached({}, 'k1'))[1]).toBeGreaterThan(20);
    expect((await cached({ sharePrefixes: true }, 'k2'))[1]).toBeGreaterThan(20);
  });

  it('reads no document without a key', async () => {
    const api = await openai({ models: { stories: server.models.stories }, apiKeys: ['k'] });
    expect((await api.request('/openapi.json')).status).toBe(401);
    expect((await api.request('/openapi.json', { headers: { authorization: 'Bearer k' } })).status).toBe(200);
    await api.close();
  });

  it('may be a web page only of an allowed origin', async () => {
    const api = await openai({ models: { stories: server.models.stories }, apiKeys: ['k'], cors: 'https://a.example' });
    const app = new Hono().route('/ai', api);
    const preflight = (origin: string) =>
      app.request('/ai/v1/chat/completions', {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'authorization,content-type',
        },
      });
    const allowed = await preflight('https://a.example');
    expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([204, 'https://a.example']);
    expect(allowed.headers.get('access-control-allow-headers')).toContain('authorization');
    expect((await preflight('https://b.example')).headers.get('access-control-allow-origin')).toBeNull();
    const get = await app.request('/ai/v1/models', {
      headers: { origin: 'https://a.example', authorization: 'Bearer k' },
    });
    expect([get.status, get.headers.get('access-control-allow-origin')]).toEqual([200, 'https://a.example']);
    await api.close();
    await expect(openai({ models: { stories: server.models.stories }, cors: 'a.example/x' })).rejects.toThrow(
      'cors is "a.example/x", expected \'*\' or origins',
    );
  });

  it('can embed a text that is too long only if truncation is allowed', async () => {
    const input = 'C'.repeat(3000);
    const error = await errorOf(await server.post('/v1/embeddings', { model: 'vectors', input }));
    expect(error).toMatchObject({ status: 400, code: 'context_length_exceeded' });
    const response = await server.post('/v1/embeddings', { model: 'vectors', input, truncate: true });
    const { usage } = (await response.json()) as { usage: { prompt_tokens: number } };
    expect([response.status, usage.prompt_tokens <= 512]).toEqual([200, true]);
  });
});

describe('closing a server', () => {
  const silent = (url: string, text: string) =>
    new Promise<Socket>((resolve) => {
      const { hostname, port } = new URL(url);
      const socket = connect(Number(port), hostname, () =>
        socket.write(text || '', () => setTimeout(() => resolve(socket), 50)),
      );
      socket.on('error', () => {});
    });

  it('does not wait for idle connections and incomplete requests', async () => {
    const server = await startServer({ drainSeconds: 60 });
    const head = 'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n';
    const sockets = await Promise.all(
      ['', head, `${head}content-length: 1000\r\n\r\n{`].map((text) => silent(server.url, text)),
    );
    const closed = sockets.map((socket) => new Promise((resolve) => socket.on('close', resolve).resume()));
    await server.end();
    await Promise.all(closed);
  });

  it('ends requests that last longer than drainSeconds', async () => {
    const server = await startServer({ drainSeconds: 0.2 });
    const { stories } = server.models;
    const other = await serve({ models: { stories }, port: 0, log: 'none', drainSeconds: 0 });
    const body = { model: 'stories', prompt: 'Once', max_tokens: 400, logit_bias: { 2: -100 }, n: 16, stream: true };
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const response = await fetch(`${other.url}/v1/completions`, init);
    await other.close();
    await expect(response.text()).rejects.toThrow();
    await server.end();
  });
});

describe('a lower bound of the number of tokens', () => {
  const letters = 'aé \u4e2d"\u1112\u1161\u11ab\u0301{}ab\ntrue10';
  const isSound = (bound: TokenBound, count: (text: string) => number) => {
    for (let seed = 0; seed < 200; seed++) {
      const text = Array.from(
        { length: 1 + (seed % 50) },
        (_, i) => letters[(seed * 31 + i * (1 + (seed % 7))) % letters.length],
      ).join('');
      expect(bound(text), JSON.stringify(text)).toBeLessThanOrEqual(count(text));
    }
  };

  it('is correct and useful for byte-level tokenizers, also with NFC', async () => {
    const tokenizer = await byteTokenizer();
    const bound = await tokenBoundOf(tokenizer);
    isSound(bound, (text) => tokenizer.encode(text).length);
    expect(bound('a'.repeat(4e6))).toBeGreaterThan(100_000);
    const composing = await byteTokenizer({ type: 'NFC' });
    isSound(await tokenBoundOf(composing), (text) => composing.encode(text).length);
    expect((await tokenBoundOf(composing))('a'.repeat(4e6))).toBeGreaterThan(100_000);
  });

  it('is 0 for a normalizer that may delete text', async () => {
    const deleting = await byteTokenizer({ type: 'Strip', strip_left: true, strip_right: true });
    expect((await tokenBoundOf(deleting))(' '.repeat(1e6))).toBe(0);
  });
});
