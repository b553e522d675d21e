// The APIs beside OpenAI's chats, by the official clients as they are: openai, @anthropic-ai/sdk, ollama and cohere-ai.
import Anthropic from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { CohereClient, CohereClientV2 } from 'cohere-ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadTextModel } from '../../src/index.js';
import { openai, type RunningServer, serve } from '../../src/server/index.js';
import { pipeline } from '../../src/tasks/index.js';
import { type SmallModels, smallModels, storyAfter, TEMPLATE } from '../frameworks/small-models.js';

const KEY = 'a-key-of-the-test';
const prompt = 'Tell me a story about a cat.';
const schema = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 6 }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'],
  additionalProperties: false,
} as const;
const arguments_ = z.strictObject({ city: z.string().max(6), days: z.int().min(1).max(9) });

let models: SmallModels;
let server: RunningServer;
/** The greedy answer to `prompt`. */
let story: string;
beforeAll(async () => {
  models = await smallModels();
  const { stories, writer, vectors, ranker } = models;
  const thinker = await loadTextModel(models.device, models.folder);
  thinker.tokenizer.chatTemplate = TEMPLATE.replace("'{% if add", '{% if add').replace(
    'assistant: ',
    "{{ 'assistant: <think>\\n' }}",
  );
  server = await serve({
    models: { stories, writer, vectors, ranker, thinker },
    port: 0,
    log: 'none',
    apiKeys: [KEY, 'other'],
  });
  story = await storyAfter(stories, `<|start_story|>user: ${prompt}\nassistant: `, 24);
});
afterAll(async () => {
  await server?.close();
  models?.end();
});

describe("OpenAI's Responses API", () => {
  const client = (apiKey = KEY) => new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
  const greedy = { model: 'stories', temperature: 0, max_output_tokens: 24 };

  it('answers, with usage', async () => {
    const response = await client().responses.create({ ...greedy, input: prompt });
    expect(response.output_text).toBe(story);
    expect(response).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
    expect(response.output.at(-1)).toMatchObject({ type: 'message', status: 'incomplete' });
    expect(response.usage).toMatchObject({ output_tokens: 24, output_tokens_details: { reasoning_tokens: 0 } });
  });

  it('streams events in order', async () => {
    const stream = await client().responses.create({ ...greedy, input: prompt, stream: true });
    const types: string[] = [];
    const numbers: number[] = [];
    let streamed = '';
    for await (const event of stream) {
      if (event.type !== types.at(-1)) types.push(event.type);
      numbers.push(event.sequence_number);
      if (event.type === 'response.output_text.delta') streamed += event.delta;
      if (event.type === 'response.output_item.done') expect(event.item).toMatchObject({ status: 'incomplete' });
      if (event.type === 'response.incomplete') expect(event.response.usage!.output_tokens).toBe(24);
    }
    expect(streamed).toBe(story);
    expect(types).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.incomplete',
    ]);
    expect(numbers).toEqual(numbers.map((_, i) => i));
  });

  it('streams through its helper, which checks the events', async () => {
    const stream = client().responses.stream({ ...greedy, input: prompt });
    expect((await stream.finalResponse()).output_text).toBe(story);
  });

  it('continues a response only for the same client', async () => {
    const first = await client().responses.create({ ...greedy, input: prompt });
    const more = { ...greedy, max_output_tokens: 8, input: 'Go on.' };
    const next = await client().responses.create({ ...more, previous_response_id: first.id });
    const whole = await client().responses.create({
      ...more,
      input: [
        { role: 'user', content: prompt },
        { role: 'assistant', content: story },
        { role: 'user', content: 'Go on.' },
      ],
    });
    expect(next.output_text).toBe(whole.output_text);
    expect(next.usage!.input_tokens).toBe(whole.usage!.input_tokens);
    expect(next.previous_response_id).toBe(first.id);
    const stranger = client('other').responses.create({ ...more, previous_response_id: first.id });
    await expect(stranger).rejects.toMatchObject({ status: 404, code: 'previous_response_not_found' });
    const forgotten = await client().responses.create({ ...greedy, input: prompt, store: false });
    const missing = client().responses.create({ ...more, previous_response_id: forgotten.id });
    await expect(missing).rejects.toThrow(OpenAI.NotFoundError);
  });

  it('returns a response that is kept, and its input, and forgets it, for the same client only', async () => {
    const input = [{ role: 'user' as const, content: prompt }];
    const made = await client().responses.create({ ...greedy, input, metadata: { topic: 'cats' } });
    const {
      output_text: said,
      _request_id: _,
      ...plain
    } = made as OpenAI.Responses.Response & { _request_id?: string };
    const kept = await client().responses.retrieve(made.id);
    expect(kept).toMatchObject(plain);
    expect(kept.output_text).toBe(said);
    const items = [];
    for await (const item of client().responses.inputItems.list(made.id)) items.push(item);
    expect(items).toEqual([
      {
        type: 'message',
        role: 'user',
        id: expect.stringMatching(/^msg_/),
        status: 'completed',
        content: [{ type: 'input_text', text: prompt }],
      },
    ]);
    await expect(client('other').responses.retrieve(made.id)).rejects.toThrow(OpenAI.NotFoundError);
    await expect(client('other').responses.delete(made.id)).rejects.toThrow(OpenAI.NotFoundError);
    await client().responses.delete(made.id);
    await expect(client().responses.retrieve(made.id)).rejects.toThrow(OpenAI.NotFoundError);
    const refused = await fetch(`${server.url}/v1/responses/${made.id}`, { method: 'PUT' });
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD, DELETE']);
  });

  it('keeps a response that was streamed', async () => {
    const stream = client().responses.stream({ ...greedy, input: prompt });
    const { id } = await stream.finalResponse();
    expect(await client().responses.retrieve(id)).toMatchObject({ id, status: 'incomplete', output_text: story });
  });

  it('calls tools, and reads their outputs', async () => {
    const tools = [{ type: 'function' as const, name: 'weather', parameters: schema, strict: true }];
    const base = { model: 'writer', max_output_tokens: 160, tools };
    const called = await client().responses.create({
      ...base,
      input: 'Weather?',
      tool_choice: 'required',
      parallel_tool_calls: false,
    });
    const [call] = called.output;
    expect(call!.type).toBe('function_call');
    const { call_id, arguments: given } = call as OpenAI.Responses.ResponseFunctionToolCall;
    arguments_.parse(JSON.parse(given));
    const output = { type: 'function_call_output' as const, call_id, output: 'warm' };
    const answer = await client().responses.create({
      model: 'writer',
      max_output_tokens: 8,
      previous_response_id: called.id,
      input: [output],
    });
    expect(answer.usage!.output_tokens).toBeGreaterThan(0);
    const stream = client().responses.stream({
      ...base,
      input: 'Weather?',
      tool_choice: { type: 'function', name: 'weather' },
    });
    const [streamed] = (await stream.finalResponse()).output;
    arguments_.parse(JSON.parse((streamed as OpenAI.Responses.ResponseFunctionToolCall).arguments));
  });

  it('returns JSON of a schema', async () => {
    const { output_text } = await client().responses.create({
      model: 'writer',
      input: 'Weather?',
      max_output_tokens: 160,
      text: { format: { type: 'json_schema', name: 'weather', schema, strict: true } },
    });
    arguments_.parse(JSON.parse(output_text));
  });

  it('counts the tokens of a prompt as an answer does', async () => {
    const tools = [{ type: 'function' as const, name: 'weather', parameters: schema, strict: false }];
    const said = { model: 'writer', instructions: 'Be brief.', input: prompt, tools };
    const first = await client().responses.create({ ...said, max_output_tokens: 8 });
    const more = { ...said, input: 'And a dog?', previous_response_id: first.id };
    const second = await client().responses.create({ ...more, max_output_tokens: 8 });
    for (const [given, { usage }] of [
      [said, first],
      [more, second],
    ] as const)
      expect(await client().responses.inputTokens.count(given)).toMatchObject({
        object: 'response.input_tokens',
        input_tokens: usage!.input_tokens,
      });
    expect(second.usage!.input_tokens).toBeGreaterThan(first.usage!.input_tokens);
    await expect(client('other').responses.inputTokens.count(more)).rejects.toMatchObject({ status: 404 });
  });

  it("leaves out the oldest turns that do not fit, with truncation: 'auto'", async () => {
    const turn = (i: number) => [
      { role: 'user' as const, content: `${prompt} Call it Mia ${i}. `.repeat(4) },
      { role: 'assistant' as const, content: story },
    ];
    const turns = Array.from({ length: 12 }, (_, i) => turn(i)).flat();
    const input = [...turns, { role: 'user' as const, content: prompt }];
    const long = { ...greedy, instructions: 'Be brief.', input };
    await expect(client().responses.create(long)).rejects.toMatchObject({
      status: 400,
      code: 'context_length_exceeded',
    });
    const cut = await client().responses.create({ ...long, truncation: 'auto' });
    expect(cut.truncation).toBe('auto');
    // The answer is that to the longest end of the conversation that leaves room for it.
    const from = (start: number) => client().responses.create({ ...long, input: input.slice(start) });
    const tokens = async (start: number) => {
      const given = { model: 'stories', instructions: 'Be brief.', input: input.slice(start) };
      return (
        await client()
          .responses.inputTokens.count(given)
          .catch(() => ({ input_tokens: Infinity }))
      ).input_tokens;
    };
    const room = models.stories.maxLength - greedy.max_output_tokens;
    let start = 0;
    while ((await tokens(start)) > room) start += 2;
    expect([start > 0, start < turns.length]).toEqual([true, true]);
    expect(cut.output_text).toBe((await from(start)).output_text);
    expect(cut.usage!.input_tokens).toBe(await tokens(start));
    // Without max_output_tokens, a quarter of the context stays free.
    const unlimited = { model: 'stories', instructions: long.instructions, input, truncation: 'auto' as const };
    const counted = await client().responses.inputTokens.count(unlimited);
    expect(counted.input_tokens).toBeLessThanOrEqual((models.stories.maxLength * 3) / 4);
    expect(counted.input_tokens).toBeGreaterThan(models.stories.maxLength / 3);
    const alone = client().responses.create({ ...greedy, input: prompt.repeat(200), truncation: 'auto' });
    await expect(alone).rejects.toMatchObject({ code: 'context_length_exceeded' });
  });

  it('says a verbosity to the model, in chats too', async () => {
    const tokens = async (fields: object) =>
      (await client().responses.inputTokens.count({ model: 'stories', input: prompt, ...fields })).input_tokens;
    const text = { verbosity: 'low' as const };
    expect(await tokens({ text })).toBe(await tokens({ instructions: 'Answer concisely.' }));
    expect(await tokens({ text: { verbosity: 'medium' } })).toBe(await tokens({}));
    expect(await tokens({ text: { verbosity: 'high' }, instructions: 'Be kind.' })).toBe(
      await tokens({ instructions: 'Be kind.\n\nAnswer in detail.' }),
    );
    const chat = (verbosity: 'low' | null, ...first: string[]) =>
      client().chat.completions.create({
        model: 'stories',
        temperature: 0,
        max_tokens: 16,
        verbosity,
        messages: [
          ...first.map((content) => ({ role: 'system' as const, content })),
          { role: 'user', content: prompt },
        ],
      });
    expect((await chat('low')).choices).toEqual((await chat(null, 'Answer concisely.')).choices);
  });

  it('says a verbosity to a model whose template has no system message', async () => {
    const { tokenizer } = models.stories;
    const template = tokenizer.chatTemplate;
    const check = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}";
    const tokens = async (input: string, verbosity: 'low' | 'medium' = 'medium') =>
      (await client().responses.inputTokens.count({ model: 'stories', input, text: { verbosity } })).input_tokens;
    try {
      for (const other of [
        `${check}${TEMPLATE}`,
        TEMPLATE.replace('{{ m.role', "{% if m.role != 'system' %}{{ m.role").replace(
          "{{ '\\n' }}",
          "{{ '\\n' }}{% endif %}",
        ),
      ]) {
        tokenizer.chatTemplate = other;
        expect(await tokens(prompt, 'low')).toBe(await tokens(`Answer concisely.\n\n${prompt}`));
      }
    } finally {
      tokenizer.chatTemplate = template;
    }
  });

  it('names the kind of a tool that it does not have', async () => {
    const custom = { type: 'custom', name: 'shell' } as const;
    const kind = /^400 'tools\[0\]\.type' is "custom", expected function$/;
    await expect(client().responses.create({ ...greedy, input: prompt, tools: [custom] })).rejects.toThrow(kind);
    const messages = [{ role: 'user' as const, content: prompt }];
    const tools = [{ type: 'custom' as const, custom: { name: 'shell' } }];
    await expect(client().chat.completions.create({ model: 'stories', messages, tools })).rejects.toThrow(kind);
  });

  it('refuses unknown fields by name', async () => {
    const call = client().responses.create({ ...greedy, input: prompt, temprature: 1 } as never);
    await expect(call).rejects.toThrow(/temprature/);
  });
});

describe("Anthropic's Messages API", () => {
  const client = () => new Anthropic({ baseURL: server.url, apiKey: KEY, maxRetries: 0 });
  const greedy = {
    model: 'stories',
    temperature: 0,
    max_tokens: 24,
    messages: [{ role: 'user' as const, content: prompt }],
  };

  it('answers, with usage', async () => {
    const message = await client().messages.create(greedy);
    expect(message.content).toMatchObject([{ type: 'text', text: story }]);
    expect([message.stop_reason, message.usage.output_tokens]).toEqual(['max_tokens', 24]);
  });

  it('streams through its helper, which checks the events', async () => {
    const stream = client().messages.stream(greedy);
    const pieces: string[] = [];
    stream.on('text', (piece) => pieces.push(piece));
    const message = await stream.finalMessage();
    expect(message.content).toMatchObject([{ type: 'text', text: story }]);
    expect(pieces.join('')).toBe(story);
    expect(pieces.length).toBeGreaterThan(10);
    expect(message.usage.output_tokens).toBe(24);
  });

  it('names the stop sequence', async () => {
    const stop = story.slice(12, 20);
    const message = await client().messages.create({ ...greedy, stop_sequences: ['zebra', stop] });
    expect(message).toMatchObject({ stop_reason: 'stop_sequence', stop_sequence: stop });
    expect(message.content).toMatchObject([{ text: story.slice(0, story.indexOf(stop)) }]);
  });

  it('calls tools, and reads their results', async () => {
    const tools = [{ name: 'weather', input_schema: { ...schema, required: [...schema.required] } }];
    const base = { model: 'writer', max_tokens: 160, tools };
    const asked = { role: 'user' as const, content: 'Weather?' };
    const called = await client().messages.create({
      ...base,
      messages: [asked],
      tool_choice: { type: 'any', disable_parallel_tool_use: true },
    });
    const [use] = called.content;
    expect([use!.type, called.stop_reason]).toEqual(['tool_use', 'tool_use']);
    const { id, input } = use as Anthropic.ToolUseBlock;
    arguments_.parse(input);
    const results = [{ type: 'tool_result' as const, tool_use_id: id, content: 'warm' }];
    const answer = await client().messages.create({
      model: 'writer',
      max_tokens: 8,
      system: 'Be brief.',
      messages: [asked, { role: 'assistant', content: called.content }, { role: 'user', content: results }],
    });
    expect(answer.usage.output_tokens).toBeGreaterThan(0);
    const stream = client().messages.stream({
      ...base,
      messages: [asked],
      tool_choice: { type: 'tool', name: 'weather' },
    });
    const [streamed] = (await stream.finalMessage()).content;
    arguments_.parse((streamed as Anthropic.ToolUseBlock).input);
  });

  it('runs the tools of its helper, which goes on without a thread if the server keeps none', async () => {
    const given: unknown[] = [];
    const runner = client().beta.messages.toolRunner({
      model: 'writer',
      max_tokens: 160,
      max_iterations: 2,
      messages: [{ role: 'user', content: 'Weather?' }],
      tool_choice: { type: 'any', disable_parallel_tool_use: true },
      tools: [
        betaZodTool({
          name: 'weather',
          description: 'Tells the weather.',
          inputSchema: arguments_,
          run: (input) => {
            given.push(input);
            return 'warm';
          },
        }),
      ],
    });
    const reasons = [];
    for await (const { stop_reason } of runner) reasons.push(stop_reason);
    expect(reasons).toEqual(['tool_use', 'tool_use']);
    expect(given.length).toBe(2);
  });

  it('reads documents of text', async () => {
    const ask = (content: Anthropic.MessageParam['content']) =>
      client().messages.create({ ...greedy, messages: [{ role: 'user', content }] });
    const source = { type: 'text', media_type: 'text/plain', data: 'Tom is a cat.' } as const;
    const question = { type: 'text', text: 'Who is Tom?' } as const;
    const [read, said] = await Promise.all([
      ask([{ type: 'document', title: 'Cats', source }, question]),
      ask('Cats\nTom is a cat.\n\nWho is Tom?'),
    ]);
    expect(read.content).toEqual(said.content);
    const pdf = { type: 'base64', media_type: 'application/pdf', data: 'AAAA' } as const;
    await expect(ask([{ type: 'document', source: pdf }])).rejects.toThrow(/source\.type' is .*base64.*text, content/);
  });

  it('refuses results of tools that were not called', async () => {
    const result = { type: 'tool_result', tool_use_id: 'call_1', content: 'warm' } as const;
    const messages = [{ role: 'user' as const, content: [result] }];
    await expect(client().messages.create({ ...greedy, messages })).rejects.toThrow(
      /messages\[0\]\.content\[0\]\.tool_use_id' is .*call_1.*expected the id of a 'tool_use' block/,
    );
  });

  it('refuses requests with the errors of the client', async () => {
    await expect(client().messages.create({ ...greedy, model: 'nobody' })).rejects.toThrow(Anthropic.NotFoundError);
    const stranger = new Anthropic({ baseURL: server.url, apiKey: 'wrong', maxRetries: 0 });
    await expect(stranger.messages.create(greedy)).rejects.toMatchObject({
      status: 401,
      error: { type: 'error', error: { type: 'authentication_error' } },
    });
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: '' } } as const;
    const call = client().messages.create({ ...greedy, messages: [{ role: 'user', content: [image] }] });
    await expect(call).rejects.toThrow(/messages\[0\]\.content\[0\]/);
  });

  it('refuses paths that do not exist, in the form that its clients read', async () => {
    const batches = client().messages.batches.create({ requests: [] });
    await expect(batches).rejects.toMatchObject({
      status: 404,
      error: { type: 'error', error: { type: 'not_found_error' } },
    });
  });

  it('takes edits of the context that change nothing, and refuses others', async () => {
    const toolUses = { type: 'clear_tool_uses_20250919' } as const;
    const edits = [{ type: 'clear_thinking_20251015', keep: 'all' } as const, toolUses];
    const betas = ['context-management-2025-06-27'];
    const beta = client().beta.messages;
    const whole = await beta.create({ ...greedy, betas, context_management: { edits } });
    expect(whole.content).toMatchObject([{ type: 'text', text: story }]);
    expect(whole.context_management).toEqual({ applied_edits: [] });
    const streamed = await beta.stream({ ...greedy, betas, context_management: { edits } }).finalMessage();
    expect(streamed.context_management).toEqual({ applied_edits: [] });
    const trigger = { type: 'input_tokens', value: 100 } as const;
    await expect(
      beta.create({ ...greedy, betas, context_management: { edits: [{ ...toolUses, trigger }] } }),
    ).rejects.toThrow(/edits\[0\]\.trigger\.value' is 100, expected at least the context of \d+ tokens/);
  });

  it('lists the models with their names', async () => {
    const listed = [];
    for await (const each of client().models.list()) listed.push(each);
    expect(listed.map(({ id, type, display_name }) => [id, type, display_name])).toEqual(
      ['stories', 'writer', 'vectors', 'ranker', 'thinker'].map((name) => [name, 'model', name]),
    );
    const { created_at } = await client().models.retrieve('stories');
    expect(Math.abs(Date.parse(created_at) - Date.now())).toBeLessThan(3_600_000);
  });

  it('counts the tokens that a message reads', async () => {
    const tools = [{ name: 'weather', description: 'Tells it.', input_schema: schema as never }];
    const said = { model: 'stories', system: 'Be brief.', messages: [{ role: 'user' as const, content: prompt }] };
    for (const given of [said, { ...said, tools }]) {
      const { usage } = await client().messages.create({ ...given, max_tokens: 1 });
      const { input_tokens } = await client().messages.countTokens(given);
      expect(input_tokens).toBe(usage.input_tokens + (usage.cache_read_input_tokens ?? 0));
    }
    await expect(client().messages.countTokens({ ...said, model: 'none' })).rejects.toThrow(Anthropic.NotFoundError);
  });
});

describe("Ollama's API", () => {
  it('answers curl as its documentation calls it: without a content type', async () => {
    const body = JSON.stringify({
      model: 'stories',
      prompt,
      stream: false,
      options: { num_predict: 24, temperature: 0 },
    });
    const post = (headers: Record<string, string>) =>
      fetch(`${server.url}/api/generate`, {
        method: 'POST',
        headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body,
      });
    expect(await (await post({})).json()).toMatchObject({ response: story });
    expect((await post({ origin: 'https://a.page' })).status).toBe(415); // a browser's form
  });

  it('takes fields that older clients send empty, and refuses them otherwise', async () => {
    const options = { num_predict: 24, temperature: 0 };
    const given = { model: 'stories', prompt, options, raw: false, template: '', suffix: '', context: [] };
    expect(await client().generate({ ...given, stream: false })).toMatchObject({ response: story });
    for (const [field, value] of [
      ['raw', true],
      ['template', '{{ .Prompt }}'],
      ['context', [1]],
    ] as const)
      await expect(client().generate({ ...given, [field]: value, stream: false })).rejects.toThrow(`'${field}' is`);
  });

  it('takes the tag of the newest version, and options that programs send with each request', async () => {
    const options = { num_predict: 24, temperature: 0, repeat_last_n: 64, mirostat: 0, num_ctx: 512, use_mlock: false };
    const given = { model: 'stories:latest', messages: [{ role: 'user', content: prompt }], options };
    const { message, model } = await client().chat(given);
    expect([message.content, model]).toEqual([story, 'stories']);
    const sampling = client().chat({ ...given, options: { mirostat: 2 } });
    await expect(sampling).rejects.toThrow("'options.mirostat' is 2, expected 0");
    const typical = { temperature: 1, seed: 1, num_predict: 24 };
    const [free, bound] = await Promise.all(
      [1, 0.01].map((typical_p) => client().chat({ ...given, options: { ...typical, typical_p } })),
    );
    expect(bound?.message.content).not.toBe(free?.message.content);
  });

  it('refuses paths that do not exist, in the form that its clients read', async () => {
    await expect(client().delete({ model: 'stories' })).rejects.toThrow('Unknown request URL: DELETE /api/delete');
    const other = await fetch(`${server.url}/api/chat`, { method: 'PUT' });
    expect([other.status, await other.json()]).toEqual([405, { error: 'Not allowed: PUT /api/chat' }]);
    const bodyOf = async (path: string, method: string) => (await fetch(`${server.url}${path}`, { method })).json();
    const notFound = { type: 'error', error: { type: 'not_found_error' } };
    expect(await bodyOf('/v1/messages/batches', 'POST')).toMatchObject(notFound);
    expect(await bodyOf('/v2/rerank', 'GET')).toMatchObject({ message: 'Not allowed: GET /v2/rerank' });
    expect(await bodyOf('/v2/classify', 'POST')).toMatchObject({ message: 'Unknown request URL: POST /v2/classify' });
    for (const path of ['/v1/files', '/nothing'])
      expect(await bodyOf(path, 'POST')).toEqual({ error: expect.objectContaining({ code: 'unknown_url' }) });
  });

  it('embeds one text by the former path', async () => {
    const { embedding } = await client().embeddings({ model: 'vectors', prompt: 'CCO' });
    expect(embedding).toEqual((await client().embed({ model: 'vectors', input: 'CCO' })).embeddings[0]);
  });

  const client = () => new Ollama({ host: server.url, headers: { authorization: `Bearer ${KEY}` } });
  const options = { temperature: 0, num_predict: 24 };
  const messages = [{ role: 'user', content: prompt }];

  it('chats, in one piece and in lines', async () => {
    const whole = await client().chat({ model: 'stories', messages, options });
    expect(whole.message).toEqual({ role: 'assistant', content: story });
    expect(whole).toMatchObject({ done: true, done_reason: 'length', eval_count: 24 });
    const durations = [whole.load_duration, whole.prompt_eval_duration, whole.eval_duration];
    for (const duration of durations) expect(duration).toBeGreaterThan(0);
    expect(durations.reduce((a, b) => a + b)).toBeCloseTo(whole.total_duration, -1);
    const pieces: string[] = [];
    for await (const { message, done, eval_count } of await client().chat({
      model: 'stories',
      messages,
      options,
      stream: true,
    })) {
      pieces.push(message.content);
      if (done) expect(eval_count).toBe(24);
    }
    expect(pieces.join('')).toBe(story);
    expect(pieces.length).toBeGreaterThan(10);
  });

  it('tells log-probabilities, in one piece and in lines', async () => {
    const asked = { model: 'stories', options, logprobs: true, top_logprobs: 2 };
    const whole = await client().chat({ ...asked, messages });
    expect(whole.logprobs!.map(({ token }) => token).join('')).toBe(story);
    for (const { logprob, top_logprobs: [first, second] = [] } of whole.logprobs!) {
      expect(first!.logprob).toBe(logprob);
      expect(second!.logprob).toBeLessThanOrEqual(logprob);
    }
    const lines = [];
    for await (const { logprobs = [] } of await client().generate({ ...asked, prompt, stream: true }))
      lines.push(...logprobs);
    expect(lines).toEqual(whole.logprobs);
    expect(await client().chat({ model: 'stories', messages, options })).not.toHaveProperty('logprobs');
  });

  it('generates', async () => {
    const { response } = await client().generate({ model: 'stories', prompt, options });
    expect(response).toBe(story);
    let streamed = '';
    for await (const each of await client().generate({ model: 'stories', prompt, options, stream: true }))
      streamed += each.response;
    expect(streamed).toBe(story);
  });

  it('returns JSON of a schema', async () => {
    const { message } = await client().chat({
      model: 'writer',
      messages,
      format: schema,
      options: { num_predict: 160 },
    });
    arguments_.parse(JSON.parse(message.content));
  });

  it('separates reasoning, and reads results of tools', async () => {
    const tools = [{ type: 'function', function: { name: 'weather', description: '', parameters: schema as never } }];
    const said = [
      { role: 'user', content: 'Weather?' },
      {
        role: 'assistant',
        content: '',
        thinking: 'Hm.',
        tool_calls: [{ function: { name: 'weather', arguments: { city: 'Rome', days: 1 } } }],
      },
      { role: 'tool', content: 'warm', tool_name: 'weather' },
    ];
    const { eval_count } = await client().chat({
      model: 'writer',
      messages: said,
      tools,
      think: false,
      options: { num_predict: 8 },
    });
    expect(eval_count).toBeGreaterThan(0);
  });

  it('embeds', async () => {
    const { embeddings } = await client().embed({ model: 'vectors', input: ['CCO', 'CO'] });
    expect(embeddings.map(({ length }) => length)).toEqual([256, 256]);
  });

  it('lists, shows and pulls the models that are served', async () => {
    const names = ['stories', 'writer', 'vectors', 'ranker', 'thinker'];
    expect((await client().list()).models.map(({ name }) => name)).toEqual(names);
    const digests = (await client().ps()).models.map(({ digest }) => digest);
    expect(digests).toEqual(Array.from({ length: 5 }, () => expect.stringMatching(/^[0-9a-f]{64}$/)));
    expect(new Set(digests).size).toBe(5);
    expect((await client().show({ model: 'stories' })).capabilities).toEqual(['completion', 'tools']);
    expect(await client().pull({ model: 'stories' })).toEqual({ status: 'success' });
    await expect(client().pull({ model: 'llama3' })).rejects.toThrow(/llama3.*does not exist/);
  });
});

it("embeds for Cohere's client", async () => {
  const cohere = new CohereClientV2({ token: KEY, environment: server.url });
  const texts = ['CCO', 'c1ccccc1'];
  const types = ['float', 'base64', 'binary', 'ubinary'] as const;
  const asked = { model: 'vectors', texts, inputType: 'search_document' } as const;
  const { embeddings, texts: echoed, meta } = await cohere.embed({ ...asked, embeddingTypes: [...types] });
  const extract = await pipeline('feature-extraction', models.vectors);
  const vectors = (await extract(texts, { pooling: 'model' })).tolist() as unknown as number[][];
  expect([embeddings.float, echoed]).toEqual([vectors, texts]);
  const bytes = embeddings.base64!.map((text) => Buffer.from(text, 'base64'));
  expect(bytes.map((each) => [...new Float32Array(Uint8Array.from(each).buffer)])).toEqual(vectors);
  // sentence-transformers packs bits as numpy does, the first bit highest, and subtracts 128 for signed ones.
  const packed = vectors.map((vector) =>
    Array.from({ length: vector.length / 8 }, (_, i) =>
      Number.parseInt(
        vector
          .slice(8 * i, 8 * i + 8)
          .map((value) => Number(value > 0))
          .join(''),
        2,
      ),
    ),
  );
  expect(embeddings.ubinary).toEqual(packed);
  expect(embeddings.binary).toEqual(packed.map((each) => each.map((byte) => byte - 128)));
  expect(meta!.billedUnits!.inputTokens).toBeGreaterThan(2);
  const former = new CohereClient({ token: KEY, environment: server.url });
  const plain = { responseType: 'embeddings_floats', embeddings: vectors };
  expect(await former.embed(asked)).toMatchObject(plain);
  const typed = { responseType: 'embeddings_by_type', embeddings: { binary: embeddings.binary } };
  expect(await former.embed({ ...asked, embeddingTypes: ['binary'] })).toMatchObject(typed);
  const short = await cohere.embed({ ...asked, outputDimension: 8, embeddingTypes: ['float'] });
  expect(short.embeddings.float!.map((vector) => vector.length)).toEqual([8, 8]);
  await expect(cohere.embed({ ...asked, embeddingTypes: ['int8'] })).rejects.toMatchObject({
    statusCode: 400,
    message: expect.stringMatching(/embedding_types\[0\]' is .*int8.*expected one of float/),
  });
});

describe('reranking', () => {
  const documents = ['a cat', 'the dog is here', 'a'];
  const expected = async (top_k: number) => {
    const rank = await pipeline('text-ranking', models.ranker);
    return (await rank('the cat', documents, { top_k })).map(({ corpus_id, score }) => [corpus_id, score]);
  };

  it("works with Cohere's client", async () => {
    const client = new CohereClientV2({ token: KEY, environment: server.url });
    const { results } = await client.rerank({ model: 'ranker', query: 'the cat', documents, topN: 2 });
    expect(results.map(({ index, relevanceScore }) => [index, relevanceScore])).toEqual(await expected(2));
    await expect(client.rerank({ model: 'stories', query: 'the cat', documents })).rejects.toMatchObject({
      statusCode: 400,
      message: expect.stringMatching(/no prompt is known for a reranker/),
    });
  });

  it("works in Jina's format", async () => {
    const response = await fetch(`${server.url}/v1/rerank`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY}` },
      body: JSON.stringify({
        model: 'ranker',
        query: 'the cat',
        documents: documents.map((text) => ({ text })),
        return_documents: true,
      }),
    });
    const { results } = await response.json();
    type Result = { index: number; relevance_score: number; document: { text: string } };
    expect(results.map(({ index, relevance_score }: Result) => [index, relevance_score])).toEqual(await expected(3));
    expect(results.every(({ index, document }: Result) => document.text === documents[index])).toBe(true);
  });
});

describe('reasoning of a template that begins with it', () => {
  const settings = { model: 'thinker', temperature: 0 };
  const messages = [{ role: 'user' as const, content: prompt }];
  let thought: string;
  beforeAll(async () => {
    const before = `<|start_story|>user: ${prompt}\nassistant: <think>\n`;
    thought = (await storyAfter(models.stories, before, 24)).trim();
  });

  it('is reasoning_content of chats, in one piece and in chunks', async () => {
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: KEY, maxRetries: 0 });
    const { choices } = await client.chat.completions.create({ ...settings, messages, max_tokens: 24 });
    expect(choices[0]!.message).toMatchObject({ content: '', reasoning_content: thought });
    const seen = { content: '', reasoning_content: '' };
    const stream = await client.chat.completions.create({ ...settings, messages, max_tokens: 24, stream: true });
    for await (const {
      choices: [choice],
    } of stream)
      for (const name of ['content', 'reasoning_content'] as const)
        seen[name] += (choice!.delta as Partial<typeof seen>)[name] ?? '';
    expect(seen).toEqual({ content: '', reasoning_content: thought });
    const { output, usage } = await client.responses.create({ ...settings, input: prompt, max_output_tokens: 24 });
    expect(output[0]).toMatchObject({ type: 'reasoning', content: [{ type: 'reasoning_text', text: thought }] });
    expect(usage!.output_tokens_details.reasoning_tokens).toBe(24);
  });

  it('is a thinking block of messages, and `thinking` of Ollama', async () => {
    const client = new Anthropic({ baseURL: server.url, apiKey: KEY, maxRetries: 0 });
    const { content } = await client.messages.create({ ...settings, messages, max_tokens: 24 });
    expect(content).toMatchObject([{ type: 'thinking', thinking: thought }]);
    const stream = client.messages.stream({ ...settings, messages, max_tokens: 24 });
    expect((await stream.finalMessage()).content).toMatchObject([{ type: 'thinking', thinking: thought }]);
    const ollama = new Ollama({ host: server.url, headers: { authorization: `Bearer ${KEY}` } });
    const options = { temperature: 0, num_predict: 24 };
    expect((await ollama.chat({ model: 'thinker', messages, options })).message.thinking).toBe(thought);
  });
});

it('names the fields of the API that a request uses in its errors', async () => {
  const long = { type: 'object', properties: { a: { type: 'string', minLength: 20 } }, required: ['a'] };
  const impossible = { type: 'object', properties: { a: false }, required: ['a'] };
  const messages = [{ role: 'user', content: prompt }];
  const ways = [
    {
      path: '/v1/responses',
      bodyOf: (of: object) => ({
        input: prompt,
        max_output_tokens: 10,
        text: { format: { type: 'json_schema', name: 'x', schema: of } },
      }),
      format: 'text.format',
      maxTokens: 'max_output_tokens',
      input: { input: 'word '.repeat(9000), max_output_tokens: 10 },
      param: 'input',
    },
    {
      path: '/v1/messages',
      bodyOf: (of: object) => ({
        messages,
        max_tokens: 10,
        output_config: { format: { type: 'json_schema', schema: of } },
      }),
      format: 'output_config.format',
      maxTokens: 'max_tokens',
    },
    {
      path: '/api/chat',
      bodyOf: (of: object) => ({ messages, stream: false, options: { num_predict: 10 }, format: of }),
      format: 'format',
      maxTokens: 'options.num_predict',
    },
    {
      path: '/v1/completions',
      bodyOf: (of: object) => ({ prompt, max_tokens: 10, json_schema: of }),
      format: 'json_schema',
      maxTokens: 'max_tokens',
      input: { prompt: 'word '.repeat(9000), max_tokens: 10 },
      param: 'prompt',
    },
  ];
  for (const { path, bodyOf, format, maxTokens, input, param } of ways) {
    const refusal = async (body: object) => {
      const response = await fetch(`${server.url}${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'writer', ...body }),
      });
      const { error } = await response.json();
      expect(response.status, `${path} ${JSON.stringify(error)}`).toBe(400);
      return typeof error === 'string' ? { message: error } : error;
    };
    const noRoom = await refusal(bodyOf(long));
    expect(noRoom.message).toContain(`The format of '${format}' may need more tokens`);
    expect(noRoom.message).toContain(`Raise '${maxTokens}', shorten`);
    const nothing = await refusal(bodyOf(impossible));
    expect(nothing.message).toMatch(new RegExp(`^'${format.replace('.', '\\.')}': nothing that ends`));
    if ('param' in nothing) expect([noRoom.param, nothing.param]).toEqual([maxTokens, format]);
    if (input) expect(await refusal(input)).toMatchObject({ param, code: 'context_length_exceeded' });
  }
});

it('has errors of the forms that its OpenAPI document describes', async () => {
  const headers = { authorization: `Bearer ${KEY}` };
  const document = (await (await fetch(`${server.url}/openapi.json`, { headers })).json()) as {
    paths: Record<string, { post?: { responses: Record<string, { $ref: string }> } }>;
    components: Record<'responses' | 'schemas', Record<string, object>>;
  };
  const ajv = new Ajv2020({ strict: false });
  ajv.addSchema(document, 'document');
  for (const [path, { post }] of Object.entries(document.paths)) {
    if (post === undefined) continue;
    const response = await fetch(`${server.url}${path}`, { method: 'POST', headers, body: '{' });
    const name = post.responses[response.status]!.$ref.split('/').at(-1);
    const place = `document#/components/responses/${name}/content/application~1json/schema`;
    const fits = ajv.validate({ $ref: place }, await response.json());
    expect([path, fits, ajv.errors]).toEqual([path, true, null]);
  }
});

it('takes a key in each way that its OpenAPI document names', async () => {
  const headers = { authorization: `Bearer ${KEY}` };
  const { components } = (await (await fetch(`${server.url}/openapi.json`, { headers })).json()) as {
    components: { securitySchemes: Record<string, { type: string; name?: string }> };
  };
  const ways = Object.values(components.securitySchemes).map(({ type, name }) =>
    type === 'apiKey' ? { [name!]: KEY } : headers,
  );
  const statuses = await Promise.all(
    ways.map(async (way) => (await fetch(`${server.url}/v1/models`, { headers: way as HeadersInit })).status),
  );
  expect([ways.map(Object.keys), statuses]).toEqual([
    [['authorization'], ['x-api-key']],
    [200, 200],
  ]);
});

it('describes every path of the server in its OpenAPI document', async () => {
  const app = await openai({ models: { stories: models.stories } });
  const { paths } = (await (await app.request('/openapi.json')).json()) as { paths: Record<string, object> };
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/{(\w+)}/g, ':$1')}`),
  );
  const answered = app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${path}`);
  expect(described.sort()).toEqual(answered.sort());
  expect(described.length).toBeGreaterThan(25);
  await app.close();
});
