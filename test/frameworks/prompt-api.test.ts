// The Prompt API on a small model, by the rules of its specification.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LanguageModelSession, type PromptApi, promptApi } from '../../src/prompt-api/index.js';
import { type SmallModels, smallModels, storyAfter } from './small-models.js';

let models: SmallModels;
let LanguageModel: PromptApi;
const prompt = 'Tell me a story about a cat.';
beforeAll(async () => {
  models = await smallModels();
  LanguageModel = promptApi(models.stories);
});
afterAll(() => models?.end());

/** The model's whole greedy answer. */
const greedy = { samplingMode: 'most-predictable' } as const;
const asked = `<|start_story|>user: ${prompt}\nassistant: `;
const nameOf = (work: Promise<unknown>) =>
  work.then(
    () => 'none',
    ({ name }) => name,
  );

async function read(stream: ReadableStream<string>, max = Number.POSITIVE_INFINITY): Promise<string[]> {
  const pieces: string[] = [];
  for await (const piece of stream as unknown as AsyncIterable<string>) {
    pieces.push(piece);
    if (pieces.length === max) break;
  }
  return pieces;
}

describe('promptApi', () => {
  it('loads the model of a folder when a session is created, and reports progress', async () => {
    const own = promptApi(models.folder, { device: models.device });
    expect(await own.availability()).toBe('downloadable');
    const shares: number[] = [];
    const monitor = (target: EventTarget) =>
      target.addEventListener('downloadprogress', (event) => shares.push((event as Event & { loaded: number }).loaded));
    const session = await own.create({ monitor });
    expect(await own.availability()).toBe('available');
    expect(shares.at(-1)).toBe(1);
    expect(session.contextWindow).toBe(models.stories.maxLength);
    await own.dispose();
    expect(await nameOf(session.prompt(prompt))).toBe('InvalidStateError');
  });

  it('uses the model of the browser on request', async () => {
    const session = {} as LanguageModelSession;
    const builtIn = { availability: async () => 'available', create: async () => session };
    Object.assign(globalThis, { LanguageModel: builtIn });
    try {
      expect(await promptApi(models.stories, { builtIn: true }).create()).toBe(session);
      expect(await promptApi(models.stories).create()).not.toBe(session);
    } finally {
      delete (globalThis as { LanguageModel?: unknown }).LanguageModel;
    }
  });

  it('refuses inputs other than text, and contradicting settings', async () => {
    const image = { expectedInputs: [{ type: 'image' }] };
    expect(await LanguageModel.availability(image)).toBe('unavailable');
    expect(await nameOf(LanguageModel.create(image))).toBe('NotSupportedError');
    expect(await nameOf(LanguageModel.create({ ...greedy, topK: 3 }))).toBe('ArgumentError');
    expect(await nameOf(LanguageModel.create({ topK: 0 }))).toBe('ArgumentError');
    const late = [{ role: 'user', content: 'a' } as const, { role: 'system', content: 'b' } as const];
    expect(await nameOf(LanguageModel.create({ initialPrompts: late }))).toBe('ArgumentError');
  });
});

describe('a session', () => {
  it('answers in one piece and in a stream, like the model itself', async () => {
    const session = await LanguageModel.create(greedy);
    const answer = await session.prompt(prompt);
    expect(answer.length).toBeGreaterThan(50);
    expect(answer.startsWith(await storyAfter(models.stories, asked, 24))).toBe(true);
    const pieces = await read((await LanguageModel.create(greedy)).promptStreaming(prompt));
    expect(pieces.length).toBeGreaterThan(10);
    expect(pieces.join('')).toBe(answer);
  });

  it('counts the tokens of the context, and of a prompt before it is sent', async () => {
    const session = await LanguageModel.create({ initialPrompts: [{ role: 'system', content: 'Be brief.' }] });
    const before = session.contextUsage;
    expect(before).toBeGreaterThan(0);
    const added = await session.measureContextUsage(prompt);
    await session.append([{ role: 'user', content: prompt }]);
    expect(session.contextUsage).toBe(before + added);
  });

  it('continues separately in a clone', async () => {
    const session = await LanguageModel.create(greedy);
    await session.append([{ role: 'user', content: 'There was a dog.' }]);
    const clone = await session.clone();
    const answer = await session.prompt(prompt);
    expect(clone.contextUsage).toBeLessThan(session.contextUsage);
    expect(await clone.prompt(prompt)).toBe(answer);
    clone.destroy();
    expect(await nameOf(clone.prompt(prompt))).toBe('InvalidStateError');
    expect(await nameOf(session.measureContextUsage(prompt))).toBe('none');
  });

  it('runs prompts one after the other', async () => {
    const session = await LanguageModel.create(greedy);
    const both = await Promise.all([session.prompt(prompt), session.prompt('And then?')]);
    const again = await LanguageModel.create(greedy);
    expect([await again.prompt(prompt), await again.prompt('And then?')]).toEqual(both);
  });

  it('keeps no trace of an aborted or abandoned prompt', async () => {
    const session = await LanguageModel.create(greedy);
    const usage = session.contextUsage;
    const signal = AbortSignal.abort();
    expect(await nameOf(session.prompt(prompt, { signal }))).toBe('AbortError');
    await read(session.promptStreaming(prompt), 3);
    expect(session.contextUsage).toBe(usage);
    expect((await session.prompt(prompt)).length).toBeGreaterThan(50);
  });

  it('satisfies a schema or a regular expression', async () => {
    const session = await promptApi(models.writer).create();
    const schema = {
      type: 'object',
      properties: { legs: { type: 'integer', maximum: 9, minimum: 0 } },
      required: ['legs'],
    };
    const answer = JSON.parse(await session.prompt('Count.', { responseConstraint: schema }));
    expect(answer.legs).toBeLessThanOrEqual(9);
    expect(await session.prompt('Yes?', { responseConstraint: /yes|no/ })).toMatch(/^(yes|no)$/);
  });

  it('calls tools, and reads their results', async () => {
    const { scripted } = models;
    const { tokenizer } = scripted;
    const write = (text: string) => [...tokenizer.encode(text, { addSpecial: false }), tokenizer.eosId as number];
    const call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>';
    scripted.writes(write(call), write('It is warm.'));
    const calls: unknown[] = [];
    const session = await promptApi(scripted).create({
      tools: [
        {
          name: 'weather',
          description: 'The weather of a city',
          inputSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
          execute: async (args) => {
            calls.push(args);
            return 'warm';
          },
        },
      ],
    });
    expect(await session.prompt('Is it warm in Rome?')).toBe('It is warm.');
    expect(calls).toEqual([{ city: 'Rome' }]);
  });

  it('drops its oldest messages when the context is full, and reports it', async () => {
    const session = await LanguageModel.create({
      ...greedy,
      initialPrompts: [{ role: 'system', content: 'Be brief.' }],
    });
    let overflows = 0;
    session.oncontextoverflow = () => void overflows++;
    for (let i = 0; i < 40 && overflows === 0; i++) await session.append(`${i}: ${'The cat sat. '.repeat(10)}`);
    expect(overflows).toBe(1);
    expect(session.contextUsage).toBeLessThan(session.contextWindow);
    const error = await session.append('cat '.repeat(5000)).catch((thrown) => thrown);
    expect(error).toMatchObject({ name: 'QuotaExceededError', quota: session.contextWindow });
  });

  it('keeps room for the tokens that begin an answer', async () => {
    const { tokenizer, maxLength } = models.stories;
    const count = async (content: string, addGenerationPrompt: boolean) => {
      const messages = [{ role: 'user', content }];
      return (await tokenizer.applyChatTemplate(messages, { addGenerationPrompt })).length;
    };
    // The message alone fits, but not the beginning of its answer.
    let long = 'cat ';
    while ((await count(long, false)) < maxLength - 1) long += 'cat ';
    while ((await count(long, false)) >= maxLength) long = long.slice(0, -1);
    expect(await count(long, true)).toBeGreaterThanOrEqual(maxLength);
    const session = await LanguageModel.create(greedy);
    expect(await session.prompt(long).catch((thrown) => thrown)).toMatchObject({ name: 'QuotaExceededError' });
    await session.append(long);
    let overflows = 0;
    session.oncontextoverflow = () => void overflows++;
    expect((await session.prompt(prompt)).length).toBeGreaterThan(50);
    expect(overflows).toBe(1);
  });

  it('makes room for results of tools, or reports that they are too long', async () => {
    const { scripted } = models;
    const { tokenizer, maxLength } = scripted;
    const write = (text: string) => [...tokenizer.encode(text, { addSpecial: false }), tokenizer.eosId as number];
    const call = write('<tool_call>\n{"name": "read", "arguments": {}}\n</tool_call>');
    const perWord = tokenizer.encode(' cat'.repeat(100), { addSpecial: false }).length / 100;
    const words = (tokens: number) => ' cat'.repeat(tokens / perWord);
    const withResult = (result: string) =>
      promptApi(scripted).create({
        tools: [{ name: 'read', description: 'Reads', inputSchema: { type: 'object' }, execute: async () => result }],
      });
    scripted.writes(call, write('A long text.'));
    const session = await withResult(words(0.4 * maxLength));
    await session.append(words(0.4 * maxLength));
    let overflows = 0;
    session.oncontextoverflow = () => void overflows++;
    expect(await session.prompt('Read it.')).toBe('A long text.');
    expect(overflows).toBe(1);
    scripted.writes(call);
    const other = await withResult(words(2 * maxLength));
    expect(await other.prompt('Read it.').catch((thrown) => thrown)).toMatchObject({ name: 'QuotaExceededError' });
  });
});
