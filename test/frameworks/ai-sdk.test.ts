// The adapter for the AI SDK, by the real packages `ai` 7 and `ai` 6.
import { readFileSync } from 'node:fs';
import { NoSuchModelError, UnsupportedFunctionalityError } from '@ai-sdk/provider';
import {
  embed,
  embedMany,
  generateText,
  isStepCount,
  Output,
  rerank,
  streamText,
  ToolLoopAgent,
  tool,
  transcribe,
} from 'ai';
import * as ai6 from 'ai-6';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { createSimdformer, type SimdformerProvider, simdformer } from '../../src/ai-sdk/index.js';
import { loadTextModel } from '../../src/index.js';
import { pipeline } from '../../src/tasks/index.js';
import { describeReal } from '../real-models.js';
import { testData } from '../test-data.js';
import { type SmallModels, smallModels, storyAfter } from './small-models.js';

let models: SmallModels;
let provider: SimdformerProvider;
/** The greedy answer to `prompt`. */
let story: string;
const prompt = 'Tell me a story about a cat.';
const greedy = { prompt, temperature: 0, maxOutputTokens: 24 } as const;
beforeAll(async () => {
  models = await smallModels();
  provider = createSimdformer({ device: models.device });
  story = await storyAfter(models.stories, `<|start_story|>user: ${prompt}\nassistant: `, 24);
});
afterAll(async () => {
  await provider?.dispose();
  models?.end();
});

describe('text', () => {
  it("equals the model's output, for a folder and for a loaded model", async () => {
    for (const model of [provider(models.folder), provider.languageModel(models.stories)]) {
      const { text, usage, finishReason, warnings } = await generateText({ model, ...greedy });
      expect(text).toBe(story);
      expect([usage.outputTokens, finishReason, warnings]).toEqual([24, 'length', []]);
      expect(usage.inputTokens).toBeGreaterThan(10);
    }
  });

  it('streams in pieces, with usage', async () => {
    const { textStream, totalUsage, finishReason } = streamText({ model: provider(models.stories), ...greedy });
    const pieces: string[] = [];
    for await (const piece of textStream) pieces.push(piece);
    expect(pieces.join('')).toBe(story);
    expect(pieces.length).toBeGreaterThan(10);
    expect((await totalUsage).outputTokens).toBe(24);
    expect(await finishReason).toBe('length');
  });

  it('ends before a stop sequence', async () => {
    const stop = story.slice(12, 20);
    const { text, finishReason } = await generateText({
      model: provider(models.stories),
      ...greedy,
      stopSequences: [stop],
    });
    expect(text).toBe(story.slice(0, story.indexOf(stop)));
    expect(finishReason).toBe('stop');
  });

  it('reads a prefix of the latest conversations once', async () => {
    const messages = [
      { role: 'user', content: `${prompt} It likes milk, and it sleeps all day long in the sun.` },
      { role: 'assistant', content: 'One day it met a dog.' },
      { role: 'user', content: 'Go on.' },
    ] as const;
    const settings = { model: provider(models.stories), temperature: 0, maxOutputTokens: 4 };
    await generateText({ ...settings, messages: messages.slice(0, 1) });
    const { usage } = await generateText({ ...settings, messages: [...messages] });
    expect(usage.inputTokenDetails.cacheReadTokens).toBeGreaterThan(16);
  });

  it('is the same for a seed, and sampled differently without one', async () => {
    const settings = { model: provider(models.stories), prompt, temperature: 1, maxOutputTokens: 24 };
    const [one, two, three, four] = await Promise.all(
      [7, 7, undefined, undefined].map((seed) => generateText({ ...settings, ...(seed && { seed }) })),
    );
    expect(one!.text).toBe(two!.text);
    expect(three!.text).not.toBe(four!.text);
  });

  it('accepts options of generate and of the template', async () => {
    const call = (options: object) =>
      generateText({ model: provider(models.stories), ...greedy, providerOptions: { simdformer: options as never } });
    const repeated = await call({ draft: 'prompt' });
    expect(repeated.text).toBe(story);
    await expect(call({ minPee: 0.5 })).rejects.toThrow(/minPee/);
  });
});

describe('a format', () => {
  const schema = z.object({ name: z.string().max(8), legs: z.int().min(0).max(9) });

  it('is satisfied by every answer', async () => {
    for (const seed of [1, 2, 3]) {
      const { output } = await generateText({
        model: provider(models.writer),
        prompt,
        output: Output.object({ schema }),
        maxOutputTokens: 80,
        temperature: 1.5,
        seed,
      });
      expect(schema.parse(output)).toEqual(output);
    }
  });

  it('streams as partial objects', async () => {
    const { partialOutputStream, output } = streamText({
      model: provider(models.writer),
      prompt,
      output: Output.object({ schema }),
      maxOutputTokens: 80,
      temperature: 1.5,
      seed: 4,
    });
    const partials: unknown[] = [];
    for await (const partial of partialOutputStream) partials.push(partial);
    expect(partials.length).toBeGreaterThan(1);
    expect(partials.at(-1)).toEqual(await output);
  });

  it('can be a choice, an array, or any JSON', async () => {
    const settings = { model: provider(models.writer), prompt, maxOutputTokens: 60, seed: 5, temperature: 1 };
    const { output: choice } = await generateText({ ...settings, output: Output.choice({ options: ['cat', 'dog'] }) });
    expect(['cat', 'dog']).toContain(choice);
    const { output: list } = await generateText({ ...settings, output: Output.array({ element: z.int().max(99) }) });
    expect(list.every(Number.isInteger)).toBe(true);
    const { output: any } = await generateText({ ...settings, output: Output.json() });
    expect(typeof any).toBe('object');
  });
});

describe('tools', () => {
  const weather = tool({
    description: 'Tells the weather',
    inputSchema: z.object({ city: z.string().max(6), days: z.int().min(1).max(9) }),
    execute: async ({ city, days }) => ({ city, days, sky: 'blue' }),
  });

  it('are called by an agent, which continues with their results', async () => {
    const agent = new ToolLoopAgent({
      model: provider(models.writer),
      tools: { weather },
      stopWhen: isStepCount(2),
      prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? 'required' : 'none' }),
      maxOutputTokens: 160,
      temperature: 1,
      seed: 3,
    });
    const { steps } = await agent.generate({ prompt });
    expect(steps.map(({ finishReason }) => finishReason)).toEqual(['tool-calls', expect.stringMatching(/stop|length/)]);
    const [called] = steps[0]!.toolResults;
    expect(called!.output).toEqual({ ...(called!.input as object), sky: 'blue' });
    expect(weather.inputSchema).toBeDefined();
    expect(steps[1]!.text).not.toBe('');
  });

  it('are called in a stream, with arguments that satisfy the schema', async () => {
    const inputs: unknown[] = [];
    const { fullStream } = streamText({
      model: provider(models.writer),
      prompt,
      tools: { weather },
      maxOutputTokens: 160,
      seed: 2,
      toolChoice: { type: 'tool', toolName: 'weather' },
    });
    const types = new Set<string>();
    for await (const part of fullStream) {
      types.add(part.type);
      if (part.type === 'tool-call') inputs.push(part.input);
    }
    expect([...types]).toEqual(expect.arrayContaining(['tool-input-start', 'tool-call', 'tool-result']));
    expect(inputs.length).toBe(1);
    expect(z.object({ city: z.string().max(6), days: z.int().min(1).max(9) }).safeParse(inputs[0]).success).toBe(true);
  });

  it('are called by the model itself', async () => {
    const { scripted } = models;
    const { tokenizer } = scripted;
    const written = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome", "days": 2}}\n</tool_call>';
    scripted.writes(tokenizer.encode(written, { addSpecial: false }));
    const { toolCalls, finishReason, text } = await generateText({
      model: provider(scripted),
      prompt,
      tools: { weather },
      stopWhen: isStepCount(1),
      maxOutputTokens: 200,
      temperature: 0,
    });
    expect(toolCalls.map(({ toolName, input }) => [toolName, input])).toEqual([['weather', { city: 'Rome', days: 2 }]]);
    expect([finishReason, text]).toEqual(['tool-calls', '']);
  });

  it('with schemas that no format can express are called unchecked, with a warning', async () => {
    const inputSchema = { jsonSchema: { type: 'object', patternProperties: { '^a': {} } } } as const;
    const { jsonSchema } = await import('ai');
    const { warnings } = await generateText({
      model: provider(models.writer),
      ...greedy,
      tools: { odd: tool({ inputSchema: jsonSchema(inputSchema.jsonSchema) }) },
    });
    expect(warnings).toEqual([
      {
        type: 'compatibility',
        feature: "schema of the tool 'odd'",
        details: expect.stringContaining('patternProperties'),
      },
    ]);
  });

  it('cause a warning if the chat template does not show them', async () => {
    const model = await loadTextModel(models.device, models.folder);
    model.tokenizer.chatTemplate = '{{ messages[0].content }}';
    const { warnings } = await generateText({ model: provider(model), ...greedy, tools: { weather } });
    expect(warnings).toMatchObject([{ type: 'compatibility', feature: 'tools' }]);
  });

  it('that do not exist are refused', async () => {
    const call = generateText({
      model: provider(models.writer),
      prompt,
      tools: { weather },
      toolChoice: { type: 'tool', toolName: 'wether' as 'weather' },
    });
    await expect(call).rejects.toThrow(/wether/);
  });
});

describe('reasoning', () => {
  it('is separated from the text, in streams too', async () => {
    const { scripted } = models;
    const text = scripted.tokenizer.encode('<think>\nIs it so?\n</think>\n\nYes.', { addSpecial: false });
    const written = [...text, scripted.tokenizer.eosId as number];
    const settings = { model: provider(scripted), prompt, maxOutputTokens: 100, temperature: 0 };
    scripted.writes(written);
    const { text: said, reasoningText, usage } = await generateText(settings);
    expect([said, reasoningText]).toEqual(['Yes.', 'Is it so?']);
    const { reasoningTokens, textTokens } = usage.outputTokenDetails;
    expect(reasoningTokens! + textTokens!).toBe(usage.outputTokens);
    expect(textTokens).toBeLessThan(reasoningTokens!);
    scripted.writes(written);
    const seen = { text: '', reasoning: '' };
    for await (const part of streamText(settings).fullStream) {
      if (part.type === 'text-delta') seen.text += part.text;
      if (part.type === 'reasoning-delta') seen.reasoning += part.text;
    }
    expect(seen).toEqual({ text: 'Yes.', reasoning: 'Is it so?' });
  });

  it('can be turned off, if the template has a switch', async () => {
    const { scripted } = models;
    scripted.writes(scripted.tokenizer.encode('Yes.', { addSpecial: false }));
    const off = await generateText({ model: provider(scripted), prompt, reasoning: 'none', maxOutputTokens: 20 });
    expect(off.warnings).toEqual([]);
    const { warnings } = await generateText({ model: provider(models.stories), ...greedy, reasoning: 'high' });
    expect(warnings).toMatchObject([{ type: 'unsupported', feature: 'reasoning' }]);
  });
});

describe('abort', () => {
  it('ends a stream, and frees its row', async () => {
    const controller = new AbortController();
    const { fullStream } = streamText({
      model: provider(models.stories),
      prompt,
      temperature: 0,
      maxOutputTokens: 400,
      abortSignal: controller.signal,
    });
    let pieces = 0;
    const types: string[] = [];
    for await (const part of fullStream) {
      types.push(part.type);
      if (part.type === 'text-delta' && ++pieces === 3) controller.abort();
    }
    expect(types).toContain('abort');
    expect(pieces).toBeLessThan(50);
    expect((await generateText({ model: provider(models.stories), ...greedy })).text).toBe(story);
  });

  it('rejects a call', async () => {
    const call = generateText({
      model: provider(models.stories),
      prompt,
      maxOutputTokens: 400,
      abortSignal: AbortSignal.timeout(5),
    });
    await expect(call).rejects.toMatchObject({ name: 'TimeoutError' });
  });
});

describe('other models', () => {
  it('embed', async () => {
    const values = ['CCO', 'c1ccccc1'];
    const model = provider.embeddingModel(models.vectors);
    const { embeddings, usage } = await embedMany({ model, values });
    const extract = await pipeline('feature-extraction', models.vectors);
    expect(embeddings).toEqual((await extract(values, { pooling: 'model' })).tolist());
    expect(usage.tokens).toBeGreaterThan(6);
    const short = await model.doEmbed({ values, dimensions: 8 });
    expect(short.embeddings.map((vector) => Math.hypot(...vector))).toEqual([expect.closeTo(1), expect.closeTo(1)]);
    await expect(embed({ model, value: 'CCO', abortSignal: AbortSignal.abort() })).rejects.toThrow();
  });

  it('rank', async () => {
    const documents = ['a cat', 'the dog is here', 'a'];
    const model = provider.rerankingModel(models.ranker);
    const { ranking, rerankedDocuments } = await rerank({ model, documents, query: 'the cat', topN: 2 });
    const rank = await pipeline('text-ranking', models.ranker);
    const expected = await rank('the cat', documents, { top_k: 2 });
    expect(ranking.map(({ originalIndex, score }) => [originalIndex, score])).toEqual(
      expected.map(({ corpus_id, score }) => [corpus_id, score]),
    );
    expect(rerankedDocuments.length).toBe(2);
    const objects = await rerank({ model, documents: [{ a: 'cat' }, { a: 'dog' }], query: 'cat' });
    expect(objects.ranking.length).toBe(2);
  });

  it('transcribe, with the options of pipelines', async () => {
    const simdformer = { max_new_tokens: 8, no_speech_threshold: null }; // the weights are random
    const audio = readFileSync(`${testData('checkpoints/real').path}/jfk-16k.wav`);
    const { text, durationInSeconds, segments } = await transcribe({
      model: provider.transcriptionModel('test/tasks/whisper'),
      audio,
      providerOptions: { simdformer },
    });
    await using recognize = await pipeline('automatic-speech-recognition', 'test/tasks/whisper');
    const expected = await recognize(audio, { ...simdformer, return_timestamps: true });
    expect(text).toBe(expected.text.trim());
    expect(durationInSeconds).toBeCloseTo(11, 0);
    expect(segments.length).toBe(expected.chunks!.length);
  });

  it('of kinds that do not exist are refused by the errors of the AI SDK', () => {
    expect(() => simdformer.imageModel('painter')).toThrow(NoSuchModelError);
  });

  it('refuse images by the error of the AI SDK if the model reads only text', async () => {
    const image = {
      type: 'file',
      mediaType: 'image/png',
      data: new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]),
    } as const;
    const call = generateText({
      model: provider(models.stories),
      messages: [{ role: 'user', content: [image] }],
    });
    await expect(call).rejects.toThrow(UnsupportedFunctionalityError);
  });
});

describeReal('whisper-tiny.en', (path) => {
  it('transcribes speech, with times of words', async () => {
    await using own = createSimdformer();
    const audio = readFileSync(`${testData('checkpoints/real').path}/jfk-16k.wav`);
    const model = own.transcriptionModel(path);
    const { text, words } = await model.doGenerate({ audio, mediaType: 'audio/wav', timestampGranularities: ['word'] });
    expect(text).toMatch(/ask not what your country can do for you/i);
    expect(words!.length).toBe(text.split(' ').length);
  });
});

it('frees what it loaded and opened', async () => {
  const own = createSimdformer();
  const { text } = await generateText({ model: own(models.folder), ...greedy });
  expect(text).toBe(story);
  await own.dispose();
  expect((await generateText({ model: own(models.folder), ...greedy })).text).toBe(story);
  await own.dispose();
});

describe('specification V3', () => {
  it('works with ai 6', async () => {
    const older = createSimdformer({ device: models.device, specificationVersion: 'v3' });
    const model = older(models.stories) as unknown as Exclude<ai6.LanguageModel, string>; // their types are of another version
    const { text, usage } = await ai6.generateText({ model, ...greedy });
    expect([text, usage.outputTokens]).toEqual([story, 24]);
    let streamed = '';
    for await (const piece of ai6.streamText({ model, ...greedy }).textStream) streamed += piece;
    expect(streamed).toBe(story);
    const { embeddings } = await ai6.embedMany({
      model: older.embeddingModel(models.vectors) as unknown as Exclude<ai6.EmbeddingModel, string>,
      values: ['CCO'],
    });
    expect(embeddings[0]!.length).toBe(256);
    const schema = z.object({ legs: z.int().min(0).max(9) });
    const writer = older(models.writer) as unknown as typeof model;
    const { object } = await ai6.generateObject({ model: writer, prompt, schema, maxOutputTokens: 60 });
    expect(schema.parse(object)).toEqual(object);
  });

  it('is the default beside the package @ai-sdk/provider of ai 6', async () => {
    expect(createSimdformer()(models.stories).specificationVersion).toBe('v4');
    vi.resetModules();
    vi.doMock('@ai-sdk/provider', () => import('../../node_modules/ai-6/node_modules/@ai-sdk/provider/dist/index.mjs'));
    const { createSimdformer: beside6 } = await import('../../src/ai-sdk/index.js');
    const older = beside6({ device: models.device })(models.stories);
    expect(older.specificationVersion).toBe('v3');
    vi.doUnmock('@ai-sdk/provider');
    vi.resetModules();
  });

  it('is the only other one', () => {
    expect(() => createSimdformer({ specificationVersion: 'v2' as 'v3' })).toThrow(/v2.*'v3' or 'v4'/);
  });
});
