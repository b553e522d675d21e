// Calls that overlap in time form one batch, and get the bits that each would get alone.

import { afterEach, describe, expect, it, vi } from 'vitest';
import { Passes } from '../../src/generate/continuous-batching/passes.js';
import { PromptCache } from '../../src/generate/index.js';
import { DisposedError, type GenerateOptions, type GenerateResult, type Transformer } from '../../src/index.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { filesOf } from '../pretrained/reference.js';
import { testData } from '../test-data.js';
import { decoderOnly, device, inputs, makeModel } from './small-model.js';

const sizes = { ...decoderOnly, maxLength: 64 };
const steps = vi.spyOn(Passes.prototype, 'step');
afterEach(() => steps.mockClear());

/** Most sequences of a step of the shared batch. */
const maxRows = () => Math.max(0, ...steps.mock.calls.map(([next]) => next.length));

type Call = readonly [input: number[][], options: GenerateOptions];

async function oneByOne(model: Transformer, calls: readonly Call[]): Promise<GenerateResult[]> {
  const results = [];
  for (const [input, options] of calls) results.push(await model.generate(input, options));
  return results;
}

const forbidEven = (scores: Float32Array) => {
  for (let token = 0; token < scores.length; token += 2) scores[token] = Number.NEGATIVE_INFINITY;
};

/** Options of all kinds that can be part of a batch. */
const kinds: GenerateOptions[] = [
  {},
  { doSample: true, seed: 5 },
  { doSample: true, seed: 5, numReturnSequences: 3, temperature: 1.5, topP: 0.9 },
  { minNewTokens: 9 },
  { suppressTokens: [4, 5], stopTokens: [3] },
  { prefix: [7, 8, 9], forcedEosTokenId: 2 },
  { repetitionPenalty: 1.4, noRepeatNgramSize: 2 },
  { logitsProcessors: [forbidEven] },
  { stop: (tokens) => tokens.length > 3 && tokens.at(-1) === tokens.at(-2) },
  { beginSuppressTokens: [6, 7, 8], maxNewTokens: 3 },
];

const callsOf = (extra: GenerateOptions = {}): Call[] =>
  kinds.map((options, i) => [
    i % 2 ? [inputs[i % 3] as number[]] : inputs,
    { maxNewTokens: 12 + i, ...options, ...extra },
  ]);

describe('calls that begin together', () => {
  it.each([undefined, 'float16', 'int8'] as const)(
    'take the steps of the longest one: cacheType %s',
    async (cacheType) => {
      const model = makeModel(sizes);
      const calls = callsOf({ cacheType });
      const alone = await oneByOne(model, calls);
      expect(steps).not.toHaveBeenCalled();
      const together = await Promise.all(calls.map(([input, options]) => model.generate(input, options)));
      expect(together).toEqual(alone);
      expect(maxRows()).toBeGreaterThanOrEqual(calls.length);
      const written = alone.flatMap(({ logProbabilities }) => logProbabilities.map(({ length }) => length));
      const total = written.reduce((sum, length) => sum + length);
      expect(steps.mock.calls.length).toBeLessThan(total / 4);
      model.dispose();
    },
  );

  it('streams yield the tokens of their own call', async () => {
    const model = makeModel(sizes);
    const calls = callsOf().filter(([, { numReturnSequences }]) => !numReturnSequences);
    const alone = await oneByOne(model, calls);
    const found = await Promise.all(
      calls.map(async ([input, options]) => {
        const sequences = input.map((): number[] => []);
        const stream = model.stream(input, options);
        for (;;) {
          const { value, done } = await stream.next();
          if (done) return { sequences, result: value };
          sequences[value.sequence]!.push(value.token);
        }
      }),
    );
    for (const [i, { sequences, result }] of found.entries()) {
      expect(result).toEqual(alone[i]);
      expect(sequences).toEqual(alone[i]!.sequences);
    }
    expect(maxRows()).toBeGreaterThan(calls.length);
    model.dispose();
  });
});

describe('calls that begin later', () => {
  it('are joined by a running call at any position', async () => {
    const model = makeModel(sizes);
    const long: Call = [inputs, { maxNewTokens: 50, stopTokens: [] }];
    const calls = callsOf();
    for (const options of [{}, { doSample: true, seed: 2 }, { repetitionPenalty: 1.3 }] as GenerateOptions[]) {
      const first: Call = [long[0], { ...long[1], ...options }];
      const alone = await oneByOne(model, [first, ...calls]);
      for (const after of [1, 7, 20]) {
        steps.mockClear();
        const others: Promise<GenerateResult>[] = [];
        let seen = 0;
        const onToken = () => {
          if (++seen === after) others.push(...calls.map(([input, each]) => model.generate(input, each)));
        };
        const result = await model.generate(first[0], { ...first[1], onToken });
        expect([result, ...(await Promise.all(others))]).toEqual(alone);
        expect(maxRows()).toBeGreaterThan(calls.length);
      }
    }
    model.dispose();
  });

  it('leave finished sequences behind', async () => {
    const model = makeModel(sizes);
    const stop = (tokens: readonly number[]) => tokens.length > (tokens[0]! * 5) % 12;
    const many = Array.from({ length: 9 }, (_, i) => inputs[i % 3]!.map((token) => 3 + ((token + i) % 8)));
    const call: Call = [many, { maxNewTokens: 30, stopTokens: [], stop }];
    const [alone, other] = await oneByOne(model, [call, [[[4]], {}]]);
    let later: Promise<GenerateResult> | undefined;
    let seen = 0;
    const onToken = () => {
      if (++seen === 30) later = model.generate([[4]], {});
    };
    expect(await model.generate(call[0], { ...call[1], onToken })).toEqual(alone);
    expect(await later).toEqual(other);
    model.dispose();
  });
});

it('calls that cannot join run beside the batch', async () => {
  const model = makeModel(sizes);
  const own: GenerateOptions[] = [
    { numBeams: 3 },
    { cropContext: true, maxNewTokens: 80 },
    { draft: 'prompt' },
    { batchSize: 2 },
  ];
  const calls: Call[] = [...callsOf(), ...own.map((options): Call => [inputs, { maxNewTokens: 20, ...options }])];
  const cached = async () => {
    using cache = new PromptCache(model);
    return await model.generate([inputs[0]!], { cache });
  };
  const alone = [...(await oneByOne(model, calls)), await cached()];
  const together = [...calls.map(([input, options]) => model.generate(input, options)), cached()];
  expect(await Promise.all(together)).toEqual(alone);
  expect(maxRows()).toBeGreaterThan(5);
  model.dispose();
});

it('a call that fails, is aborted or abandoned does not affect the others', async () => {
  const model = makeModel(sizes);
  const calls = callsOf();
  const alone = await oneByOne(model, calls);
  const controller = new AbortController();
  const bad = () => {
    throw new Error('bad processor');
  };
  let tokens = 0;
  const failing = [
    model.generate(inputs, { logitsProcessors: [bad] }),
    model.generate(inputs, {
      stopTokens: [],
      signal: controller.signal,
      onToken: () => ++tokens > 4 && controller.abort('enough'),
    }),
    model.generate(inputs, { stopTokens: [], onToken: () => Promise.reject(new Error('bad listener')) }),
    (async () => {
      for await (const _ of model.stream(inputs, { stopTokens: [] })) break;
      throw new Error('left');
    })(),
  ].map((each) => each.catch((error: unknown) => (error instanceof Error ? error.message : error)));
  const results = await Promise.all(calls.map(([input, options]) => model.generate(input, options)));
  expect(results).toEqual(alone);
  expect(await Promise.all(failing)).toEqual(['bad processor', 'enough', 'bad listener', 'left']);
  model.dispose();
});

it('disposing of the model frees the memory at once, and ends the calls', async () => {
  const before = device.memory().used;
  const model = makeModel({ ...sizes, maxLength: 1024 });
  const long = { maxNewTokens: 1000, stopTokens: [] };
  const ended: Promise<unknown>[] = [];
  await new Promise<void>((resolve) => {
    for (const seed of [1, 2, 3]) {
      const call = model.generate(inputs, { ...long, doSample: true, seed, onToken: () => resolve() });
      ended.push(call.catch((error: unknown) => error));
    }
  });
  model.dispose();
  for (const error of await Promise.all(ended)) {
    expect(error).toBeInstanceOf(DisposedError);
    expect((error as Error).message).toContain('before model.dispose()');
  }
  await expect(model.generate(inputs)).rejects.toThrow('the model was disposed of');
  await device.flush();
  expect(device.memory().used).toBe(before);
});

it('no new calls join the batch of a changed model', async () => {
  const before = device.memory().used;
  const model = makeModel(sizes);
  const calls = callsOf().slice(0, 3);
  const alone = await oneByOne(model, calls);
  const underWay = calls.map(([input, options]) => model.generate(input, options));
  await new Promise((resolve) => setTimeout(resolve));
  model.partsChanged();
  const after = calls.map(([input, options]) => model.generate(input, options));
  expect(await Promise.all(underWay)).toEqual(alone);
  expect(await Promise.all(after)).toEqual(alone);
  model.dispose();
  await device.flush();
  expect(device.memory().used).toBe(before);
});

it.each(['lfm2', 'mamba2', 'qwen3_5'])('models with recurrent states: %s', async (name) => {
  const model = (await loadModel(device, await filesOf(testData('families'), name))) as PretrainedModel;
  const prompts = [5, 17, 30].map((length) => Array.from({ length }, (_, i) => 3 + ((i * i + length) % 90)));
  const options = { maxNewTokens: 10, stopTokens: [], doSample: false };
  const alone: GenerateResult[] = [];
  for (const prompt of prompts) alone.push(await model.generate([prompt], options));
  expect(await Promise.all(prompts.map((prompt) => model.generate([prompt], options)))).toEqual(alone);
  const later: Promise<GenerateResult>[] = [];
  let seen = 0;
  const onToken = () => {
    if (++seen === 4) later.push(...prompts.slice(1).map((prompt) => model.generate([prompt], options)));
  };
  const first = await model.generate([prompts[0]!], { ...options, onToken });
  expect([first, ...(await Promise.all(later))]).toEqual(alone);
  expect(maxRows()).toBe(3);
  model.dispose();
});
