// Layers that guess tokens: their features and guesses are those of transformers, and drafts change only the speed.
import { describe, expect, it } from 'vitest';
import type { Drafter } from '../../src/generate/drafter.js';
import { PromptCache } from '../../src/generate/prompt-cache.js';
import { ArgumentError, type DraftEvent, FormatError, type GenerateOptions, type Tensor } from '../../src/index.js';
import { parseSafetensors, type SafetensorsSource, serializeSafetensors } from '../../src/io/safetensors.js';
import type { CausalModel } from '../../src/models/causal-model.js';
import type { TokenPredictor } from '../../src/models/token-predictor.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { loadPredictor } from '../../src/pretrained/load-predictor.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

interface Expected {
  readonly ids: readonly number[];
  readonly features: readonly number[];
  readonly best: readonly number[];
  readonly prompt: number;
  readonly tokens: readonly number[];
  readonly guesses: readonly number[];
}

const data = testData('predictor');
const expected = await data.json<Expected>('expected.json');
const config = await data.bytes('config.json');
const weights = await data.bytes('model.safetensors');
const files = { 'config.json': config, 'model.safetensors': weights };
const prompt = expected.ids.slice(0, expected.prompt);

const device = await deviceFor(isas.at(-1) as string, 2);
const model = (await loadModel(device, files)) as unknown as CausalModel & Awaited<ReturnType<typeof loadModel>>;
const draft = (await loadPredictor(model, files)) as TokenPredictor;

/** Reads the text in pieces of `size` tokens. Returns the features, and the best token after the last one. */
async function readAll(predictor: TokenPredictor, size: number) {
  const known = expected.ids.length - 1;
  const state = model.startDecoding({ maxLength: 64 });
  const own = predictor.startDecoding({ maxLength: 64 });
  const features: number[] = [];
  let best = -1;
  for (let start = 0; start < known; start += size) {
    const ids = expected.ids.slice(start, Math.min(start + size, known));
    const next = device.tensor(Int32Array.from(expected.ids.slice(start + 1, start + 1 + ids.length)));
    const results: ReturnType<TokenPredictor['read']>[] = [];
    const onFeatures = (rows: typeof next) =>
      results.push(device.unscoped(() => predictor.read(own, start, next, rows, start + 1)));
    model.extend(state, [ids], { starts: [start], logits: 'none', onFeatures });
    features.push(...results[0]!.features.dataSync());
    best = results[0]!.token.dataSync()[0] as number;
  }
  state.dispose();
  own.dispose();
  return { features, best };
}

it.each([64, 5, 1])("has transformers' features, read in pieces of %i tokens", async (size) => {
  const { features, best } = await readAll(draft, size);
  expect(features.length).toBe(expected.features.length);
  const greatest = Math.max(...expected.features.map(Math.abs));
  for (const [i, value] of features.entries())
    expect(Math.abs(value - (expected.features[i] as number)), `${i}`).toBeLessThan(2e-6 * greatest + 1e-6);
  expect(best).toBe(expected.best.at(-1));
});

it("continues as transformers does, by transformers' guesses, in less than half of the passes", async () => {
  const events: DraftEvent[] = [];
  const onDraft = (event: DraftEvent) => events.push(event);
  const { sequences } = await model.generate([prompt], { maxNewTokens: 24, draft, onDraft });
  expect(sequences[0]).toEqual(expected.tokens);
  const text = [...prompt, ...expected.tokens];
  for (const { at, tokens } of events) {
    expect(tokens[0]).toBe(expected.guesses[prompt.length + at - 2]);
    expect(tokens).toEqual(text.slice(prompt.length + at, prompt.length + at + tokens.length));
  }
  expect(events.length).toBeLessThan(12);
  expect(Math.max(...events.map(({ tokens }) => tokens.length))).toBe(4);
});

const choices: Record<string, GenerateOptions> = {
  greedily: { maxNewTokens: 300 },
  'by sampling': { doSample: true, temperature: 3, seed: 5, maxNewTokens: 60 },
  'with penalties': { repetitionPenalty: 3, maxNewTokens: 60 },
  'with a prefix': { prefix: [1, 2, 3], maxNewTokens: 30 },
  'with keys of int8': { cacheType: 'int8', maxNewTokens: 60 },
};

it.each(Object.entries(choices))('gives the bits of generation without guesses, %s', async (_, options) => {
  const inputs = [prompt, [4, 11], [9]];
  const plain = await model.generate(inputs, options);
  expect(await model.generate(inputs, { ...options, draft })).toEqual(plain);
});

it('continues a cached text, whose beginning it has not seen', async () => {
  const options = { maxNewTokens: 12 };
  const [plain, drafted] = [new PromptCache(model), new PromptCache(model)];
  const results: unknown[][] = [];
  for (const [cache, more] of [
    [plain, {}],
    [drafted, { draft }],
  ] as const) {
    const first = await model.generate([prompt], { ...options, cache });
    const longer = [...prompt, ...(first.sequences[0] as number[]), 3, 10];
    const second = await model.generate([longer], { ...options, ...more, cache });
    const third = await model.generate([longer.slice(0, 12)], { ...options, ...more, cache });
    results.push([second.sequences, third.sequences]);
    cache.dispose();
  }
  expect(results[1]).toEqual(results[0]);
});

it('can be packed', async () => {
  const packed = await loadPredictor(model, files, { weights: 'int8' });
  const accepted: number[] = [];
  const onDraft = (event: DraftEvent) => accepted.push(event.accepted);
  const { sequences } = await model.generate([prompt], { maxNewTokens: 24, draft: packed, onDraft });
  expect(sequences[0]).toEqual(expected.tokens);
  expect(Math.max(...accepted)).toBeGreaterThan(1);
  packed.dispose();
});

it('is not part of the model, and gives its memory back', async () => {
  expect(Object.keys(model.stateDict()).filter((name) => name.startsWith('mtp.'))).toEqual([]);
  const warnings: string[] = [];
  const other = await loadModel(device, files, { onWarning: (message) => warnings.push(message) });
  expect(warnings).toEqual([]);
  const used: number[] = [];
  for (let turn = 0; turn < 3; turn++) {
    const own = await loadPredictor(other, files);
    await other.generate([prompt], { maxNewTokens: 40, draft: own });
    own.dispose();
    await device.flush();
    used.push(device.memory().used);
  }
  expect(used[2]).toBe(used[1]); // the first turn makes tables that the model keeps
  other.dispose();
});

it('refuses other models, checkpoints without the layer, and options that do not exist', async () => {
  const tensors = [...parseSafetensors(weights).tensors].map(([name, entry]): [string, SafetensorsSource] => [
    name,
    { dtype: 'F32', shape: [...entry.shape], data: entry.data() as Float32Array },
  ]);
  const plain = tensors.filter(([name]) => !name.startsWith('mtp.'));
  const without = { ...files, 'model.safetensors': serializeSafetensors(Object.fromEntries(plain)) };
  await expect(loadPredictor(model, without)).rejects.toThrow(/has no layers that guess tokens/);
  const partial = tensors.filter(([name]) => name !== 'mtp.norm.weight');
  const damaged = { ...files, 'model.safetensors': serializeSafetensors(Object.fromEntries(partial)) };
  await expect(loadPredictor(model, damaged)).rejects.toThrow(FormatError);
  await expect(loadPredictor(model, damaged)).rejects.toThrow(/mtp\.norm\.weight/);
  await expect(loadPredictor(model, files, { weights: 'int2' as 'int8' })).rejects.toThrow(
    /loadPredictor: weights is "int2"/,
  );
  await expect(loadPredictor(model, files, { draft: 1 } as object)).rejects.toThrow(/loadPredictor: .*draft/);
  await expect(loadPredictor({} as never, files)).rejects.toThrow(ArgumentError);
  const llama = await loadModel(device, testData('families/llama').path);
  await expect(loadPredictor(llama, files)).rejects.toThrow(/family llama, expected a Qwen 3.5 or a Gemma 4/);
  llama.dispose();
  const other = await loadModel(device, files);
  await expect(other.generate([prompt], { maxNewTokens: 4, draft })).rejects.toThrow(/draft belongs to another model/);
  await expect(model.generate([prompt, prompt], { maxNewTokens: 4, draft, numBeams: 2 })).rejects.toThrow(
    /draft needs/,
  );
  other.dispose();
});

describe('the draft model of Gemma 4', async () => {
  const own = testData('predictor/gemma4');
  const { ids, guesses } = await own.json<{ ids: number[]; guesses: Record<string, number[]> }>('expected.json');
  const folder = async (path: string) => ({
    'config.json': await own.bytes(`${path}config.json`),
    'model.safetensors': await own.bytes(`${path}model.safetensors`),
  });
  const assistant = await folder('assistant/');
  const gemma = (await loadModel(device, await folder(''))) as unknown as CausalModel & typeof model;
  const drafts = await loadPredictor(gemma, assistant);

  it.each(Object.entries(guesses))("makes transformers' guesses after %s tokens", async (length, expected) => {
    const context = ids.slice(0, Number(length));
    const drafter = drafts.drafter();
    const state = gemma.startDecoding({ maxLength: 64 });
    const onFeatures = (features: Tensor) => drafter.observe?.(0, features);
    gemma.extend(state, [context.slice(0, -1)], { logits: 'none', onFeatures });
    for (let pass = 0; pass < 2; pass++) drafter.recordAccepted(4, 4); // it makes four guesses then
    expect(await drafter.propose(context, 4, state)).toEqual(expected);
    drafter.dispose?.();
    state.dispose();
  });

  it.each(Object.entries(choices))('gives the bits of generation without guesses, %s', async (_, options) => {
    const all = { ...options, maxNewTokens: 50, stopTokens: [] };
    const plain = await gemma.generate([ids.slice(0, 8), [5]], all);
    const { used } = device.memory();
    expect(await gemma.generate([ids.slice(0, 8), [5]], { ...all, draft: drafts })).toEqual(plain);
    expect(await gemma.generate([ids.slice(0, 8), [5]], { ...all, draft: drafts })).toEqual(plain);
    expect(device.memory().used).toBeLessThan(used + 20_000); // the recorded steps of the two ways
  });

  it('goes on when the keys of a long text move to a larger state', async () => {
    const long = (files: typeof assistant) => {
      const settings = JSON.parse(new TextDecoder().decode(files['config.json']));
      const text = { ...settings, max_position_embeddings: 1024 };
      return { ...files, 'config.json': new TextEncoder().encode(JSON.stringify(text)) };
    };
    const larger = (await loadModel(device, long(await folder('')))) as unknown as CausalModel & typeof model;
    const own = await loadPredictor(larger, assistant);
    const all = { maxNewTokens: 300, stopTokens: [] };
    const prompt = ids.slice(0, 11); // with passes of five tokens, one of them fills the first 256 places exactly
    const plain = await larger.generate([prompt], all);
    const text = [...prompt, ...(plain.sequences[0] as number[])];
    /** Makes the guesses of `own`, and gives right ones in their place. */
    const drafter = (): Drafter => {
      const inner = own.drafter();
      const propose: Drafter['propose'] = async (context, max, state) => {
        expect(await inner.propose(context, max, state)).not.toEqual([]);
        return text.slice(context.length, context.length + Math.min(4, max));
      };
      const observe: Drafter['observe'] = (start, features) => inner.observe?.(start, features);
      return { propose, observe, recordAccepted() {}, dispose: () => inner.dispose?.() };
    };
    const draft = { predicts: () => true, drafter };
    expect(await larger.generate([prompt], { ...all, draft })).toEqual(plain);
    larger.dispose();
    own.dispose();
  });

  it('can be packed', async () => {
    const packed = await loadPredictor(gemma, assistant, { weights: 'int8' });
    const events: DraftEvent[] = [];
    const onDraft = (event: DraftEvent) => events.push(event);
    const all = { maxNewTokens: 20, stopTokens: [] };
    const plain = await gemma.generate([ids.slice(0, 8)], all);
    expect(await gemma.generate([ids.slice(0, 8)], { ...all, draft: packed, onDraft })).toEqual(plain);
    expect(events.length).toBeGreaterThan(4);
    packed.dispose();
  });

  it('refuses draft models of other models', async () => {
    await expect(loadPredictor(gemma, files)).rejects.toThrow(
      /model_type is "qwen3_5_text", expected gemma4_assistant/,
    );
    await expect(loadPredictor(model, assistant)).rejects.toThrow(/has no layers that guess tokens/);
    const settings = JSON.parse(new TextDecoder().decode(assistant['config.json']));
    const changed = (values: object) => ({
      ...assistant,
      'config.json': new TextEncoder().encode(JSON.stringify({ ...settings, ...values })),
    });
    await expect(loadPredictor(gemma, changed({ backbone_hidden_size: 32 }))).rejects.toThrow(
      /it is for another model/,
    );
    await expect(loadPredictor(gemma, changed({ num_centroids: 7 }))).rejects.toThrow(/in 7 clusters/);
  });
});
