// Chats of Cohere's API, by its official client as it is.
import { CohereClient, CohereClientV2 } from 'cohere-ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadTextModel } from '../../src/index.js';
import { type RunningServer, serve } from '../../src/server/index.js';
import { type SmallModels, smallModels, storyAfter, TEMPLATE } from '../frameworks/small-models.js';

const prompt = 'Tell me a story about a cat.';
const messages = [{ role: 'user' as const, content: prompt }];
const greedy = { temperature: 0, maxTokens: 24 };
const schema = {
  type: 'object',
  properties: { city: { type: 'string', maxLength: 6 }, days: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['city', 'days'],
  additionalProperties: false,
};
const arguments_ = z.strictObject({ city: z.string().max(6), days: z.int().min(1).max(9) });
const tool = {
  type: 'function' as const,
  function: { name: 'weather', description: 'The weather.', parameters: schema },
};

let models: SmallModels;
let server: RunningServer;
/** The greedy answer to `prompt`. */
let story: string;
beforeAll(async () => {
  models = await smallModels();
  const thinker = await loadTextModel(models.device, models.folder);
  thinker.tokenizer.chatTemplate = TEMPLATE.replace('assistant: ', "{{ 'assistant: <think>\\n' }}").replace(
    "'{% if add",
    '{% if add',
  );
  const { stories, writer } = models;
  server = await serve({ models: { stories, writer, thinker }, port: 0, log: 'none' });
  story = await storyAfter(stories, `<|start_story|>user: ${prompt}\nassistant: `, 24);
});
afterAll(async () => {
  await server?.close();
  models?.end();
});

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const events: T[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

describe('version 2', () => {
  const client = () => new CohereClientV2({ token: 'any', environment: server.url, maxRetries: 0 });

  it('answers, with usage and log-probabilities', async () => {
    const answer = await client().chat({ model: 'stories', messages, ...greedy, logprobs: true });
    expect(answer.message).toEqual({ role: 'assistant', content: [{ type: 'text', text: story }] });
    expect(answer.finishReason).toBe('MAX_TOKENS');
    const { inputTokens } = answer.usage!.tokens!;
    expect(answer.usage!.tokens).toEqual({ inputTokens, outputTokens: 24 });
    expect(answer.usage!.billedUnits).toEqual({ inputTokens, outputTokens: 24 });
    const ids = answer.logprobs!.flatMap(({ tokenIds }) => tokenIds);
    expect(models.stories.tokenizer.decode(ids).trim()).toBe(story.trim());
    expect(answer.logprobs!.every(({ logprobs }) => logprobs![0]! <= 0)).toBe(true);
    const again = await client().chat({ model: 'stories', messages, ...greedy });
    expect(again.usage!.cachedTokens).toBeGreaterThan(0);
    expect(again.logprobs).toBeUndefined();
  });

  it('streams events in order', async () => {
    const events = await all(await client().chatStream({ model: 'stories', messages, ...greedy, logprobs: true }));
    const types = events.map(({ type }) => type).filter((type, i, before) => type !== before[i - 1]);
    expect(types).toEqual(['message-start', 'content-start', 'content-delta', 'content-end', 'message-end']);
    const deltas = events.flatMap((event) => (event.type === 'content-delta' ? [event] : []));
    expect(deltas.map(({ delta }) => delta!.message!.content!.text).join('')).toBe(story);
    expect(deltas.flatMap(({ logprobs }) => logprobs!.tokenIds)).toHaveLength(24);
    const end = events.at(-1);
    expect(end).toMatchObject({ delta: { finishReason: 'MAX_TOKENS', usage: { tokens: { outputTokens: 24 } } } });
  });

  it('names a stop sequence, and the same seed gives the same answer', async () => {
    const word = story.trim().split(' ')[2] as string;
    const answer = await client().chat({ model: 'stories', messages, ...greedy, stopSequences: [word] });
    expect(answer.finishReason).toBe('STOP_SEQUENCE');
    expect(answer.message.content).toMatchObject([{ text: story.slice(0, story.indexOf(word)) }]);
    const drawn = { model: 'stories', messages, maxTokens: 12, temperature: 1, k: 40, p: 0.9, seed: 7 };
    const [first, second] = [await client().chat(drawn), await client().chat(drawn)];
    expect(first.message).toEqual(second.message);
  });

  it('calls tools, in one piece and in a stream, and reads their results', async () => {
    const asked = { model: 'writer', messages, tools: [tool], toolChoice: 'REQUIRED' as const, maxTokens: 160 };
    const { message, finishReason } = await client().chat({ ...asked, strictTools: true });
    expect(finishReason).toBe('TOOL_CALL');
    const [call] = message.toolCalls!;
    expect(call!.function!.name).toBe('weather');
    arguments_.parse(JSON.parse(call!.function!.arguments!));
    const events = await all(await client().chatStream(asked));
    const pieces = events.flatMap((event) =>
      event.type === 'tool-call-delta' && event.index === 0
        ? event.delta!.message!.toolCalls!.function!.arguments!
        : [],
    );
    arguments_.parse(JSON.parse(pieces.join('')));
    const started = events.filter(({ type }) => type === 'tool-call-start');
    expect(started[0]).toMatchObject({ delta: { message: { toolCalls: { function: { name: 'weather' } } } } });
    expect(events.filter(({ type }) => type === 'tool-call-end')).toHaveLength(started.length);
    expect(events.at(-1)).toMatchObject({ delta: { finishReason: 'TOOL_CALL' } });
    const results = message.toolCalls!.map(({ id }) => ({
      role: 'tool' as const,
      toolCallId: id,
      content: [{ type: 'document' as const, document: { data: { weather: 'warm' } } }],
    }));
    const last = await client().chat({ ...greedy, model: 'writer', messages: [...messages, message, ...results] });
    expect(last.usage!.tokens!.outputTokens).toBeGreaterThan(0);
    const stray = client().chat({ ...greedy, model: 'writer', messages: [...messages, results[0]!] });
    await expect(stray).rejects.toMatchObject({
      statusCode: 400,
      body: { message: expect.stringMatching(/preceding/) },
    });
  });

  it('returns JSON of a schema', async () => {
    const responseFormat = { type: 'json_object' as const, jsonSchema: schema };
    const { message } = await client().chat({ model: 'writer', messages, responseFormat, maxTokens: 160 });
    const [part] = message.content!;
    arguments_.parse(JSON.parse(part!.type === 'text' ? part!.text : ''));
  });

  it('separates reasoning', async () => {
    const thought = await storyAfter(models.stories, `<|start_story|>user: ${prompt}\nassistant: <think>\n`, 24);
    const { message } = await client().chat({ model: 'thinker', messages, ...greedy });
    expect(message.content).toEqual([{ type: 'thinking', thinking: thought.trim() }]);
    const events = await all(await client().chatStream({ model: 'thinker', messages, ...greedy }));
    const pieces = events.flatMap((event) =>
      event.type === 'content-delta' ? (event.delta!.message!.content!.thinking ?? '') : [],
    );
    expect(pieces.join('')).toBe(thought.trim());
  });

  it('refuses by name what it cannot do', async () => {
    const documents = ['A text.'];
    await expect(client().chat({ model: 'stories', messages, documents })).rejects.toMatchObject({
      statusCode: 400,
      body: { message: "'documents' is not supported: write their texts into a message" },
    });
    const citationOptions = { mode: 'ACCURATE' as const };
    await expect(client().chat({ model: 'stories', messages, citationOptions })).rejects.toThrow(
      /citation_options.mode/,
    );
    await expect(client().chat({ model: 'none', messages })).rejects.toMatchObject({ statusCode: 404 });
  });
});

describe('version 1', () => {
  const client = () => new CohereClient({ token: 'any', environment: server.url, maxRetries: 0 });
  const chatHistory = [
    { role: 'USER' as const, message: 'There was a dog.' },
    { role: 'CHATBOT' as const, message: 'Yes.' },
  ];

  it('answers after a history, with usage', async () => {
    const asked = { model: 'stories', message: prompt, preamble: 'Be brief.', chatHistory, ...greedy };
    const answer = await client().chat(asked);
    const before = `<|start_story|>system: Be brief.\nuser: There was a dog.\nassistant: Yes.\nuser: ${prompt}\n`;
    expect(answer.text).toBe(await storyAfter(models.stories, `${before}assistant: `, 24));
    expect(answer).toMatchObject({ finishReason: 'MAX_TOKENS', meta: { tokens: { outputTokens: 24 } } });
    const said = { role: 'CHATBOT', message: answer.text };
    expect(answer.chatHistory).toEqual([...chatHistory, { role: 'USER', message: prompt }, said]);
    const events = await all(await client().chatStream(asked));
    expect(events[0]).toMatchObject({ eventType: 'stream-start' });
    const pieces = events.flatMap((event) => (event.eventType === 'text-generation' ? event.text : []));
    expect(pieces.join('')).toBe(answer.text);
    expect(events.at(-1)).toMatchObject({ eventType: 'stream-end', response: { text: answer.text } });
  });

  it('returns JSON of a schema', async () => {
    const responseFormat = { type: 'json_object' as const, schema };
    const { text } = await client().chat({ model: 'writer', message: prompt, responseFormat, maxTokens: 160 });
    arguments_.parse(JSON.parse(text));
  });

  it('offers tools, and reads their results', async () => {
    const tools = [
      { name: 'w', description: '', parameterDefinitions: { days: { type: 'List[int]', required: true } } },
    ];
    const call = { name: 'w', parameters: { days: [1] } };
    const toolResults = [{ call, outputs: [{ weather: 'warm' }] }];
    const answer = await client().chat({ ...greedy, model: 'stories', message: prompt, tools, toolResults });
    const called = JSON.stringify({ name: 'w', arguments: { days: [1] } }).replaceAll(/([:,])/g, '$1 ');
    const before = `<|start_story|>user: ${prompt}\nassistant: ${called}\ntool: {"weather":"warm"}\nw <tool_call>\n`;
    expect(answer.text).toBe(await storyAfter(models.stories, `${before}assistant: `, 24));
    const chatHistory = [
      { role: 'USER' as const, message: prompt },
      { role: 'CHATBOT' as const, message: '', toolCalls: [call] },
    ];
    const same = await client().chat({ ...greedy, model: 'stories', message: '', chatHistory, tools, toolResults });
    expect([same.text, same.meta!.tokens]).toEqual([answer.text, answer.meta!.tokens]);
  });

  it('refuses by name what it cannot do', async () => {
    const connectors = [{ id: 'web-search' }];
    await expect(client().chat({ model: 'stories', message: prompt, connectors })).rejects.toMatchObject({
      statusCode: 400,
      body: { message: expect.stringMatching(/^'connectors' is not supported/) },
    });
  });
});
