// Models of images and text in GGUF: a language model, and an `mmproj` file that llama.cpp wrote (make_projector.py).

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ArgumentError, FormatError } from '../../src/core/errors.js';
import type { CausalModel } from '../../src/models/causal-model.js';
import { saveGguf } from '../../src/pretrained/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { ImageTextProcessor } from '../../src/pretrained/processors/image-text/image-text-processor.js';
import { deviceFor, isas } from '../describe-op.js';
import { picture } from '../tasks/image-text-model.js';
import { testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';
import { inputsOf, referenceOf } from './reference.js';

const device = await deviceFor(isas.at(-1) as string, 2);
const folder = mkdtempSync(join(tmpdir(), 'projector-'));
afterAll(() => rmSync(folder, { recursive: true }));
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const data = testData('families/smolvlm');
const projector = new Uint8Array(readFileSync(new URL('mmproj-smolvlm.gguf', import.meta.url)));

const names: Readonly<Record<number, string>> = {
  0: '<unk>',
  1: '<s>',
  2: '</s>',
  80: '<fake_token_around_image>',
  81: '<global-img>',
  82: '<row_1_col_1>',
  83: '<row_1_col_2>',
  84: '<row_2_col_1>',
  85: '<row_2_col_2>',
  94: '<image>',
};
const added = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
const vocab = Object.fromEntries(Array.from({ length: 97 }, (_, id) => [names[id] ?? `t${id}`, id]));
const files = {
  'config.json': await data.bytes('config.json'),
  'model.safetensors': await data.bytes('model.safetensors'),
  'preprocessor_config.json': json({
    size: { longest_edge: 40 },
    max_image_size: { longest_edge: 24 },
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
  }),
  'tokenizer.json': json({
    version: '1.0',
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    added_tokens: Object.entries(names).map(([id, content]) => ({ id: Number(id), content, ...added })),
    model: { type: 'BPE', vocab, merges: [], byte_fallback: true, unk_token: '<unk>' },
  }),
};

/** Compares weights with those that a file holds as halves. */
const assertRounded = (name: string, given: Float32Array, values: Float32Array) =>
  assertClose(name, given, values, (i) => Math.abs(values[i]!) * 2 ** -11 + 2 ** -25);

/** The language model alone, as a file. */
const language = await (async () => {
  using model = await loadModel(device, files, { head: 'language-model' });
  const path = join(folder, 'model.gguf');
  await saveGguf(model as never, path, { type: 'f16' });
  return new Uint8Array(readFileSync(path));
})();

describe('a GGUF file with its mmproj file', () => {
  it('is the model of the folder from which both were written', async () => {
    const pair = { 'model-F16.gguf': language, 'mmproj-model-f16.gguf': projector };
    using model = (await loadModel(device, pair, { weights: 'float32' })) as unknown as CausalModel & Disposable;
    using whole = (await loadModel(device, files)) as unknown as CausalModel & Disposable;
    const [own, given] = [model.config, whole.config].map(({ vision_config, scale_factor, image_token_id }) => {
      const { hidden_act, layer_norm_eps, patch_size, image_size, num_attention_heads } = vision_config as never;
      return { scale_factor, image_token_id, hidden_act, layer_norm_eps, patch_size, image_size, num_attention_heads };
    });
    expect(own).toEqual(given);
    const state = model.stateDict();
    const expected = whole.stateDict();
    expect(Object.keys(state).sort()).toEqual(Object.keys(expected).sort());
    for (const [name, entry] of Object.entries(expected)) {
      assertRounded(name, state[name]!.dataSync() as Float32Array, entry.dataSync() as Float32Array);
    }
    const processor = model.processor as ImageTextProcessor;
    expect(processor).toBeInstanceOf(ImageTextProcessor);
    const image = picture(37, 29, 3, 1);
    const ready = processor.process(image);
    expect(ready).toEqual((whole.processor as ImageTextProcessor).process(image));
    const rows = ready.pieces.reduce(
      (sum, piece) => sum + (typeof piece === 'object' && 'rows' in piece ? piece.rows : 0),
      0,
    );
    const inputs = () => ({
      inputIds: [[1, 43, ...new Array<number>(rows).fill(94), 71, 10]],
      pixelValues: device.tensor(ready.pixelValues.data, ready.pixelValues.shape),
    });
    const [logits, wanted] = [model, whole].map((each) => each.forward(inputs()).logits!.dataSync() as Float32Array);
    // Weights are rounded by 2⁻¹² of their values, and some fifty sums of products follow each other.
    assertClose('logits', logits!, wanted!, () => largest(wanted!) * 50 * 2 ** -12);
  });

  it('can be loaded without images', async () => {
    const pair = { 'model.gguf': language, 'mmproj.gguf': projector };
    using model = await loadModel(device, pair, { head: 'language-model' });
    expect((model as unknown as CausalModel).config.model_type).toMatch(/llama|idefics3/);
  });

  it('says what does not fit', async () => {
    const other = new Uint8Array(readFileSync(new URL('phi3.gguf', import.meta.url)));
    const mixed = loadModel(device, { 'model.gguf': other, 'mmproj.gguf': projector });
    await expect(mixed).rejects.toThrow(/mmproj.gguf: it belongs to a language model of type llama, .* type phi3/);
    await expect(loadModel(device, { 'a.gguf': language, 'mmproj.gguf': other })).rejects.toThrow(/expected clip/);
    const two = loadModel(device, { 'a.gguf': language, 'mmproj-a.gguf': projector, 'mmproj-b.gguf': projector });
    await expect(two).rejects.toThrow(ArgumentError);
    const cut = loadModel(device, { 'a.gguf': language, 'mmproj.gguf': projector.subarray(0, 2000) });
    await expect(cut).rejects.toThrow(FormatError);
    await expect(loadModel(device, { 'mmproj.gguf': projector })).rejects.toThrow(FormatError);
  });
});

describe('pairs that llama.cpp wrote (make_projector_pairs.py)', () => {
  const own = (file: string) => new Uint8Array(readFileSync(new URL(file, import.meta.url)));
  const pairOf = (name: string) => ({
    'model.gguf': own(`pair-${name}.gguf`),
    'mmproj.gguf': own(`mmproj-pair-${name}.gguf`),
  });

  it.each(['qwen2_vl', 'qwen2_5_vl', 'qwen3', 'lfm2', 'gemma4-clipped'])(
    '%s: is the model of its folder',
    async (name) => {
      const path = name.startsWith('qwen2') ? name : `image-text-${name}`;
      const checkpoint = testData(`families/${path}`);
      const pair = pairOf(name);
      const config = await checkpoint.json<Record<string, Record<string, unknown>>>('config.json');
      // Files hold no other size of windows, no other activations, no order of early layers, and no causal Gemma 4 of this size.
      if (name === 'qwen3') config.vision_config!.deepstack_visual_indexes = [0, 1];
      if (name === 'qwen2_5_vl') config.vision_config!.window_size = 112;
      if (name === 'lfm2') Object.assign(config, { projector_hidden_act: 'gelu' });
      if (name === 'lfm2') Object.assign(config.vision_config!, { hidden_act: 'gelu_pytorch_tanh' });
      if (name === 'gemma4-clipped') config.text_config!.use_bidirectional_attention = 'vision';
      const weights = { 'config.json': json(config), 'model.safetensors': await checkpoint.bytes('model.safetensors') };
      const onWarning = (message: string) => {
        if (!message.includes('tokenizer')) throw new Error(message);
      };
      using model = (await loadModel(device, pair, { weights: 'float32', onWarning })) as unknown as CausalModel &
        Disposable;
      using whole = (await loadModel(device, weights, { onWarning })) as unknown as CausalModel & Disposable;
      const [state, expected] = [model.stateDict(), whole.stateDict()];
      expect(Object.keys(state).sort()).toEqual(Object.keys(expected).sort());
      for (const [each, entry] of Object.entries(expected)) {
        expect(state[each]!.shape).toEqual(entry.shape);
        assertRounded(each, state[each]!.dataSync() as Float32Array, entry.dataSync() as Float32Array);
      }
      const reference = await referenceOf(testData('families'), path);
      const inputs = inputsOf(device, reference);
      const [logits, wanted] = [model, whole].map(
        (each) => each.forward(inputs, { loss: false }).logits!.dataSync() as Float32Array,
      );
      // Weights are rounded by 2⁻¹² of their values, and some fifty sums of products follow each other.
      assertClose('logits', logits!, wanted!, () => largest(wanted!) * 50 * 2 ** -12);
      expect(model.processor).toBeInstanceOf(ImageTextProcessor);
    },
  );

  it('may have the names of older files, which swap the two matrices of a network', async () => {
    const pair = pairOf('qwen2_5_vl');
    const swapped = Buffer.from(pair['mmproj.gguf'])
      .toString('latin1')
      .replace(/.\0{7}(v\.blk\.\d\.ffn_)(up|down)(\.\w+)/g, (_, before, part, after) => {
        const name = `${before}${part === 'up' ? 'down' : 'up'}${after}`;
        return `${String.fromCharCode(name.length)}${'\0'.repeat(7)}${name}`;
      });
    const older = { ...pair, 'mmproj.gguf': new Uint8Array(Buffer.from(swapped, 'latin1')) };
    expect(older['mmproj.gguf']).not.toEqual(pair['mmproj.gguf']);
    const states = await Promise.all(
      [older, pair].map((files) => loadModel(device, files, { weights: 'float32', onWarning() {} })),
    );
    const [state, expected] = states.map((model) => (model as unknown as CausalModel).stateDict());
    for (const [name, entry] of Object.entries(expected!)) {
      expect(state![name]!.shape).toEqual(entry.shape);
      expect(await state![name]!.data()).toEqual(await entry.data());
    }
    for (const model of states) model.dispose();
  });
});
