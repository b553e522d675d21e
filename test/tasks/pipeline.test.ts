// Common features of all pipelines: devices, batches, progress, aborts, errors.
import { afterAll, beforeAll, describe, expect, expectTypeOf, it, vi } from 'vitest';
import { createDevice, type Device } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/index.js';
import {
  type ClassScore,
  type GeneratedText,
  HostTensor,
  type Pipeline,
  pipeline,
  type TaskProgress,
  TextStreamer,
} from '../../src/tasks/index.js';
import { smallModel } from './small-model.js';

const words = 'the a in on to of and is was sat cat dog big red house park mat anna paris london'.split(' ');
const texts = Array.from({ length: 50 }, (_, i) => words.slice(i % 7, (i % 7) + 1 + ((i * 5) % 13)).join(' '));

describe('a tensor of results', () => {
  const tensor = new HostTensor(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]);

  it('has rows and nested arrays', () => {
    expect(tensor.tolist()).toEqual([
      [1, 2],
      [3, 4],
      [5, 6],
    ]);
    expect(Array.from(tensor, (row) => row.tolist())).toEqual(tensor.tolist());
    expect(tensor.at(-1)).toMatchObject({ type: 'float32', dims: [2], size: 2 });
    expect(tensor.at(1).at(0).item()).toBe(3);
  });

  it('refuses entries that do not exist', () => {
    expect(() => tensor.at(3)).toThrow('3 is out of range for [3, 2]');
    expect(() => tensor.item()).toThrow('expected one element');
    expect(() => new HostTensor(new Float32Array(5), [3, 2])).toThrow('[3, 2] has 6 elements, got 5');
  });
});

describe('a pipeline', () => {
  let device: Device;
  let extract: Pipeline<'feature-extraction'>;
  beforeAll(async () => {
    device = await createDevice();
    extract = await pipeline('feature-extraction', smallModel('bert-pooler'), { device });
  });
  afterAll(() => device.dispose());

  it('gives the same bits for batches of any size, in the order of the inputs', async () => {
    const one = await extract(texts, { pooling: 'mean', batchSize: 1 });
    expect(one.dims).toEqual([50, 32]);
    expect(await extract(texts, { pooling: 'mean', batchSize: 7 })).toEqual(one);
    expect((await extract(texts[3] as string, { pooling: 'mean' })).at(0)).toEqual(one.at(3));
    expect((await extract([], { pooling: 'mean' })).dims).toEqual([0, 32]);
  });

  it('gives a vector for each token, and zeros after shorter texts', async () => {
    const tokens = await extract(['a cat', 'a big red dog']);
    expect(tokens.dims).toEqual([2, 6, 32]);
    expect(
      tokens
        .at(0)
        .at(4)
        .data.every((value) => value === 0),
    ).toBe(true);
    const [first, last, cls] = [
      await extract('a cat', { pooling: 'cls' }),
      await extract('a cat', { pooling: 'last_token' }),
      tokens.at(0),
    ];
    expect([first.at(0), last.at(0)]).toEqual([cls.at(0), cls.at(3)]);
  });

  it('normalizes and binarizes vectors', async () => {
    const mean = await extract('a cat', { pooling: 'mean' });
    const unit = await extract('a cat', { pooling: 'mean', normalize: true });
    expect(Math.hypot(...unit.data)).toBeCloseTo(1, 6);
    const bits = await extract('a cat', { pooling: 'mean', quantize: true, precision: 'ubinary' });
    expectTypeOf(bits.data).toEqualTypeOf<Uint8Array>();
    const bit = (i: number) => (bits.data[i >> 3]! >> (7 - (i & 7))) & 1;
    expect(bits).toMatchObject({ type: 'uint8', dims: [1, 4] });
    expect(Array.from(mean.data, (_, i) => bit(i))).toEqual(Array.from(mean.data, (value) => Number(value > 0)));
    const signed = await extract('a cat', { pooling: 'mean', quantize: true });
    expect(Array.from(signed.data)).toEqual(Array.from(bits.data, (byte) => byte - 128));
    await expect(extract('a cat', { quantize: true })).rejects.toThrow("pooling is 'none'");
  });

  it('reports progress, and lets the event loop run between batches', async () => {
    const progress: TaskProgress[] = [];
    let turns = 0;
    let running = true;
    const turn = () => {
      turns++;
      if (running) setImmediate(turn);
    };
    setImmediate(turn);
    await extract(texts, { pooling: 'mean', batchSize: 5, onProgress: (each) => progress.push(each) });
    running = false;
    expect(progress.map(({ done }) => done)).toEqual([5, 10, 15, 20, 25, 30, 35, 40, 45, 50]);
    expect(turns).toBeGreaterThanOrEqual(10);
  });

  it('ends at its signal', async () => {
    const aborter = new AbortController();
    const onProgress = vi.fn(() => aborter.abort(new Error('enough')));
    await expect(extract(texts, { batchSize: 5, signal: aborter.signal, onProgress })).rejects.toThrow('enough');
    expect(onProgress).toHaveBeenCalledOnce();
  });

  it('leaves nothing on the device', async () => {
    const before = device.memory().used;
    await extract(texts, { pooling: 'mean' });
    expect(device.memory().used).toBe(before);
  });

  it('opens a device and closes it with the loaded model, but not a given device or model', async () => {
    const own = await pipeline('embeddings', smallModel('bert-pooler'), { device: 'cpu' });
    await own.dispose();
    await expect(own('a cat')).rejects.toThrow('dispos');
    using model = await loadModel(device, smallModel('bert-pooler'));
    const given = await pipeline('feature-extraction', model);
    expect(given.task).toBe('feature-extraction');
    expect(given.model).toBe(model);
    expect(given.tokenizer).toBe(model.tokenizer);
    const late = pipeline('feature-extraction', model, { revision: 'main' });
    await expect(late).rejects.toThrow('expected no option revision');
    await given.dispose();
    expect((await given('a cat')).dims).toEqual([1, 4, 32]);
    await expect(pipeline('fill-mask', model)).rejects.toThrow("needs a model with head 'masked-language-model'");
  });

  it('reports progress as transformers.js does', async () => {
    const told = vi.fn();
    const pipe = await pipeline('feature-extraction', smallModel('bert-pooler'), { device, progress_callback: told });
    expect(told).toHaveBeenCalledExactlyOnceWith({ status: 'ready', task: 'feature-extraction', model: 'given' });
    await pipe.dispose();
  });

  it('packs weights by the dtypes of transformers.js', async () => {
    const [plain, packed] = await Promise.all(
      (['fp32', 'q8'] as const).map((dtype) => pipeline('embeddings', smallModel('bert-pooler'), { device, dtype })),
    );
    const vectors = await Promise.all([plain!, packed!].map(async (each) => (await each('a cat')).data));
    expect(vectors[1]).not.toEqual(vectors[0]);
    await Promise.all([plain!.dispose(), packed!.dispose()]);
  });

  it('accepts names of other processors with a warning', async () => {
    const warnings: string[] = [];
    const onWarning = (warning: string) => warnings.push(warning);
    await using pipe = await pipeline('embeddings', smallModel('bert-pooler'), { device: 'webgpu', onWarning });
    expect((await pipe('a cat')).dims).toHaveLength(3);
    expect(warnings).toEqual([expect.stringContaining('there is no device webgpu here')]);
  });

  it('refuses unknown tasks and options', async () => {
    const model = smallModel('bert-pooler');
    await expect(pipeline('embeddings', model, { dtype: 'int9' as 'q8' })).rejects.toThrow('dtype is');
    await expect(pipeline('image-to-poem' as 'embeddings', model)).rejects.toThrow(
      'expected one of audio-classification',
    );
    await expect(pipeline('embeddings', model, { device: 'tpu' as 'cpu' })).rejects.toThrow('computed on the CPU');
    await expect(pipeline('embeddings', model, { cachedir: 'x' } as object)).rejects.toThrow('it is cacheDir here');
    await expect(extract(1 as unknown as string)).rejects.toThrow(
      'texts is 1, expected a string or an array of strings',
    );
    await expect(extract('a', { polling: 'mean' } as object)).rejects.toThrow('there is no option polling');
    await expect(extract('a', { batchSize: 0 })).rejects.toThrow('batchSize is 0');
    const { 'tokenizer.json': _, ...without } = model;
    await expect(pipeline('embeddings', without, { device })).rejects.toThrow('has no tokenizer');
  });

  it('returns the shapes of transformers.js for classes', async () => {
    await using classify = await pipeline('sentiment-analysis', smallModel('bert-sequence'), { device });
    const one = await classify('a cat');
    expectTypeOf(one).toEqualTypeOf<ClassScore[]>();
    expect(one).toHaveLength(1);
    expect(await classify(['a cat', 'a dog'])).toEqual([...one, ...(await classify('a dog'))]);
    const all = await classify(['a cat'], { top_k: null });
    expectTypeOf(all).toEqualTypeOf<ClassScore[][]>();
    expect(all[0]?.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 6);
    const two = await classify('a cat', { top_k: 2 });
    expectTypeOf(two).toEqualTypeOf<ClassScore[]>();
    expect(two).toEqual(all[0]?.slice(0, 2));
    const mixed = ['a cat', { text: 'a', text_pair: 'b' }];
    await expect(classify(mixed)).rejects.toThrow('expected one kind');
  });

  it('finds similar sentences', async () => {
    await using similar = await pipeline('sentence-similarity', smallModel('bert-pooler'), { device });
    const scores = await similar('a cat', ['the dog sat', 'a cat']);
    expect(scores[1]).toBeCloseTo(1, 6);
    const { data } = await extract(['a cat', 'the dog sat'], { pooling: 'mean', normalize: true });
    const dot = data.subarray(0, 32).reduce((sum, value, i) => sum + value * data[32 + i]!, 0);
    expect(scores[0]).toBeCloseTo(dot, 6);
    expect(await similar({ source_sentence: 'a cat', sentences: ['the dog sat', 'a cat'] })).toEqual(scores);
  });

  it('needs a mask to fill', async () => {
    await using fill = await pipeline('fill-mask', smallModel('bert-mlm'), { device });
    await expect(fill('a cat')).rejects.toThrow('"a cat" has no [MASK]');
    expect(await fill('a [MASK]', { top_k: 1 })).toHaveLength(1);
  });
});

describe('text-generation', () => {
  const template =
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}{% if add_generation_prompt %}{{ begin or 'dog' }}{% endif %}";
  let device: Device;
  let write: Pipeline<'text-generation'>;
  beforeAll(async () => {
    device = await createDevice();
    write = await pipeline('text-generation', smallModel('llama', {}, { chat_template: template }), { device });
  });
  afterAll(() => device.dispose());

  const options = { max_new_tokens: 6, add_special_tokens: false } as const;

  it('accepts a string, strings, messages and conversations', async () => {
    const [one] = await write('the cat', options);
    expectTypeOf(one).toEqualTypeOf<GeneratedText | undefined>();
    expect(one?.generated_text).toMatch(/^the cat /);
    expect(await write(['a big dog sat', 'the cat'], { ...options, batchSize: 1 })).toEqual([expect.anything(), [one]]);
    const messages = [{ role: 'a', content: 'the cat' }];
    const [[chat]] = (await write([messages], options)) as [[GeneratedText<unknown[]>]];
    expect(chat.generated_text[0]).toEqual(messages[0]);
    expect(chat.generated_text[1]).toMatchObject({ role: 'assistant' });
    const [written] = await write('a the cat dog', { ...options, return_full_text: false });
    expect(chat.generated_text[1]).toMatchObject({ content: written?.generated_text });
    expect(await write(messages, options)).toEqual([chat]);
    const [other] = await write('a the cat sat', { ...options, return_full_text: false });
    const [told] = await write(messages, { ...options, tokenizer_encode_kwargs: { begin: 'sat' } });
    expect(told?.generated_text[1]).toMatchObject({ content: other?.generated_text });
    await expect(write([1] as unknown as string)).rejects.toThrow('inputs[0] is 1, expected text');
  });

  it('accepts options by our names and by those of transformers.js', async () => {
    const there = { max_new_tokens: 4, num_beams: 3, num_return_sequences: 2, repetition_penalty: 1.2 };
    const here = { maxNewTokens: 4, numBeams: 3, numReturnSequences: 2, repetitionPenalty: 1.2 };
    const texts = await write('the cat', there);
    expect(texts).toHaveLength(2);
    expect(await write('the cat', here)).toEqual(texts);
    await expect(write('the cat', { max_tokens: 3 } as object)).rejects.toThrow('there is no option max_tokens');
    const drawn = { ...options, do_sample: true, top_p: 0.9, seed: 3 };
    expect(await write('the cat', drawn)).toEqual(await write('the cat', drawn));
  });

  it('returns scores of tokens, and attention maps', async () => {
    const more = { ...options, output_scores: true, output_attentions: true };
    const [[short], [long]] = (await write(['the cat', 'the cat sat on a mat'], more)) as [
      [GeneratedText],
      [GeneratedText],
    ];
    expect(short.tokens).toHaveLength(6);
    expect(short.token_log_probabilities).toHaveLength(6);
    const sum = short.token_log_probabilities!.reduce((total, each) => total + each, 0);
    expect(short.score).toBeCloseTo(sum / 6, 5);
    for (const [text, length] of [
      [short, 2],
      [long, 6],
    ] as const) {
      expect(text.attentions).toHaveLength(write.model.decoder!.layers.length);
      const [, queries, keys] = text.attentions![0]!.dims as [number, number, number];
      expect([queries, keys]).toEqual([length + 5, length + 5]);
      for (const head of text.attentions![0]!)
        for (const row of head) expect(row.data.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    }
  });

  it('streams the text in pieces of whole characters', async () => {
    const pieces: string[] = [];
    const callback_function = (text: string) => pieces.push(text);
    const streamer = new TextStreamer(write.tokenizer!, { skip_prompt: true, callback_function });
    // WordPiece decodes what a word goes on with otherwise where it begins a text, but no model that writes has it.
    const all = Array.from({ length: 97 }, (_, id) => id);
    const suppress_tokens = all.filter((id) => write.tokenizer?.idToToken(id)?.startsWith('##'));
    const [text] = await write('the cat', { ...options, suppress_tokens, return_full_text: false, streamer });
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.join('')).toBe(text?.generated_text.trimStart());
    await expect(write(['a', 'b'], { ...options, streamer })).rejects.toThrow('a streamer shows one text');
  });
});
