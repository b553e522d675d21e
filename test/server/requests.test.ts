// Fields of requests, and refusals.
import { request } from 'node:http';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openai } from '../../src/server/index.js';
import { effortVariables } from '../../src/server/reasoning-effort.js';
import { type Served, startServer } from './served.js';

interface Choice {
  readonly index: number;
  readonly text: string;
  readonly finish_reason: string;
  readonly logprobs: { readonly tokens: string[]; readonly token_logprobs: number[]; readonly text_offset: number[] };
}

const base = { model: 'stories', prompt: 'Once upon a time', max_tokens: 12 };

describe('requests', () => {
  let server: Served;
  beforeAll(async () => {
    server = await startServer({ parallel: 4, maxWaiting: 4, maxBodyBytes: 20_000 });
  });
  afterAll(() => server?.end());

  const complete = async (options: object): Promise<Choice[]> => {
    const response = await server.post('/v1/completions', { ...base, ...options });
    const json = (await response.json()) as { choices: Choice[] };
    expect(json).toHaveProperty('choices');
    return json.choices;
  };
  const textOf = async (options: object) => (await complete(options))[0]!.text;
  const refusal = async (path: string, body: unknown, init: RequestInit = {}) => {
    const response = await server.post(path, body, init);
    const { error } = (await response.json()) as { error: { message: string; code: string; param: string } };
    return { status: response.status, ...error };
  };

  it('gives equal texts for equal seeds, beside any other requests; several answers differ', async () => {
    const seeded = { seed: 7, n: 3, max_tokens: 20 };
    const alone = await complete(seeded);
    const beside = [1, 2, 3, 4, 5].map((seed) => complete({ seed, prompt: `The ${seed} dogs`, max_tokens: 9 + seed }));
    const [together] = await Promise.all([complete(seeded), ...beside.slice(0, 3)]);
    await Promise.all(beside);
    expect(together).toEqual(alone);
    expect(new Set(alone.map(({ text }) => text)).size).toBe(3);
    expect(await textOf({ seed: 8, max_tokens: 20 })).not.toBe(alone[0]!.text);
  });

  it('stops before a stop string, and never sends a part of it, also in streams', async () => {
    const whole = await textOf({ temperature: 0, max_tokens: 40 });
    const stop = whole.slice(15, 19);
    const before = whole.slice(0, whole.indexOf(stop));
    const [choice] = await complete({ temperature: 0, max_tokens: 40, stop: ['never', stop] });
    expect([choice!.text, choice!.finish_reason]).toEqual([before, 'stop']);
    const response = await server.post('/v1/completions', {
      ...base,
      temperature: 0,
      max_tokens: 40,
      stop,
      stream: true,
    });
    const events = (await response.text()).trim().split('\n\n').slice(0, -1);
    const texts = events.map((event) => JSON.parse(event.slice('data: '.length)).choices[0].text);
    expect(texts.join('')).toBe(before);
  });

  it('returns log-probabilities, and the positions of tokens', async () => {
    const [{ text, logprobs }] = (await complete({ temperature: 0, logprobs: 2 })) as [Choice];
    expect(logprobs.tokens.join('')).toBe(text);
    expect(logprobs.text_offset).toEqual(logprobs.tokens.map((_, i) => logprobs.tokens.slice(0, i).join('').length));
    expect(logprobs.token_logprobs.every((value) => value < 0)).toBe(true);
  });

  it('returns log-probabilities of the text before a stop string that spans tokens', async () => {
    const [{ text, logprobs }] = (await complete({ temperature: 0, logprobs: 0, max_tokens: 30 })) as [Choice];
    const at = logprobs.tokens.slice(0, 8).join('').length; // from the middle of one token into the next
    const stop = text.slice(at - 1, at + 2);
    const [cut] = (await complete({ temperature: 0, logprobs: 0, max_tokens: 30, stop })) as [Choice];
    expect(cut.text).toBe(text.slice(0, text.indexOf(stop)));
    const told = cut.logprobs.tokens.join('');
    expect([told.startsWith(cut.text), told.length - cut.text.length < 10]).toEqual([true, true]);
    expect(cut.logprobs.tokens).toEqual(logprobs.tokens.slice(0, cut.logprobs.tokens.length));
  });

  it('passes the effort of reasoning to the chat template', async () => {
    expect(effortVariables('low')).toEqual({ enable_thinking: true, reasoning_effort: 'low' });
    expect([effortVariables('none').enable_thinking, effortVariables(undefined)]).toEqual([false, {}]);
    const body = { model: 'stories', messages: [{ role: 'user', content: 'x' }], max_tokens: 2 };
    expect((await server.post('/v1/chat/completions', { ...body, reasoning_effort: 'low' })).status).toBe(200);
    expect((await server.post('/v1/messages', { ...body, output_config: { effort: 'max' } })).status).toBe(200);
  });

  it("echoes the given prompt, and refuses unsupported fields by OpenAI's names", async () => {
    const prompt = 'Once  upon\na TIME é';
    expect(await textOf({ prompt, echo: true, temperature: 0 })).toBe(
      prompt + (await textOf({ prompt, temperature: 0 })),
    );
    for (const [path, fields] of [
      ['completions', { suffix: 'x' }],
      ['completions', { echo: true, logprobs: 1 }],
      ['chat/completions', { functions: [] }],
      ['chat/completions', { audio: {} }],
      ['chat/completions', { prediction: {} }],
    ] as const) {
      const body = path === 'completions' ? base : { model: 'stories', messages: [{ role: 'user', content: 'x' }] };
      const [param] = Object.keys(fields);
      expect(await refusal(`/v1/${path}`, { ...body, ...fields })).toMatchObject({
        status: 400,
        param,
        code: 'unsupported_parameter',
      });
    }
  });

  it('biases, penalties and the lowest temperature change the answer', async () => {
    const greedy = { temperature: 0, max_tokens: 60 };
    const plain = await textOf(greedy);
    const { tokenizer } = server.models.stories;
    const first = tokenizer!.encode('Once upon a time');
    const { sequences } = await server.models.stories.generate([[1, ...first]], { maxNewTokens: 1 });
    const [biased] = await complete({ ...greedy, logit_bias: { [sequences[0]![0]!]: -100 } });
    expect(biased!.text).not.toBe(plain);
    const penalised = await textOf({ ...greedy, frequency_penalty: 2, presence_penalty: 2 });
    expect(penalised).not.toBe(plain);
    expect(await textOf({ ...greedy, temperature: 1e-5 })).toBe(plain);
    expect(await textOf({ ...greedy, temperature: 1, top_k: 1 })).toBe(plain);
  });

  it('limits the number of tokens to the room in the context', async () => {
    const response = await server.post('/v1/completions', { ...base, max_tokens: 100_000, logit_bias: { 2: -100 } });
    const { choices, usage } = (await response.json()) as { choices: Choice[]; usage: { total_tokens: number } };
    expect([choices[0]!.finish_reason, usage.total_tokens]).toEqual(['length', 512]);
  });

  it("refuses with errors in OpenAI's format", async () => {
    const path = '/v1/completions';
    expect(await refusal(path, { ...base, temprature: 1 })).toMatchObject({
      status: 400,
      code: 'unknown_parameter',
      param: 'temprature',
      message: 'Unrecognized request argument supplied: temprature',
    });
    expect(await refusal(path, { prompt: 'x' })).toMatchObject({
      status: 400,
      param: 'model',
      message: "'model' is missing, expected text",
    });
    expect(await refusal(path, { ...base, temperature: 3 })).toMatchObject({ status: 400, param: 'temperature' });
    expect(await refusal(path, { ...base, stream_options: { include_usage: true } })).toMatchObject({
      status: 400,
      param: 'stream_options',
      message: "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
    });
    const messages = [{ role: 'user', content: 'x' }];
    const without = { model: 'stories', messages, top_logprobs: 1, logprobs: false };
    expect(await refusal('/v1/chat/completions', without)).toMatchObject({
      status: 400,
      param: 'top_logprobs',
      message: "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
    });
    const whole = await server.post(path, { ...base, max_tokens: 1, stream_options: null });
    expect([whole.status, (await whole.text()).length > 0]).toEqual([200, true]);
    expect(await refusal(path, { ...base, model: 'gpt-4' })).toMatchObject({ status: 404, code: 'model_not_found' });
    expect(await refusal(path, { ...base, model: 'vectors' })).toMatchObject({
      status: 400,
      code: 'unsupported_model',
    });
    expect(await refusal(path, { ...base, prompt: Array(600).fill(5) })).toMatchObject({ status: 400 });
    expect(await refusal(path, { ...base, prompt: 'dog '.repeat(800) })).toMatchObject({
      code: 'context_length_exceeded',
    });
    expect(await refusal(path, { ...base, prompt: 'x'.repeat(30_000) })).toMatchObject({ status: 413 });
    expect(await refusal(path, base, { headers: { 'content-type': 'text/plain' } })).toMatchObject({ status: 415 });
    expect(await refusal(path, null, { body: '{' })).toMatchObject({ status: 400, code: 'invalid_json' });
    for (const body of ['[]', '"x"', 'null'])
      expect(await refusal(path, null, { body })).toMatchObject({
        param: null,
        message: `The body is ${body}, expected an object`,
      });
    const bias = { logit_bias: { 999999: 5 } };
    expect(await refusal(path, { ...base, ...bias })).toMatchObject({ status: 400, param: 'logit_bias' });
    for (const unknown of ['/v1/nothing', '/nothing'])
      expect(await refusal(unknown, {})).toMatchObject({ status: 404, code: 'unknown_url' });
    const chat = { model: 'stories', messages: [{ role: 'user', content: 'x' }] };
    const image = { type: 'image_url', image_url: { url: 'file:///etc/passwd' } };
    const shown = { model: 'stories', messages: [{ role: 'user', content: [{ type: 'text', text: 'x' }, image] }] };
    expect(await refusal('/v1/chat/completions', shown)).toMatchObject({
      status: 400,
      param: 'messages[0].content[1]',
      message: 'The model reads no images, expected messages of text',
    });
    const format = { type: 'json_object' };
    expect(await refusal('/v1/chat/completions', { ...chat, response_format: format })).toMatchObject({ status: 400 });
    const wrong = await fetch(`${server.url}/v1/models`, { method: 'DELETE' });
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it('answers 429 with Retry-After when the queue is full, and frees it when clients leave', async () => {
    const long = { ...base, max_tokens: 500, logit_bias: { 2: -100 }, stream: true };
    const controller = new AbortController();
    const open = await Promise.all(
      Array.from({ length: 8 }, () => server.post('/v1/completions', long, { signal: controller.signal })),
    );
    const busy = await server.post('/v1/completions', long);
    expect([busy.status, Number(busy.headers.get('retry-after')) >= 1]).toEqual([429, true]);
    const { error } = (await busy.json()) as { error: object };
    expect(error).toMatchObject({ type: 'rate_limit_error', code: 'queue_full' });
    expect(open.map(({ status }) => status)).toEqual(Array(8).fill(200));
    controller.abort();
    await expect.poll(async () => (await server.post('/v1/completions', base)).status).toBe(200);
  });

  it('notices that a client without streaming has disconnected', async () => {
    const body = JSON.stringify({ ...base, max_tokens: 500, logit_bias: { 2: -100 }, n: 8 });
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const going = request(`${server.url}/v1/completions`, { method: 'POST', headers });
    going.on('error', () => {});
    going.end(body);
    const running = async () => {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      return Number(/simdformer_running\{model="stories"\} (\d+)/.exec(text)?.[1]);
    };
    await expect.poll(running, { interval: 5 }).toBeGreaterThan(0);
    going.destroy();
    await expect.poll(running, { interval: 5 }).toBe(0);
  });

  it('accepts conversations with tool calls, and passes tools to the template', async () => {
    const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }];
    const call = { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city": "Oslo"}' } };
    const messages = [
      { role: 'user', content: [{ type: 'text', text: 'Weather?' }] },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'call_1', content: 'rain' },
    ];
    const tokens = async (body: object) => {
      const response = await server.post('/v1/chat/completions', { model: 'stories', max_tokens: 1, ...body });
      return ((await response.json()) as { usage: { prompt_tokens: number } }).usage.prompt_tokens;
    };
    const without = await tokens({ messages });
    expect(await tokens({ messages, tools, tool_choice: 'none' })).toBe(without);
    expect(await tokens({ messages, tools })).toBeGreaterThan(without);
  });

  it('refuses results of tools that answer no call, as OpenAI does', async () => {
    const user = { role: 'user', content: 'Weather?' };
    const call = { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{}' } };
    const assistant = { role: 'assistant', content: null, tool_calls: [call] };
    const result = { role: 'tool', tool_call_id: 'call_1', content: 'rain' };
    const refused = (...messages: object[]) =>
      refusal('/v1/chat/completions', { model: 'stories', max_tokens: 1, messages });
    const noCall = {
      status: 400,
      message: expect.stringContaining("must be a response to a preceding message with 'tool_calls'"),
    };
    expect(await refused(user, result)).toMatchObject({ ...noCall, param: 'messages[1].role' });
    expect(await refused(user, assistant, user, result)).toMatchObject({ ...noCall, param: 'messages[3].role' });
    const other = await refused(user, assistant, result, { ...result, tool_call_id: 'call_2' });
    const message = "Invalid parameter: 'tool_call_id' of 'call_2' not found in 'tool_calls' of previous message.";
    expect(other).toMatchObject({ status: 400, message, param: 'messages[3].tool_call_id' });
    const output = { type: 'function_call_output', call_id: 'call_9', output: 'rain' };
    const response = await refusal('/v1/responses', { model: 'stories', input: [user, output] });
    const noOutput = 'No tool call found for function call output with call_id call_9.';
    expect(response).toMatchObject({ status: 400, message: noOutput, param: 'input' });
  });

  it('reads both headers with keys at every path', async () => {
    const { stories } = server.models;
    const app = await openai({ models: { stories }, apiKeys: ['k1'] });
    app.get('/', (context) => app.status(context));
    for (const headers of [{ authorization: 'Bearer k1' }, { 'x-api-key': 'k1' }] as Record<string, string>[]) {
      for (const path of ['/v1/models', '/metrics', '/openapi.json'])
        expect([path, (await app.request(path, { headers })).status]).toEqual([path, 200]);
      expect(await (await app.request('/', { headers })).text()).toContain('stories');
    }
    const wrong = { 'x-api-key': 'k2' };
    expect((await app.request('/metrics', { headers: wrong })).status).toBe(401);
    expect(await (await app.request('/', { headers: wrong })).text()).not.toContain('stories');
    await app.close();
  });

  it('can be mounted in an app with its own keys', async () => {
    const { stories } = server.models;
    const told: object[] = [];
    const api = await openai({ models: { stories }, apiKeys: ['k1', 'k2'], onRequest: (entry) => told.push(entry) });
    const app = new Hono().get('/', (context) => context.text('mine')).route('/ai', api);
    expect(await (await app.request('/')).text()).toBe('mine');
    const headers = { authorization: 'Bearer k2', 'content-type': 'application/json' };
    const body = JSON.stringify({ ...base, temperature: 0 });
    const answer = await app.request('/ai/v1/completions', { method: 'POST', headers, body });
    expect(((await answer.json()) as { choices: Choice[] }).choices[0]!.text).toBe(await textOf({ temperature: 0 }));
    expect(told).toMatchObject([{ path: '/v1/completions', status: 200, client: 'key 1', completionTokens: 12 }]);
    expect(JSON.stringify(told)).not.toContain('Once');
    for (const key of ['', 'Bearer', 'Bearer k3', 'Basic k1']) {
      const refused = await app.request('/ai/v1/models', { headers: { authorization: key } });
      expect(refused.status).toBe(401);
    }
    const health = await app.request('/ai/health');
    expect([health.status, await health.json()]).toEqual([200, { status: 'ok' }]); // no models without a key
    await api.close();
    expect((await app.request('/ai/v1/completions', { method: 'POST', headers, body })).status).toBe(503);
  });

  it('names invalid options', async () => {
    const { stories } = server.models;
    await expect(openai({ models: {} })).rejects.toThrow('at least one');
    await expect(openai({ models: { stories }, apiKeys: ['a b'] })).rejects.toThrow('has spaces in it');
    await expect(openai({ models: { stories }, paralel: 2 } as never)).rejects.toThrow('no option paralel');
  });
});
