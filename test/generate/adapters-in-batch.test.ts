// One batch whose rows have different adapters. Each request gets the bits that it gets alone.
import { describe, expect, it } from 'vitest';
import { type Lora, type LoraOptions, lora } from '../../src/finetune/index.js';
import { type BatchedOptions, type BatchedToken, ContinuousBatching, PromptCache } from '../../src/generate/index.js';
import { loadTextModel, quantize } from '../../src/index.js';
import type { TextModel } from '../../src/pretrained/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random } from '../random.js';
import { testData } from '../test-data.js';

const folder = `${testData('checkpoints').path}/tinystories-656k`;

/** Adapters of all kinds whose changes are added to outputs. */
const KINDS: Record<string, LoraOptions> = {
  red: { r: 4, alpha: 16, targets: ['q_proj', 'v_proj'] },
  green: { r: 8, alpha: 8, targets: 'all-linear', bias: 'lora_only' },
  blue: { r: 2, alpha: 8, targets: ['embed_tokens', 'gate_proj', 'lm_head'], rsLora: true },
  grey: { r: 3, alpha: 9, targets: ['o_proj', 'down_proj', 'k_proj'], dora: true },
};
const names = Object.keys(KINDS);

function addAdapters(model: TextModel): Lora[] {
  const made = names.map((name) => {
    const adapter = lora(model, { ...KINDS[name], name });
    const random = new Random(name);
    for (const { layer } of adapter.parts)
      for (const tensor of [layer.a, layer.b]) tensor.write(random.normal([tensor.size], 0.2).data);
    return adapter;
  });
  model.setAdapter(null);
  return made;
}

interface Request {
  readonly prompt: number[];
  readonly options: BatchedOptions;
}

/** Prompts of different lengths for each choice of adapters, greedy and sampled. */
function requests(model: TextModel): Request[] {
  const choices = [null, ...names, ['red', 'grey'], null, ...names];
  return choices.map((adapter, i) => ({
    prompt: model.tokenizer.encode('Once upon a time there was a big dog and a'.slice(0, 12 + 3 * i), {
      addSpecial: true,
    }),
    options: { adapter, maxNewTokens: 9 + (i % 4) * 3, ...(i > 7 && { doSample: true, seed: i }) },
  }));
}

async function answer(batching: ContinuousBatching, { prompt, options }: Request): Promise<BatchedToken[]> {
  const tokens: BatchedToken[] = [];
  for await (const token of batching.stream(prompt, options)) tokens.push(token);
  return tokens;
}

/** The tokens of a model that has switched to the adapters. */
async function alone(model: TextModel, { prompt, options }: Request): Promise<BatchedToken[]> {
  const { adapter = null, ...rest } = options;
  model.setAdapter(adapter);
  const batching = new ContinuousBatching(model, { parallel: 1 });
  const tokens = await answer(batching, { prompt, options: rest });
  await batching.dispose();
  model.setAdapter(null);
  return tokens;
}

describe.each(isas.slice(0, 2))('adapters of one batch on %s', (isa) => {
  it.each(['float32', 'int8', 'int4'] as const)('give each request its own bits, with %s weights', async (bits) => {
    const device = await deviceFor(isa, 2);
    using model = await loadTextModel(device, folder);
    if (bits !== 'float32') quantize(model, { weights: bits });
    addAdapters(model);
    const all = requests(model);
    const expected: BatchedToken[][] = [];
    for (const request of all) expected.push(await alone(model, request));
    const first = expected.slice(0, 5).map((tokens) => `${tokens.map(({ token }) => token)}`);
    expect(new Set(first).size).toBe(5);
    const batching = new ContinuousBatching(model, { parallel: all.length, chunk: 8 });
    const told = await Promise.all(all.map((request) => answer(batching, request)));
    expect(told).toEqual(expected);
    // The longest prompt takes a few turns; one after the other, the answers would take the sum of their lengths.
    expect(batching.load.steps).toBeLessThan(60);
    await batching.dispose();
  });

  it('share prefixes with requests of the same adapters alone', async () => {
    const device = await deviceFor(isa, 2);
    using model = await loadTextModel(device, folder);
    addAdapters(model);
    const [{ prompt }] = requests(model).slice(-1) as [Request];
    const batching = new ContinuousBatching(model, { parallel: 2 });
    const cached = async (adapter: string | null) => {
      const stream = batching.stream(prompt, { adapter, maxNewTokens: 4 });
      for (;;) {
        const { value, done } = await stream.next();
        if (done) return value.cachedTokens;
      }
    };
    expect(await cached('red')).toBe(0);
    expect(await cached('red')).toBe(prompt.length - 1);
    expect(await cached(null)).toBe(0);
    expect(await cached('green')).toBe(0);
    await batching.dispose();
  });
});

describe('a choice of adapters', () => {
  const open = async () => {
    const model = await loadTextModel(await deviceFor(isas[0] as string, 2), folder);
    return { model, adapters: addAdapters(model), batching: new ContinuousBatching(model, { parallel: 4 }) };
  };

  it('is refused if there is none, or if rows cannot have it', async () => {
    const { model, batching } = await open();
    using _ = model;
    expect(() => batching.stream([5], { adapter: 'pink' })).toThrow(
      'ContinuousBatching.stream: adapter is "pink", expected one of red, green, blue, grey',
    );
    const cache = new PromptCache(model);
    expect(() => batching.stream([5], { adapter: 'red', cache })).toThrow('cache and adapter exclude each other');
    lora(model, { name: 'whole', targets: ['q_proj'], modulesToSave: ['lm_head'] });
    const expected = 'adapter is "whole", expected one that replaces no parameters, or setAdapter';
    expect(() => batching.stream([5], { adapter: 'red' })).toThrow(expected); // it is active
    model.setAdapter(null);
    expect(() => batching.stream([5], { adapter: 'whole' })).toThrow(expected);
    expect((await answer(batching, { prompt: [5], options: { adapter: 'red', maxNewTokens: 2 } })).length).toBe(2);
    await batching.dispose();
  });

  it('ends a request whose adapter is disposed of, and no other', async () => {
    const { model, adapters, batching } = await open();
    using _ = model;
    const [base, red] = [null, 'red'].map((adapter) => ({ prompt: [5, 9, 4], options: { adapter, maxNewTokens: 40 } }));
    const expected = await alone(model, base!);
    const stream = batching.stream(red!.prompt, red!.options);
    const other = answer(batching, base!);
    await stream.next();
    adapters[0]!.dispose();
    await expect(
      (async () => {
        for (;;) if ((await stream.next()).done) return;
      })(),
    ).rejects.toThrow('the adapter red was disposed of meanwhile');
    expect(await other).toEqual(expected);
    expect(() => batching.stream([5], { adapter: 'red' })).toThrow('expected one of green, blue, grey');
    await batching.dispose();
  });

  it('follows setAdapter and merge between requests', async () => {
    const { model, adapters, batching } = await open();
    using _ = model;
    const request = { prompt: [5, 9, 4, 7, 8], options: { maxNewTokens: 8 } };
    const base = await answer(batching, request);
    model.setAdapter('red');
    const red = await answer(batching, request);
    expect(red).toEqual(await answer(batching, { ...request, options: { ...request.options, adapter: 'red' } }));
    expect(red).not.toEqual(base);
    model.setAdapter(null);
    expect(await answer(batching, request)).toEqual(base);
    adapters[0]!.merge();
    const merged = await answer(batching, request);
    expect(merged.map(({ token }) => token)).toEqual(red.map(({ token }) => token));
    adapters[0]!.unmerge();
    expect(await answer(batching, request)).toEqual(base);
    await batching.dispose();
  });
});
