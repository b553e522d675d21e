// The adapter for LangChain, by the real package. LangChain's standard tests are not published; these cover what they ask.
import { InMemoryCache } from '@langchain/core/caches';
import {
  AIMessage,
  type BaseMessage,
  HumanMessage,
  SystemMessage,
  ToolMessage,
  type UsageMetadata,
} from '@langchain/core/messages';
import { StringOutputParser } from '@langchain/core/output_parsers';
import { ChatPromptTemplate } from '@langchain/core/prompts';
import { tool } from '@langchain/core/tools';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import {
  ChatSimdformer,
  type ChatSimdformerFields,
  SimdformerEmbeddings,
  SimdformerRerank,
} from '../../src/langchain/index.js';
import { pipeline } from '../../src/tasks/index.js';
import { type SmallModels, smallModels, storyAfter } from './small-models.js';

let models: SmallModels;
let chat: ChatSimdformer;
/** The greedy answer to `prompt`. */
let story: string;
const prompt = 'Tell me a story about a cat.';
const settings = { temperature: 0, maxTokens: 24 };
beforeAll(async () => {
  models = await smallModels();
  chat = new ChatSimdformer({ model: models.stories, ...settings });
  story = await storyAfter(models.stories, `<|start_story|>user: ${prompt}\nassistant: `, 24);
});
afterAll(() => models?.end());

/** The field has no type in programs with `exactOptionalPropertyTypes`. */
const usageOf = (message: object) => (message as { usage_metadata?: UsageMetadata }).usage_metadata;

describe('ChatSimdformer', () => {
  it('answers, with usage', async () => {
    const answer = await chat.invoke(prompt);
    expect(answer.content).toBe(story);
    expect(usageOf(answer)).toMatchObject({ output_tokens: 24 });
    expect(usageOf(answer)!.total_tokens).toBe(usageOf(answer)!.input_tokens + 24);
    expect(answer.response_metadata).toMatchObject({ finish_reason: 'length', model_provider: 'simdformer' });
  });

  it('loads a folder when it is first called', async () => {
    const own = new ChatSimdformer({ model: models.folder, loadOptions: { device: models.device }, ...settings });
    expect((await own.invoke(prompt)).text).toBe(story);
    await own.dispose();
  });

  it('streams, and calls back for each piece', async () => {
    const heard: string[] = [];
    const callbacks = [{ handleLLMNewToken: (piece: string) => void heard.push(piece) }];
    const pieces: string[] = [];
    let tokens = 0;
    for await (const chunk of await chat.stream(prompt, { callbacks })) {
      pieces.push(chunk.text);
      tokens += usageOf(chunk)?.output_tokens ?? 0;
    }
    expect(pieces.join('')).toBe(story);
    expect(pieces.length).toBeGreaterThan(10);
    expect(heard).toEqual(pieces);
    expect(tokens).toBe(24);
  });

  it('is a part of chains, and answers in batches', async () => {
    const chain = ChatPromptTemplate.fromTemplate('Tell me a {what} about a cat.')
      .pipe(chat)
      .pipe(new StringOutputParser());
    expect(await chain.invoke({ what: 'story' })).toBe(story);
    const [one, two] = await chain.batch([{ what: 'story' }, { what: 'joke' }]);
    expect(one).toBe(story);
    expect(two).not.toBe(story);
    const events = new Set<string>();
    for await (const { event } of chain.streamEvents({ what: 'story' }, { version: 'v2' })) events.add(event);
    expect([...events]).toEqual(expect.arrayContaining(['on_chat_model_start', 'on_chat_model_stream']));
  });

  it('reads systems, turns and stop words', async () => {
    const turns = [
      new SystemMessage('Be brief.'),
      new HumanMessage('Hi'),
      new AIMessage('Hello'),
      new HumanMessage('A cat?'),
    ];
    expect((await chat.invoke(turns)).text).not.toBe('');
    const stop = story.slice(12, 20);
    const { text, response_metadata } = await chat.invoke(prompt, { stop: [stop] });
    expect([text, response_metadata.finish_reason]).toEqual([story.slice(0, story.indexOf(stop)), 'stop']);
  });

  it('stops at a signal', async () => {
    const controller = new AbortController();
    const long = new ChatSimdformer({ model: models.stories, temperature: 0, maxTokens: 400 });
    let pieces = 0;
    const reading = (async () => {
      for await (const _ of await long.stream(prompt, { signal: controller.signal }))
        if (++pieces === 3) controller.abort();
    })();
    await expect(reading).rejects.toThrow(/abort/i);
    expect(pieces).toBeLessThan(50);
    expect((await chat.invoke(prompt)).text).toBe(story);
  });

  it('separates reasoning', async () => {
    const { scripted } = models;
    const ids = scripted.tokenizer.encode('<think>\nIs it so?\n</think>\n\nYes.', { addSpecial: false });
    scripted.writes([...ids, scripted.tokenizer.eosId as number]);
    const { text, additional_kwargs } = await new ChatSimdformer({
      model: scripted,
      ...settings,
      maxTokens: 100,
    }).invoke('So?');
    expect([text, additional_kwargs.reasoning_content]).toEqual(['Yes.', 'Is it so?']);
  });

  it('refuses unknown fields', () => {
    const unknown = { temprature: 1 } as object;
    expect(() => new ChatSimdformer({ model: 'm', ...unknown })).toThrow(
      /ChatSimdformer: there is no option temprature/,
    );
    expect(() => new SimdformerEmbeddings({ model: 'm', ...unknown })).toThrow(/no option temprature/);
    new ChatSimdformer({ model: 'm', tags: ['a'], verbose: false, maxRetries: 1 });
  });

  it('refuses options of calls in another style, and warns of unknown ones', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    try {
      await expect(chat.invoke(prompt, { max_tokens: 3 } as object)).rejects.toThrow(
        /max_tokens: it is maxTokens here/,
      );
      const bound = chat.withConfig({ temprature: 1, store: {} } as object);
      expect([(await bound.invoke(prompt)).text, (await bound.invoke(prompt)).text]).toEqual([story, story]);
      expect(warn.mock.calls).toEqual([[expect.stringMatching(/no option temprature, so it has no effect/)]]);
    } finally {
      warn.mockRestore();
    }
  });

  it('shares a cache only with models of equal settings', async () => {
    const cache = new InMemoryCache();
    const model = models.folder;
    const loadOptions = { device: models.device };
    const ask = async (fields: Partial<ChatSimdformerFields>) => {
      const own = new ChatSimdformer({ model, loadOptions, cache, ...settings, ...fields });
      const { text } = await own.invoke(prompt);
      await own.dispose();
      return text;
    };
    const lookedUp = vi.spyOn(cache, 'lookup');
    expect([await ask({}), await ask({})]).toEqual([story, story]);
    const found = await Promise.all(lookedUp.mock.results.map(({ value }) => value));
    expect(found.map((generations) => generations !== null)).toEqual([false, true]);
    expect(story.startsWith(await ask({ maxTokens: 4 }))).toBe(true);
    expect(await ask({ maxTokens: 4 })).not.toBe(story);
    expect(await ask({ model: models.writer })).not.toBe(story);
  });

  it('counts tokens by its own tokenizer', async () => {
    const { length } = models.stories.tokenizer!.encode(prompt, { addSpecial: false });
    expect(await chat.getNumTokens(prompt)).toBe(length);
    expect(await chat.getNumTokens([{ type: 'text', text: prompt }])).toBe(length);
  });

  it('refuses images if the model reads only text, and sound', async () => {
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } };
    await expect(chat.invoke([new HumanMessage({ content: [image] })])).rejects.toThrow(/the model reads no images/);
    const sound = { type: 'audio', mimeType: 'audio/wav', data: 'AA==' };
    await expect(chat.invoke([new HumanMessage({ content: [sound] })])).rejects.toThrow(/'audio', expected text or/);
  });
});

describe('tools', () => {
  const schema = z.object({ city: z.string().max(6), days: z.int().min(1).max(9) });
  const weather = tool(async ({ city }) => `It is warm in ${city}.`, {
    name: 'weather',
    description: 'Tells the weather',
    schema,
  });
  const writer = () => new ChatSimdformer({ model: models.writer, temperature: 1, seed: 3, maxTokens: 160 });

  it.each(['any', 'weather'])('are called by the choice %s, and their results are read', async (tool_choice) => {
    const asked: BaseMessage[] = [new HumanMessage('Weather?')];
    const called = await writer().bindTools([weather], { tool_choice, parallelToolCalls: false }).invoke(asked);
    const [call] = called.tool_calls!;
    expect(call!.name).toBe('weather');
    expect(schema.parse(call!.args)).toEqual(call!.args);
    expect(called.response_metadata.finish_reason).toBe('tool_calls');
    const result = await weather.invoke({ ...call!, type: 'tool_call' });
    expect(result).toBeInstanceOf(ToolMessage);
    const answer = await writer().invoke([...asked, called, result as ToolMessage], { maxTokens: 8 });
    expect(usageOf(answer)!.output_tokens).toBeGreaterThan(0);
  });

  it('stream as chunks that join into calls', async () => {
    const stream = await writer().bindTools([weather], { tool_choice: 'any' }).stream('Weather?');
    let all: Awaited<ReturnType<ChatSimdformer['invoke']>> | undefined;
    for await (const chunk of stream) all = all === undefined ? chunk : all.concat(chunk);
    expect(schema.safeParse(all!.tool_calls![0]!.args).success).toBe(true);
  });

  const shape = z.object({ name: z.string().max(8), legs: z.int().min(0).max(9) });
  it.each(['jsonSchema', 'functionCalling'] as const)('give structured output by %s', async (method) => {
    const structured = writer().withStructuredOutput(shape, { method });
    const output = await structured.invoke('A cat');
    expect(shape.parse(output)).toEqual(output);
    const raw = writer().withStructuredOutput(shape, { method, includeRaw: true });
    const { parsed, raw: message } = await raw.invoke('A cat');
    expect(shape.parse(parsed)).toEqual(parsed);
    expect(usageOf(message)!.output_tokens).toBeGreaterThan(5);
  });
});

it('formats are also given as providerStrategy of agents gives them', async () => {
  const writer = new ChatSimdformer({ model: models.writer, temperature: 1, seed: 3, maxTokens: 160 });
  const wanted = z.object({ legs: z.int().min(0).max(9) });
  const schema = z.toJSONSchema(wanted);
  const answers = await Promise.all([
    writer.invoke('A cat', { response_format: { type: 'json_schema', json_schema: { schema } } }),
    writer.invoke('A cat', { responseFormat: { type: 'json_schema', schema } }),
  ]);
  for (const { text } of answers) expect(wanted.safeParse(JSON.parse(text)).success).toBe(true);
  expect(answers[0].text).toBe(answers[1].text);
});

describe('SimdformerEmbeddings', () => {
  it('embeds documents and queries', async () => {
    const embeddings = new SimdformerEmbeddings({ model: models.vectors });
    const texts = ['CCO', 'c1ccccc1'];
    const extract = await pipeline('feature-extraction', models.vectors);
    expect(await embeddings.embedDocuments(texts)).toEqual((await extract(texts, { pooling: 'model' })).tolist());
    expect(await embeddings.embedQuery('CCO')).toEqual((await embeddings.embedDocuments(['CCO']))[0]);
    const short = new SimdformerEmbeddings({ model: models.vectors, dimensions: 8 });
    expect(Math.hypot(...(await short.embedQuery('CCO')))).toBeCloseTo(1);
    await expect(new SimdformerEmbeddings({ model: models.vectors, dimensions: 999 }).embedQuery('C')).rejects.toThrow(
      /999/,
    );
  });
});

describe('SimdformerRerank', () => {
  it('orders documents, and keeps the best', async () => {
    const texts = ['a cat', 'the dog is here', 'a'];
    const documents = texts.map((pageContent, i) => ({ pageContent, metadata: { i } }));
    const best = await new SimdformerRerank({ model: models.ranker, topN: 2 }).compressDocuments(documents, 'the cat');
    const rank = await pipeline('text-ranking', models.ranker);
    const expected = await rank('the cat', texts, { top_k: 2 });
    expect(best).toEqual(
      expected.map(({ corpus_id: i, score }) => ({ pageContent: texts[i], metadata: { i, relevanceScore: score } })),
    );
  });
});

it('fields of other kinds are refused by name', () => {
  const model = models.stories;
  type Make = (fields: object) => unknown;
  const classes: [name: string, Make, wrong: Record<string, unknown>][] = [
    [
      'ChatSimdformer',
      (fields) => new ChatSimdformer({ model, ...fields }),
      {
        maxTokens: 1.5,
        temperature: 'hot',
        topP: 0,
        topK: -1,
        seed: 'a',
        variables: 1,
        generation: 'x',
        presencePenalty: '',
      },
    ],
    ['SimdformerEmbeddings', (fields) => new SimdformerEmbeddings({ model: 'm', ...fields }), { dimensions: 0 }],
    ['SimdformerRerank', (fields) => new SimdformerRerank({ model: 'm', ...fields }), { topN: 'all', nonsense: 1 }],
  ];
  for (const [name, make, wrong] of classes)
    for (const [field, value] of Object.entries({ ...wrong, model: 7, loadOptions: 'auto' }))
      expect(() => make({ [field]: value }), field).toThrow(new RegExp(`^${name}: .*\\b${field}\\b`));
  expect(() => new SimdformerRerank({} as never)).toThrow(/model is undefined, expected a folder/);
});
