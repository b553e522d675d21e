// Answers that must be calls of tools, in the syntax of several models, by the clients that people have.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, streamText, type ToolSet, tool } from 'ai';
import { Ajv } from 'ajv';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createDevice, loadModel } from '../../src/index.js';
import type { LoadedModel } from '../../src/pretrained/index.js';
import { type RunningServer, serve } from '../../src/server/index.js';
import type { PretrainedTokenizer } from '../../src/tokenizers/huggingface.js';
import { testData } from '../test-data.js';

const begin =
  '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if tools %}{{ tools | length }}{% endif %}';
const TEMPLATES = {
  hermes: '<tool_call>',
  mistral: '[TOOL_CALLS]',
  tekken: '[TOOL_CALLS][ARGS]',
  llama: '"parameters": <|python_tag|>',
  bare: '',
};

const place = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 6 }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'],
  additionalProperties: false,
};
const sum = {
  type: 'object',
  properties: { of: { $ref: '#/$defs/list' } },
  required: ['of'],
  $defs: { list: { type: 'array', items: { type: 'integer', minimum: -99, maximum: 99 }, maxItems: 3 } },
};
const schemas: Record<string, object> = { weather: place, sum };
const tools = Object.entries(schemas).map(([name, parameters]) => ({
  type: 'function' as const,
  function: { name, parameters: parameters as Record<string, unknown> },
}));
const ajv = new Ajv({ strict: false });

describe('calls that are asked for', () => {
  const { bytes } = testData('gguf');
  let server: RunningServer;
  let client: OpenAI;
  let end = () => {};
  const tokenizers: Record<string, PretrainedTokenizer> = {};
  const base = { messages: [{ role: 'user' as const, content: 'Weather?' }], max_tokens: 200, tools };
  beforeAll(async () => {
    const device = await createDevice({ threads: 2 });
    const file = await bytes('qwen2.Q8_0.gguf');
    const models: Record<string, LoadedModel> = {};
    for (const [name, marks] of Object.entries(TEMPLATES)) {
      models[name] = await loadModel(device, { 'model.gguf': file });
      tokenizers[name] = models[name].tokenizer!;
      tokenizers[name].chatTemplate = `${begin}{# ${marks} #}assistant: `;
    }
    server = await serve({ models, port: 0, log: 'none', parallel: 4 });
    client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
    end = () => device.dispose();
  });
  afterAll(async () => {
    await server?.close();
    end();
  });

  type Call = { function: { name: string; arguments: string } };
  const check = (calls: readonly Call[]) => {
    for (const { function: called } of calls) {
      const fits = ajv.validate(schemas[called.name] ?? false, JSON.parse(called.arguments));
      expect(fits, `${called.name} ${called.arguments}`).toBe(true);
    }
  };

  describe.each(Object.keys(TEMPLATES))('%s', (model) => {
    it('required: gives at least one call, and exactly one without parallel_tool_calls', async () => {
      const counts: number[] = [];
      for (const parallel_tool_calls of [true, false]) {
        const { choices } = await client.chat.completions.create({
          ...base,
          model,
          tool_choice: 'required',
          parallel_tool_calls,
          n: 4,
          seed: 5,
          temperature: 1.5,
        });
        for (const { message, finish_reason: reason } of choices) {
          const calls = message.tool_calls as unknown as Call[];
          check(calls);
          expect(message.content).toBeNull();
          // Calls may follow each other until no token is left; then the last one ends in time.
          expect(parallel_tool_calls ? ['tool_calls', 'length'] : ['tool_calls']).toContain(reason);
          expect(calls.length).toBeGreaterThanOrEqual(1);
          if (!parallel_tool_calls) expect(calls.length).toBe(1);
          counts.push(calls.length);
        }
      }
    });

    it('streams the call of a named function while it is generated', async () => {
      const stream = client.chat.completions.stream({
        ...base,
        model,
        tool_choice: { type: 'function', function: { name: 'sum' } },
        seed: 2,
      });
      let pieces = 0;
      const starts: unknown[] = [];
      for await (const { choices } of stream)
        for (const each of choices[0]?.delta.tool_calls ?? []) {
          if (each.id !== undefined)
            starts.push([each.index, each.type, each.function?.name, each.function?.arguments]);
          else pieces++;
        }
      expect(starts).toEqual([[0, 'function', 'sum', '']]);
      expect(pieces).toBeGreaterThan(1);
      const { choices } = await stream.finalChatCompletion();
      expect(choices[0]!.finish_reason).toBe('stop'); // OpenAI's, where a request names the function
      const calls = choices[0]!.message.tool_calls as unknown as Call[];
      check(calls);
      const { stream: _, ...whole } = { ...base, model, stream: false };
      const again = await client.chat.completions.create({
        ...whole,
        tool_choice: { type: 'function', function: { name: 'sum' } },
        seed: 2,
      });
      expect((again.choices[0]!.message.tool_calls as unknown as Call[])[0]!.function).toMatchObject(
        calls[0]!.function,
      );
    });
  });

  it('auto: calls of strict tools satisfy their schemas', async () => {
    const strict = tools.map(({ type, function: called }) => ({ type, function: { ...called, strict: true } }));
    const brace = tokenizers.bare!.encode('{', { addSpecial: false })[0]!;
    const given = {
      ...base,
      model: 'bare',
      tools: strict,
      parallel_tool_calls: false,
      seed: 3,
      temperature: 1.5,
      n: 4,
    };
    const { choices } = await client.chat.completions.create({ ...given, logit_bias: { [brace]: 50 } });
    for (const { message, finish_reason: reason } of choices) {
      check(message.tool_calls as unknown as Call[]);
      expect([message.content, reason]).toEqual([null, 'tool_calls']);
    }
    const plain = await client.chat.completions.create({ ...given, max_tokens: 10 });
    for (const { message } of plain.choices)
      expect([message.tool_calls, typeof message.content]).toEqual([undefined, 'string']);
    const odd = {
      type: 'function' as const,
      function: { name: 'odd', strict: true, parameters: { patternProperties: {} } },
    };
    await expect(client.chat.completions.create({ ...given, tools: [odd] })).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining("'odd'"),
    });
  });

  it('supports allowed_tools, and refuses impossible choices', async () => {
    const only = {
      type: 'allowed_tools' as const,
      allowed_tools: { mode: 'required' as const, tools: [{ type: 'function', function: { name: 'sum' } }] },
    };
    const { choices } = await client.chat.completions.create({ ...base, model: 'hermes', tool_choice: only });
    const calls = choices[0]!.message.tool_calls as unknown as Call[];
    expect(new Set(calls.map((each) => each.function.name))).toEqual(new Set(['sum']));
    const refused = (body: object) =>
      expect(client.chat.completions.create({ ...base, model: 'hermes', ...body } as never)).rejects;
    await refused({ tool_choice: { type: 'function', function: { name: 'none' } } }).toMatchObject({
      status: 400,
      param: 'tool_choice',
    });
    await refused({ tools: undefined, tool_choice: 'required' }).toMatchObject({ status: 400, param: 'tool_choice' });
    const odd = { type: 'function', function: { name: 'odd', parameters: { type: 'object', patternProperties: {} } } };
    await refused({ tools: [odd], tool_choice: 'required' }).toMatchObject({
      status: 400,
      message: expect.stringContaining("'odd'"),
    });
    await refused({ tool_choice: 'required', max_tokens: 5 }).toMatchObject({
      status: 400,
      message: expect.stringContaining('max_tokens'),
    });
  });

  it('the ai SDK calls tools and streams calls', async () => {
    const model = createOpenAICompatible({ name: 'simdformer', baseURL: `${server.url}/v1` }).chatModel('hermes');
    const inputSchema = z.strictObject({ city: z.string().max(6), days: z.int().min(1).max(9) });
    const weather = tool({ description: 'w', inputSchema });
    const settings = {
      model,
      prompt: 'Weather?',
      tools: { weather } as unknown as ToolSet,
      toolChoice: 'required' as const,
      maxOutputTokens: 200,
    };
    const { toolCalls } = await generateText(settings);
    for (const { toolName, input } of toolCalls)
      expect([toolName, ajv.validate(place, input)]).toEqual(['weather', true]);
    const streamed = await streamText({ ...settings, toolChoice: { type: 'tool', toolName: 'weather' } }).toolCalls;
    expect(streamed.map(({ input }) => ajv.validate(place, input))).toEqual([true]);
  });

  it('LangChain gets answers of a schema, by a call and by JSON', async () => {
    const schema = z.object({ city: z.string().max(6), sunny: z.boolean() });
    const model = new ChatOpenAI({
      model: 'hermes',
      maxTokens: 200,
      apiKey: 'none',
      configuration: { baseURL: `${server.url}/v1` },
    });
    for (const method of ['functionCalling', 'jsonSchema', 'jsonMode'] as const) {
      const answer = await model
        .withStructuredOutput(method === 'jsonMode' ? z.looseObject({}) : schema, { name: 'weather', method })
        .invoke('Weather?');
      if (method !== 'jsonMode') expect(schema.parse(answer)).toEqual(answer);
    }
    const bound = model.bindTools(tools, { tool_choice: 'any' });
    const { tool_calls: calls } = await bound.invoke('Weather?');
    expect(calls!.every(({ name, args }) => ajv.validate(schemas[name]!, args))).toBe(true);
  });
});
