// Programs of transformers.js with another import, beside what transformers.js says (make_transformers_js.mjs).
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer, ShapeError } from '../../src/index.js';
import * as tasks from '../../src/tasks/index.js';
import {
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForMaskedLM,
  AutoModelForSeq2SeqLM,
  AutoModelForSequenceClassification,
  AutoTokenizer,
  cos_sim,
  dot,
  env,
  HostTensor,
  InterruptableStoppingCriteria,
  mean_pooling,
  pipeline,
  StoppingCriteria,
  softmax,
  type TokenizerCallOptions,
} from '../../src/tasks/index.js';
import { smallModel } from './small-model.js';
import { tensorPrograms } from './tensor-programs.js';
import recorded from './transformers-js.json' with { type: 'json' };

const models = mkdtempSync(join(tmpdir(), 'models-'));
const defaults = { ...env };

beforeAll(() => {
  const names = ['bert-pooler', 'bert-sequence', 'bert-mlm', 'llama', 't5'];
  for (const name of names) {
    mkdirSync(join(models, 'org', name), { recursive: true });
    for (const [file, bytes] of Object.entries(smallModel(name))) writeFileSync(join(models, 'org', name, file), bytes);
  }
  env.localModelPath = models;
  env.allowRemoteModels = false;
  env.backends.onnx.wasm.wasmPaths = '/path/to/files/';
});
afterAll(() => {
  Object.assign(env, defaults);
  rmSync(models, { recursive: true });
});

const plain = (encoded: object) =>
  Object.fromEntries(
    Object.entries(encoded as Record<string, HostTensor<BigInt64Array>>).map(([name, { dims, type, data }]) => [
      name,
      { dims, type, data: Array.from(data, Number) },
    ]),
  );

describe('AutoTokenizer', () => {
  it('has the ids and texts of transformers.js', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained('org/bert-pooler');
    for (const { given, options, encoded } of recorded.calls)
      expect(plain(tokenizer(given, options as TokenizerCallOptions))).toEqual(encoded);
    const { ids, decoded, batch } = recorded;
    expect(tokenizer.encode(recorded.calls[0]!.given as string)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded[0]);
    expect(tokenizer.decode(ids, { skip_special_tokens: true })).toBe(decoded[1]);
    expect(tokenizer.batch_decode([ids, ids.slice(2, 5)], { skip_special_tokens: true })).toEqual(batch);
    expect(() => tokenizer(['a', 'a cat'])).toThrow('use { padding: true }');
    expect(() => tokenizer('a', { paddding: true } as object)).toThrow('there is no option paddding');
  });

  it('has special tokens by their names', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained('org/bert-mlm');
    expect([tokenizer.cls_token, tokenizer.mask_token]).toEqual(['[CLS]', '[MASK]']);
    expect(tokenizer.encode('[MASK]')).toEqual([
      tokenizer.cls_token_id,
      tokenizer.mask_token_id,
      tokenizer.sep_token_id,
    ]);
    expect(tokenizer.bos_token_id).toBeUndefined();
  });

  it('has the lists, conversations and members of transformers.js', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained('org/bert-pooler');
    for (const { given, encoded } of recorded.lists)
      expect(tokenizer(given as string, { return_tensor: false })).toEqual(encoded);
    const messages = [{ role: 'user', content: recorded.calls[3]!.given as string }];
    const chat_template = '{{ greeting }} {% for m in messages %}{{ m.content }}{% endfor %}';
    for (const { options, said } of recorded.chat) {
      const ours: unknown = tokenizer.apply_chat_template(messages, { ...options, chat_template, greeting: 'a cat' });
      expect(Object.keys(options).length === 0 ? plain(ours as object) : ours).toEqual(said);
    }
    expect({ ...tokenizer }).toMatchObject(recorded.members);
    expect(Object.fromEntries(tokenizer.get_vocab())).toEqual(recorded.vocabulary);
    expect(tokenizer.convert_tokens_to_ids('cat')).toBe(recorded.converted[0]);
    expect(tokenizer.convert_tokens_to_ids(['a', 'cat'])).toEqual(recorded.converted[1]);
    expect(tokenizer.convert_tokens_to_ids('zzz')).toBeUndefined();
    expect(tokenizer.config.model_max_length).toBe(40);
    const texts = recorded.lists[0]!.given as string[];
    tokenizer.padding_side = 'left';
    expect(plain(tokenizer(texts, { padding: true }))).toEqual(recorded.left);
    const { input_ids } = tokenizer(texts[0] as string, { max_length: 5, return_tensor: false });
    expect(input_ids).toHaveLength(5);
  });

  it('splits texts into tokens, and renders conversations at once', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained('org/bert-pooler');
    const ids = tokenizer.encode(recorded.calls[0]!.given as string);
    const named = ids.map((id) => tokenizer.tokenizer.idToToken(id));
    expect(tokenizer.tokenize(recorded.calls[0]!.given as string)).toEqual(named.slice(1, -1));
    expect(tokenizer.tokenize(recorded.calls[0]!.given as string, { add_special_tokens: true })).toEqual(named);
    const chat_template = '{% for m in messages %}{{ m.content }}{% endfor %}';
    const messages = [{ role: 'user', content: recorded.calls[0]!.given as string }];
    expect(tokenizer.apply_chat_template(messages, { chat_template, tokenize: false })).toBe(messages[0]!.content);
    const { input_ids, attention_mask } = tokenizer.apply_chat_template(messages, { chat_template });
    expect(input_ids.tolist()).toEqual([ids.slice(1, -1).map(BigInt)]);
    expect(attention_mask.dims).toEqual(input_ids.dims);
    expect(() => tokenizer.apply_chat_template(messages)).toThrow(/chat template/);
  });
});

describe('a tensor', () => {
  const tensor = new HostTensor(
    Float32Array.from({ length: 24 }, (_, i) => i),
    [2, 3, 4],
  );

  it('is cut as in transformers.js', () => {
    expect(tensor.slice(1).tolist()).toEqual(tensor.at(1).tolist());
    expect(tensor.slice([0, 1]).dims).toEqual([1, 3, 4]);
    expect(tensor.slice(null, [1, null]).tolist()).toEqual(
      (tensor.tolist() as number[][][]).map((rows) => rows.slice(1)),
    );
    expect(tensor.slice(null, null, -1).tolist()).toEqual([
      [3, 7, 11],
      [15, 19, 23],
    ]);
    expect(tensor.slice(-1, [-2, -1], [0, 2]).tolist()).toEqual([[16, 17]]);
    expect(tensor.slice(0, 0, 2).item()).toBe(2);
    const ids = new HostTensor(BigInt64Array.from([1n, 2n, 3n, 4n]), [2, 2]);
    expect(ids.slice(null, [1, null]).tolist()).toEqual([[2n], [4n]]);
    expect(() => tensor.slice(2)).toThrow('slice: 2 is out of range for 2 entries');
    expect(() => tensor.slice(null, null, null, 0)).toThrow('slice: there are 4 parts for [2, 3, 4]');
    expect(() => tensor.slice('1' as never)).toThrow('expected null, a number or [start, end]');
  });

  it('has rows of length 1 after normalize', () => {
    const rows = new HostTensor(Float32Array.of(3, 4, 0, 0), [2, 2]);
    for (const normal of [rows.normalize(), rows.normalize(2, -1)])
      expect(normal.tolist()).toEqual([
        [Math.fround(0.6), Math.fround(0.8)],
        [0, 0],
      ]);
    expect(() => rows.normalize(1)).toThrow('normalize: p is 1 and dim 1, expected 2 and the last dimension, 1');
  });
});

describe('tensors', () => {
  it.each(Object.keys(tensorPrograms))('have the numbers of transformers.js: %s', async (name) => {
    const { type, dims, data } = await tensorPrograms[name]!(tasks);
    const expected = (recorded.tensors as Record<string, { type: string; dims: number[]; data: number[] }>)[name]!;
    expect({ type, dims }).toEqual({ type: expected.type, dims: expected.dims });
    for (const [i, value] of expected.data.entries()) expect(Number(data[i])).toBeCloseTo(value, 4);
  });

  it('refuse wrong shapes and types', async () => {
    const { cat, interpolate, layer_norm, matmul, quantize_embeddings, stack, Tensor, topk } = tasks;
    const tensor = new Tensor('float32', [1, 2, 3, 4, 5, 6], [2, 3]);
    expect(tensor).toBeInstanceOf(Tensor);
    expect(tensor).toBeInstanceOf(HostTensor);
    expect(new Tensor('bool', [1], [1, 1]).type).toBe('uint8');
    expect(() => new Tensor('float16' as 'int8', [1], [1])).toThrow('Tensor: type is "float16", expected one of');
    expect(() => new Tensor('float32', [1], [2])).toThrow('[2] has 2 elements, got 1');
    expect(() => tensor.to('int32' as 'int64')).toThrow('to: type is "int32", expected one of');
    expect(() => tensor.to('int64').mul(2)).toThrow("mul: the tensor is int64, expected to('float32') first");
    expect(() => tensor.view(4, -1)).toThrow(ShapeError);
    expect(() => tensor.unsqueeze(3)).toThrow('unsqueeze: dimension 3 is out of range for 3 dimensions');
    expect(() => tensor.permute(0, 0)).toThrow('permute: the dimensions are 0, 0, expected each of [2, 3]');
    expect(() => tensor.sum(2)).toThrow('sum: dimension 2 is out of range');
    expect(() => new Tensor('float32', [], [0]).mean()).toThrow('mean: the tensor is [0], expected numbers');
    expect(() => cat([])).toThrow('cat: there are no tensors');
    expect(() => cat([tensor, tensor.view(3, 2)])).toThrow('cat: tensors are float32 [2, 3] and float32 [3, 2]');
    expect(() => cat([tensor, tensor.data as never])).toThrow('cat: tensors[1] is');
    expect(() => stack([tensor, tensor.view(3, 2)])).toThrow(ShapeError);
    expect(() => layer_norm(tensor, [2])).toThrow('layer_norm: normalized_shape is [2] for [2, 3]');
    expect(() => quantize_embeddings(tensor, 'ubinary')).toThrow('quantize_embeddings: packs 8 numbers in a byte');
    expect(() => quantize_embeddings(tensor, 'int8' as 'binary')).toThrow('precision is "int8"');
    expect(() => interpolate(tensor, [2, 2], 'cubic')).toThrow('interpolate: mode is "cubic"');
    expect(() => interpolate(tensor, [2, 2], 'bilinear', true)).toThrow('align_corners is true, expected false');
    await expect(matmul(tensor, tensor)).rejects.toThrow('matmul: a is [2, 3] and b [2, 3], expected');
    await expect(topk(tensor, 4)).rejects.toThrow('topk: k is 4, expected 1 to 3');
  });
});

describe('the small functions', () => {
  it('have the numbers of transformers.js', () => {
    const hidden = new HostTensor(
      Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)),
      [2, 3, 4],
    );
    const mask = new HostTensor(BigInt64Array.from([1n, 1n, 0n, 1n, 0n, 0n]), [2, 3]);
    const pooled = mean_pooling(hidden, mask);
    expect(pooled.dims).toEqual([2, 4]);
    for (const [i, value] of recorded.pooled.entries()) expect(pooled.data[i]).toBeCloseTo(value, 6);
    const [a, b] = [
      [1, 2, 3.5],
      [-2, 0.5, 4],
    ];
    expect(dot(a!, b!)).toBe(recorded.dot);
    expect(cos_sim(a!, b!)).toBeCloseTo(recorded.cos_sim, 14);
    for (const [i, value] of softmax(a!).entries()) expect(value).toBeCloseTo(recorded.softmax[i]!, 14);
    expect(cos_sim([0, 0], [1, 1])).toBe(0);
    expect(() => dot([1], [1, 2])).toThrow('1 and 2 numbers');
    expect(() => dot(null as never, [1])).toThrow('dot: a is null, expected an array of numbers');
    const tensor = new HostTensor(Float32Array.of(1), [1]);
    expect(() => cos_sim([1], tensor as never)).toThrow('expected an array of numbers: pass its data');
    expect(() => softmax('12' as never)).toThrow('softmax: logits is "12", expected an array of numbers');
    expect(() => mean_pooling([1] as never, mask)).toThrow(
      'mean_pooling: last_hidden_state is an array, expected a tensor',
    );
    expect(() => mean_pooling(hidden, new HostTensor(BigInt64Array.of(1n), [1, 1]))).toThrow('expected [B, T, d]');
  });
});

describe('a program of transformers.js', () => {
  it('begins messages about devices and loaded models with the class', async () => {
    const model = smallModel('bert-pooler');
    const other = { device: 'tpu' } as object;
    await expect(AutoModel.from_pretrained(model, other)).rejects.toThrow(
      /^AutoModel.from_pretrained: device is "tpu"/,
    );
    await expect(AutoModel.from_pretrained(model, { dtipe: 'fp32' } as object)).rejects.toThrow(
      /^AutoModel.from_pretrained: there is no option dtipe/,
    );
    await expect(pipeline('fill-mask', model, { head: 'none' } as object)).rejects.toThrow(
      /^pipeline: there is no option head/,
    );
    const warnings: string[] = [];
    const onWarning = (message: string) => warnings.push(message);
    const loaded = await AutoModel.from_pretrained(model, { device: 'webgpu', onWarning });
    expect(warnings[0]).toMatch(/^AutoModel.from_pretrained: there is no device webgpu/);
    const given = loaded.model as never;
    await expect(AutoModel.from_pretrained(given, { dtype: 'fp32' })).rejects.toThrow(
      /^AutoModel.from_pretrained: the model is loaded already/,
    );
    const same = await AutoModel.from_pretrained(given, { dtype: undefined } as never);
    expect(same.model).toBe(loaded.model);
    await expect(AutoModel.from_pretrained(given, { device: 'cpu' })).rejects.toThrow(
      /^AutoModel.from_pretrained: device differs/,
    );
    await expect(AutoModelForCausalLM.from_pretrained(given)).rejects.toThrow(
      /^AutoModelForCausalLM.from_pretrained: AutoModelForCausalLM needs a model with head/,
    );
    await loaded.dispose();
  });

  it('embeds texts by AutoModel and mean_pooling', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained('org/bert-pooler');
    const model = await AutoModel.from_pretrained('org/bert-pooler', { dtype: 'fp32' });
    const inputs = await tokenizer(['the cat sat', 'a dog'], { padding: true, truncation: true });
    const { last_hidden_state } = await model(inputs);
    expect(last_hidden_state!.dims).toEqual([2, 5, 32]);
    const pooled = mean_pooling(last_hidden_state!, inputs.attention_mask);
    await using extract = await pipeline('feature-extraction', 'org/bert-pooler');
    const expected = await extract(['the cat sat', 'a dog'], { pooling: 'mean' });
    for (const [i, value] of expected.data.entries()) expect(pooled.data[i]).toBeCloseTo(value, 5);
    expect(cos_sim(pooled[0]!.data, pooled[0]!.data)).toBeCloseTo(1, 6);
    expect(expected[1]!.tolist()).toEqual(expected.at(1).tolist());
    await model.dispose();
  });

  it('classifies, and fills masks', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained('org/bert-sequence');
    const model = await AutoModelForSequenceClassification.from_pretrained('org/bert-sequence');
    const { logits } = await model(await tokenizer('a cat'));
    await using classify = await pipeline('sentiment-analysis', 'org/bert-sequence');
    const best = softmax(logits!.data).reduce((most, each) => Math.max(most, each), 0);
    expect((await classify('a cat'))[0]!.score).toBeCloseTo(best, 6);
    const filler = await AutoModelForMaskedLM.from_pretrained('org/bert-mlm');
    expect((await filler(await tokenizer('a [MASK]'))).logits!.dims).toEqual([1, 4, 97]);
    await Promise.all([model.dispose(), filler.dispose()]);
  });

  it('generates by a decoder, and by an encoder and a decoder', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained('org/llama');
    const model = await AutoModelForCausalLM.from_pretrained('org/llama');
    const inputs = await tokenizer('the cat', { add_special_tokens: false });
    const outputs = await model.generate({ ...inputs, max_new_tokens: 5, do_sample: false });
    expect(outputs.dims).toEqual([1, 7]);
    expect(outputs.type).toBe('int64');
    await using write = await pipeline('text-generation', 'org/llama');
    const [{ generated_text: expected }] = (await write('the cat', {
      max_new_tokens: 5,
      add_special_tokens: false,
    })) as [{ generated_text: string }];
    expect(tokenizer.decode(outputs[0]!, { skip_special_tokens: true })).toBe(expected);
    // transformers.js includes the end token.
    const end = Number(outputs.data[4]);
    const shown: number[] = [];
    const streamer = { put: ([row]: readonly (readonly number[])[]) => shown.push(...row!), end: () => {} };
    const ended = await model.generate({
      ...inputs,
      max_new_tokens: 5,
      do_sample: false,
      stop_tokens: [end],
      streamer,
    });
    const upTo = outputs.data.findIndex((id, i) => i >= 2 && Number(id) === end) + 1;
    expect([...ended.data]).toEqual([...outputs.data.slice(0, upTo)]);
    expect(shown).toEqual([...ended.data].map(Number));
    const translator = await AutoModelForSeq2SeqLM.from_pretrained('org/t5');
    const { input_ids } = await tokenizer('a cat');
    const written = await translator.generate(input_ids, { max_new_tokens: 3 });
    expect([written.dims[0], Number(written.data[0])]).toEqual([1, translator.model.startId]);
    await expect(model.generate({ ...inputs, maxnewtokens: 3 } as object)).rejects.toThrow('it is maxNewTokens here');
    await expect(model({ input_ids: [[1]] as never })).rejects.toThrow('expected a tensor [B, T]');
    await Promise.all([model.dispose(), translator.dispose()]);
  });

  it('is interrupted, and keeps what it has generated', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained('org/llama');
    const model = await AutoModelForCausalLM.from_pretrained('org/llama');
    const inputs = tokenizer('the cat', { add_special_tokens: false });
    const whole = await model.generate({ ...inputs, max_new_tokens: 6 });
    const stopping_criteria = new InterruptableStoppingCriteria();
    const seen: number[] = [];
    const streamer = {
      put: ([row]: readonly (readonly number[])[]) => {
        seen.push(...row!);
        if (seen.length === 4) stopping_criteria.interrupt();
      },
      end: () => {},
    };
    const cut = await model.generate({ ...inputs, max_new_tokens: 6, streamer, stopping_criteria });
    // The token after a request still comes.
    expect([...cut.data]).toEqual([...whole.data.slice(0, 5)]);
    expect(stopping_criteria.interrupted).toBe(true);
    await using write = await pipeline('text-generation', 'org/llama');
    const written = await write('the cat', { max_new_tokens: 6, stopping_criteria, output_scores: true });
    expect(written[0]!.tokens).toHaveLength(1);
    stopping_criteria.reset();
    expect((await model.generate({ ...inputs, max_new_tokens: 6, stopping_criteria })).data).toEqual(whole.data);
    const contexts: number[][] = [];
    class ThreeTokens extends StoppingCriteria {
      _call([row]: number[][]) {
        contexts.push(row!);
        return [row!.length === 5];
      }
    }
    const three = await model.generate({ ...inputs, max_new_tokens: 6, stopping_criteria: [new ThreeTokens()] });
    expect(three.data).toEqual(whole.data.slice(0, 5));
    expect(contexts.at(-1)).toEqual([...three.data].map(Number));
    const wrong = { ...inputs, stopping_criteria: () => true } as never;
    await expect(model.generate(wrong)).rejects.toThrow('expected stopping criteria, such as new Interruptable');
    await model.dispose();
  });

  it('continues a text by its past_key_values', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained('org/llama');
    const model = await AutoModelForCausalLM.from_pretrained('org/llama');
    const inputs = tokenizer('the cat', { add_special_tokens: false });
    const whole = await model.generate({ ...inputs, max_new_tokens: 6 });
    const options = { past_key_values: null, return_dict_in_generate: true, max_new_tokens: 3 } as const;
    const { sequences, past_key_values } = await model.generate({ ...inputs, ...options });
    expect(sequences.data).toEqual(whole.data.slice(0, 5));
    expect(past_key_values!.tokens.slice(0, 4)).toEqual([...sequences.data.slice(0, 4)].map(Number));
    const next = await model.generate({ input_ids: sequences, ...options, past_key_values });
    expect(next.sequences.data).toEqual(whole.data);
    expect(next.past_key_values).toBe(past_key_values);
    const both = tokenizer(['the cat', 'the dog'], { add_special_tokens: false });
    expect((await model.generate({ ...both, ...options })).past_key_values).toBeNull();
    const wrong = { ...inputs, past_key_values: 3 } as never;
    await expect(model.generate(wrong)).rejects.toThrow('past_key_values is 3');
    await model.dispose();
  });

  it('uses only local models on request', async () => {
    await expect(pipeline('fill-mask')).rejects.toThrow(
      /there is no folder google-bert\/bert-base-uncased .* env.allowRemoteModels is false/,
    );
    await expect(AutoTokenizer.from_pretrained('org/none')).rejects.toThrow('env.allowRemoteModels is false');
    expect(() => Object.assign(env, { remote: 1 })).toThrow(TypeError);
    expect(() => Object.assign(env, { remoteHost: 'hf-mirror.com' })).toThrow('URL is "hf-mirror.com"');
  });

  it('loads from another host', async () => {
    const asked: unknown[] = [];
    const server = createServer(({ url }, response) => {
      asked.push(url);
      response.writeHead(404).end();
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { remoteHost } = env;
    Object.assign(env, {
      remoteHost: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      allowRemoteModels: true,
      cacheDir: join(models, 'cache'),
    });
    await expect(AutoTokenizer.from_pretrained('org/elsewhere')).rejects.toThrow('org/elsewhere');
    Object.assign(env, { remoteHost, allowRemoteModels: false, cacheDir: null });
    server.close();
    expect(asked[0]).toContain('org/elsewhere');
    expect(env.remoteHost).toBe(remoteHost);
  });

  it('names tasks without a default model', async () => {
    await expect(pipeline('image-feature-extraction')).rejects.toThrow('has no default model');
  });
});

describe('loadTokenizer', () => {
  it('accepts a folder, its tokenizer.json, its text, and files, and refuses other values', async () => {
    const folder = join(models, 'org/bert-pooler');
    const files = smallModel('bert-pooler');
    const text = new TextDecoder().decode(files['tokenizer.json']);
    const { 'model.safetensors': _, ...few } = files;
    for (const from of [
      folder,
      join(folder, 'tokenizer.json'),
      text,
      JSON.parse(text),
      few,
      new Map(Object.entries(few)),
    ])
      expect((await loadTokenizer(from)).encode('a cat')).toEqual([10, 71]);
    expect((await loadTokenizer(folder)).config?.model_max_length).toBe(40);
    await expect(loadTokenizer({ 'config.json': files['config.json'] })).rejects.toThrow('has no tokenizer.json');
    await expect(loadTokenizer(join(models, 'nothing'))).rejects.toThrow('does not exist, expected');
  });
});
