// Images and texts through pipelines, beside what transformers makes of them with the models of test/data/reference
// (make_media.py).
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/core/create-device.js';
import type { Device } from '../../src/core/device.js';
import { ArgumentError, FormatError } from '../../src/core/errors.js';
import type { ImageBytes, ImageProcessor } from '../../src/pretrained/processors/image.js';
import { type ClassScore, pipeline, TextStreamer } from '../../src/tasks/index.js';
import { type TestData, testData } from '../test-data.js';

interface Seen {
  readonly model: string;
  readonly processor: object;
}

interface Recorded {
  readonly 'image-classification': (Seen & { options: object; output: ClassScore[][] })[];
  readonly 'image-feature-extraction': (Seen & { shape: number[]; first: number[][]; sums: number[] })[];
  readonly 'zero-shot-image-classification': (Seen & {
    tokenizer: object;
    config: object;
    labels: string[];
    output: ClassScore[][];
  })[];
  readonly texts: {
    model: string;
    task: 'translation' | 'summarization' | `translation_${string}_to_${string}`;
    options: Record<string, unknown>;
    tokenizer: object;
    parameters: object | null;
    output: string[];
  }[];
}

const recorded: Recorded = JSON.parse(readFileSync(new URL('media.json', import.meta.url), 'utf8'));
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** Same as in make_media.py. */
const pictures = [
  [53, 37, 1],
  [41, 22, 2],
  [30, 30, 3],
].map(([width, height, seed]): ImageBytes => {
  const data = new Uint8Array(width! * height! * 3);
  for (let i = 0; i < data.length; i++) {
    const [x, y, c] = [Math.floor(i / 3) % width!, Math.floor(i / 3 / width!), i % 3];
    data[i] = (x * 7 + y * 3 + c * 50 + seed! * 29) % 251;
  }
  return { width: width!, height: height!, data };
});

let device: Device;
beforeAll(async () => {
  device = await createDevice();
});
afterAll(() => device.dispose());

/** The files of a model, one or sharded. */
async function filesOf(data: TestData, more: Record<string, unknown>, settings: object = {}) {
  const files: Record<string, Uint8Array> = {};
  for (const name of ['config.json', 'generation_config.json', 'model.safetensors', 'model.safetensors.index.json']) {
    const bytes = await data.bytes(name).catch(() => null);
    if (bytes) files[name] = bytes;
  }
  const index = files['model.safetensors.index.json'];
  const shards = index ? Object.values(JSON.parse(new TextDecoder().decode(index)).weight_map as object) : [];
  for (const name of new Set(shards)) files[name] = await data.bytes(name);
  files['config.json'] = json({ ...(await data.json<object>('config.json')), ...settings });
  for (const [name, value] of Object.entries(more)) files[name] = json(value);
  return files;
}

function expectScores(found: ClassScore[][], expected: ClassScore[][]): void {
  for (const [i, scores] of expected.entries()) {
    expect(found[i]!.map(({ label }) => label)).toEqual(scores.map(({ label }) => label));
    for (const [j, { score }] of scores.entries()) expect(found[i]![j]!.score).toBeCloseTo(score, 5);
  }
  expect(found).toHaveLength(expected.length);
}

for (const { model, processor, options, output } of recorded['image-classification'])
  describe(`image-classification by ${model}`, () => {
    const data = testData(`families/${model}`);
    it(`has the classes, ${JSON.stringify(options)}`, async () => {
      const files = await filesOf(data, { 'preprocessor_config.json': processor });
      const classify = await pipeline('image-classification', files, { device });
      expectScores(await classify(pictures, { ...options, batchSize: 2 }), output);
      expectScores([await classify(pictures[1]!, options)], [output[1]!]);
      expect(await classify(pictures[1]!, { ...options, top_k: 0 })).toEqual(
        await classify(pictures[1]!, { ...options, top_k: null }),
      );
      await classify.dispose();
    });
  });

for (const { model, processor, shape, first, sums } of recorded['image-feature-extraction'])
  describe(`image-feature-extraction by ${model}`, () => {
    const checkpoint = testData(`families/${model}`);
    it('has the vectors', async () => {
      const files = await filesOf(checkpoint, { 'preprocessor_config.json': processor });
      const head = model === 'vit-image' ? { onWarning: () => {} } : {};
      const extract = await pipeline('image-feature-extraction', files, { device, ...head });
      const seen: number[] = [];
      const { data, dims } = await extract(pictures, { batchSize: 2, onProgress: ({ done }) => seen.push(done) });
      expect(seen).toEqual([2, 3]);
      expect(dims).toEqual(shape);
      for (const [i, sum] of sums.entries()) {
        const own = data.subarray((i * data.length) / 3, ((i + 1) * data.length) / 3);
        for (const [j, value] of first[i]!.entries()) expect(own[j]).toBeCloseTo(value, 4);
        expect(own.reduce((total, value) => total + Math.abs(value), 0) / sum).toBeCloseTo(1, 4);
      }
      await extract.dispose();
    });
  });

for (const { model, processor, tokenizer, config, labels, output } of recorded['zero-shot-image-classification'])
  describe(`zero-shot labels by ${model}`, () => {
    const data = testData(`families/${model}`);
    it('gives the scores, and refuses invalid labels and images', async () => {
      const files = await filesOf(data, {
        'preprocessor_config.json': processor,
        'tokenizer.json': tokenizer,
        'tokenizer_config.json': config,
      });
      const classify = await pipeline('zero-shot-image-classification', files, { device });
      const options = { hypothesis_template: 'w15 w16 {}', batchSize: 2 };
      expectScores(await classify(pictures, labels, options), output);
      await expect(classify(pictures, [], options)).rejects.toThrow(ArgumentError);
      await expect(classify([3 as never], labels)).rejects.toThrow(/images\[0\] is 3, expected/);
      await expect(classify(pictures, labels, { top_k: 3 } as never)).rejects.toThrow(/no option top_k/);
      await classify.dispose();
    });
  });

describe('zero-shot labels by siglip2', () => {
  const data = testData('families/siglip2');
  it('are independent, and texts are padded to 64 tokens, as in transformers', async () => {
    const { text_config: text } = await data.json<{ text_config: { vocab_size: number } }>('config.json');
    const vocab = Object.fromEntries(Array.from({ length: text.vocab_size }, (_, i) => [`w${i}`, i]));
    const files = await filesOf(data, {
      'preprocessor_config.json': { image_processor_type: 'Siglip2ImageProcessor', patch_size: 4, max_num_patches: 15 },
      'tokenizer.json': {
        version: '1.0',
        added_tokens: [],
        pre_tokenizer: { type: 'WhitespaceSplit' },
        model: { type: 'WordLevel', vocab, unk_token: 'w9' },
      },
      'tokenizer_config.json': { pad_token: 'w1', unk_token: 'w9' },
    });
    const classify = await pipeline('zero-shot-image-classification', files, { device });
    const labels = ['w20 w31', 'w40'];
    const options = { hypothesis_template: '{}' };
    const found = await classify(pictures[0]!, labels, options);
    // A softmax would make the score of a single label 1.
    for (const { label, score } of found) {
      const [alone] = await classify(pictures[0]!, [label], options);
      expect(alone!.score).toBeCloseTo(score, 6);
      expect(score).toBeLessThan(0.999);
    }
    const length = Math.min(64, classify.model.maxLength);
    const padded = labels.map((label) => label.split(' ').map((word) => Number(word.slice(1))));
    const inputIds = padded.map((ids) => [...ids, ...Array<number>(length - ids.length).fill(1)]);
    const { data: values, shape, spatialShapes } = (classify.processor as ImageProcessor).process([pictures[0]!]);
    const output = await classify.model.forward({
      inputIds,
      pixelValues: device.tensor(values, shape),
      spatialShapes: spatialShapes as readonly (readonly number[])[],
    });
    const logits = await output.logitsPerImage!.data();
    for (const [i, label] of labels.entries())
      expect(found.find((each) => each.label === label)!.score).toBeCloseTo(1 / (1 + Math.exp(-logits[i]!)), 5);
    await classify.dispose();
  });
});

for (const { model, task, options, tokenizer, parameters, output } of recorded.texts)
  describe(`${task} by ${model}`, () => {
    const data = testData(`families/${model}`);
    it(`gives the text of transformers, ${JSON.stringify(options)}`, async () => {
      const own = parameters && {
        task_specific_params: parameters,
      };
      const files = await filesOf(data, { 'tokenizer.json': tokenizer }, own ?? {});
      const write = await pipeline(task, files, { device });
      const texts = ['w20 w31 w45', 'w50', 'w33 w34 w35 w36 w37 w38'];
      const result = (await write(texts, { ...options, batchSize: 2 })) as unknown;
      const name = task === 'summarization' ? 'summary_text' : 'translation_text';
      expect(result).toEqual(output.map((text) => ({ [name]: text })));
      await expect(write(texts, { beams: 2 } as never)).rejects.toThrow(ArgumentError);
      if (task === 'summarization') {
        const renamed = { task_specific_params: { 'text2text-generation': Object(parameters).summarization } };
        const same = await filesOf(data, { 'tokenizer.json': tokenizer }, renamed);
        const plain = await pipeline('text2text-generation', same, { device });
        expect(await plain(texts, { ...options, batchSize: 2 })).toEqual(
          output.map((text) => ({ generated_text: text })),
        );
        await plain.dispose();
      }
      if (task === 'translation')
        await expect(write(texts, { src_lang: 'tlh', tgt_lang: 'vul' })).rejects.toThrow(ArgumentError);
      await write.dispose();
    });
  });

describe('one text by marian', () => {
  const data = testData('families/marian');
  it('is streamed, scored and ended, and other models are refused', async () => {
    const { tokenizer, output } = recorded.texts.find(({ model }) => model === 'marian')!;
    const files = await filesOf(data, { 'tokenizer.json': tokenizer });
    const translate = await pipeline('translation', files, { device });
    const pieces: string[] = [];
    const streamer = new TextStreamer(translate.tokenizer!, { callback_function: (piece) => void pieces.push(piece) });
    const [first] = await translate('w20 w31 w45', { max_new_tokens: 10, streamer, output_scores: true });
    expect(pieces.join('')).toBe(output[0]);
    expect(first!.translation_text).toBe(output[0]);
    expect(first!.token_log_probabilities!.length).toBeGreaterThanOrEqual(first!.tokens!.length);
    const stopped = AbortSignal.abort(new Error('enough'));
    await expect(translate('w20', { signal: stopped })).rejects.toThrow('enough');
    await expect(pipeline('image-feature-extraction', translate.model)).rejects.toThrow(FormatError);
    await translate.dispose();
  });
});
