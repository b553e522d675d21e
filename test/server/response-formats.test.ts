// Answers that parse, whatever the model would rather write.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject } from 'ai';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createDevice, loadModel } from '../../src/index.js';
import { type RunningServer, serve } from '../../src/server/index.js';
import { testData } from '../test-data.js';
import { TEMPLATE } from './served.js';

describe('response formats', () => {
  const { bytes } = testData('gguf');
  const base = { model: 'qwen', messages: [{ role: 'user' as const, content: 'Weather?' }], max_tokens: 60 };
  let server: RunningServer & { end(): void };
  let client: OpenAI;
  beforeAll(async () => {
    const device = await createDevice({ threads: 2 });
    const model = await loadModel(device, { 'model.gguf': await bytes('qwen2.Q8_0.gguf') });
    model.tokenizer!.chatTemplate = TEMPLATE;
    server = {
      ...(await serve({ models: { qwen: model }, port: 0, log: 'none', context: 256 })),
      end: () => device.dispose(),
    };
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
  });
  afterAll(async () => {
    await server?.close();
    server?.end();
  });

  it('answers with JSON of the schema: greedy, sampled, several at once', async () => {
    const schema = z.object({ city: z.string(), degrees: z.int().min(-60).max(60), kind: z.enum(['sun', 'rain']) });
    for (const temperature of [0, 1.5]) {
      const { choices } = await client.chat.completions.parse({
        ...base,
        temperature,
        seed: 3,
        n: 3,
        response_format: zodResponseFormat(schema, 'weather'),
      });
      expect(choices.length).toBe(3);
      for (const { message, finish_reason: reason } of choices) {
        expect(reason).toBe('stop');
        expect(schema.parse(message.parsed)).toEqual(message.parsed);
      }
    }
  });

  it("accepts llama.cpp's fields grammar and json_schema, in chats and completions", async () => {
    const grammar = 'root ::= day " " [0-9]{1,2}\nday ::= "Mon" | "Tue"';
    const schema = { type: 'object', properties: { n: { type: 'integer', minimum: 1, maximum: 9 } }, required: ['n'] };
    const chat = async (more: object) => {
      const { choices } = await client.chat.completions.create({ ...base, temperature: 1, seed: 2, ...more });
      return choices[0]!;
    };
    const complete = async (more: object) => {
      const given = { model: 'qwen', prompt: 'On', max_tokens: 60, temperature: 1, seed: 2, ...more };
      return (await client.completions.create(given)).choices[0]!;
    };
    const said = await chat({ grammar });
    expect(said.message.content).toMatch(/^(Mon|Tue) \d{1,2}$/);
    expect(said.finish_reason).toBe('stop');
    expect((await complete({ grammar })).text).toMatch(/^(Mon|Tue) \d{1,2}$/);
    expect(JSON.parse((await chat({ json_schema: schema })).message.content!).n).toBeGreaterThan(0);
    expect(JSON.parse((await complete({ json_schema: schema })).text).n).toBeLessThan(10);
    const tools = [{ type: 'function', function: { name: 'f' } }];
    const format = { response_format: { type: 'json_object' } };
    for (const [wrong, param] of [
      [{ grammar: 'root ::= (' }, 'grammar'],
      [{ grammar: 'root ::= <think>' }, 'grammar'],
      [{ grammar: 'x'.repeat(40_000) }, 'grammar'],
      [{ grammar, json_schema: schema }, 'json_schema'],
      [{ grammar, ...format }, 'grammar'],
      [{ grammar, tools }, 'grammar'],
      [{ json_schema: { type: 'nothing' } }, 'json_schema'],
    ] as const)
      await expect(chat(wrong), JSON.stringify(wrong).slice(0, 80)).rejects.toMatchObject({ status: 400, param });
    await expect(complete({ grammar, json_schema: schema })).rejects.toMatchObject({ status: 400 });
  });

  it('streams any object', async () => {
    const stream = await client.chat.completions.create({
      ...base,
      stream: true,
      temperature: 1,
      seed: 1,
      response_format: { type: 'json_object' },
    });
    let answer = '';
    for await (const { choices } of stream) answer += choices[0]?.delta.content ?? '';
    expect(JSON.parse(answer)).toBeTypeOf('object');
  });

  it("names max_tokens and OpenAI's fields if a format does not fit or is impossible", async () => {
    const refusal = async (schema: Record<string, unknown>) => {
      const response_format = { type: 'json_schema' as const, json_schema: { name: 'x', schema } };
      return client.chat.completions.create({ ...base, max_tokens: 10, response_format }).catch((error) => error);
    };
    const long = { type: 'object', properties: { a: { type: 'string', minLength: 20 } }, required: ['a'] };
    expect(await refusal(long)).toMatchObject({
      status: 400,
      code: 'response_format_too_long',
      param: 'max_completion_tokens',
      message: expect.stringMatching(
        /for its shortest answer: after 0 tokens of the answer, 10 are left.*'max_tokens'/,
      ),
    });
    expect(await refusal({ type: 'object', properties: { a: false }, required: ['a'] })).toMatchObject({
      status: 400,
      param: 'response_format',
      message: expect.stringContaining("'response_format': nothing that ends"),
    });
  });

  it('returns objects of zod schemas to the AI SDK', async () => {
    const provider = createOpenAICompatible({
      name: 'simdformer',
      baseURL: `${server.url}/v1`,
      apiKey: 'none',
      supportsStructuredOutputs: true,
    });
    const schema = z.object({
      counts: z.record(z.string(), z.int().min(0).max(9)),
      pair: z.tuple([z.enum(['a', 'b']), z.boolean()]),
      shape: z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('circle'), radius: z.int().min(1).max(5) }),
        z.object({ kind: z.literal('square'), side: z.int().min(1).max(5) }),
      ]),
      day: z.iso.date(),
    });
    const model = provider('qwen');
    for (const seed of [1, 2]) {
      const options = { model, schema, seed, temperature: 1.2, maxOutputTokens: 150, maxRetries: 0 };
      const { object } = await generateObject({ ...options, prompt: 'Weather?' });
      expect(schema.parse(object)).toEqual(object);
    }
  });

  it('refuses unsupported schemas', async () => {
    const schema = { type: 'object', patternProperties: { x: {} } };
    const format = { type: 'json_schema' as const, json_schema: { name: 'x', schema } };
    await expect(client.chat.completions.create({ ...base, response_format: format })).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('patternProperties'),
    });
  });
});
