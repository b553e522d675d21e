// Adapters on the small checkpoints of test/data/families; that Python agrees, `npm run check:python` shows.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadLora, lora } from '../../src/finetune/index.js';
import { type GenerateResult, PromptCache } from '../../src/generate/index.js';
import { AdamW, ArgumentError, loadModel, quantize, type Tensor } from '../../src/index.js';
import { parseSafetensors } from '../../src/io/index.js';
import type { LoadedModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';

const device = await deviceFor(isas[0]!, 2);
const temporary = mkdtempSync(join(tmpdir(), 'simdformer-lora-'));
afterAll(() => rmSync(temporary, { recursive: true }));

const ids = [
  [5, 9, 13, 2, 41],
  [7, 3, 11],
];
const inputs = { inputIds: ids, attentionMask: ids.map((row) => row.map(() => 1)) };
const load = (name: string) =>
  loadModel(device, `test/data/families/${name}`, { onWarning: (message) => expect(message).toBe('') });

const tokensOf = (model: LoadedModel) => (model as LoadedModel & { tokens: { weight: Tensor } }).tokens.weight;

async function logitsOf(model: LoadedModel, options = {}): Promise<Float32Array> {
  const output = device.noGrad(() => model.forward({ inputIds: { ids: ids.flat(), lengths: [5, 3] } }, options));
  return (await (output.logits ?? output.lastHiddenState)!.data()) as Float32Array;
}

/** Changes an adapter, which begins as nothing. */
async function train(model: LoadedModel, params: Tensor[]): Promise<number[]> {
  using optimizer = new AdamW(params, { lr: 0.02, weightDecay: 0 });
  const losses: number[] = [];
  model.train();
  for (let step = 0; step < 8; step++) {
    const loss = device.scope(() => {
      const labels = model.headKind === 'sequence-classification' ? [1, 0] : ids;
      const own = model.forward({ inputIds: { ids: ids.flat(), lengths: [5, 3] }, labels }).loss as Tensor;
      own.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return own;
    });
    losses.push(await loss.item());
  }
  model.eval();
  return losses;
}

function expectClose(a: Float32Array, b: Float32Array, limit: number): void {
  const max = b.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  for (const [i, value] of b.entries()) expect(Math.abs(value - a[i]!)).toBeLessThanOrEqual(limit * max);
}

describe('adapters', () => {
  it.each(['qwen3', 'gpt-neox', 'phi3'])(
    '%s: begins as nothing, learns, and leaves the weights alone',
    async (name) => {
      using model = await load(name);
      const [before, base] = [await logitsOf(model), model.parameters()];
      const values = await Promise.all(base.map((tensor) => tensor.data()));
      const adapter = lora(model, { r: 4, alpha: 8, dropout: 0.1, dora: name === 'qwen3' });
      if (name !== 'qwen3') expect(await logitsOf(model)).toEqual(before);
      expectClose(await logitsOf(model), before, 1e-6); // magnitudes are lengths, but for rounding
      expect(model.parameters().filter(({ requiresGrad }) => requiresGrad)).toEqual(adapter.parameters());
      const losses = await train(model, adapter.parameters());
      expect(losses.at(-1)!).toBeLessThan(losses[0]!);
      for (const [i, tensor] of base.entries()) expect(await tensor.data()).toEqual(values[i]);
      const trained = await logitsOf(model);
      expect(trained).not.toEqual(before);

      adapter.merge();
      expectClose(await logitsOf(model), trained, 1e-5);
      adapter.unmerge();
      expect(await logitsOf(model)).toEqual(trained);
      expect(await logitsOf(model, { adapter: null })).toEqual(before);
      expect(model.activeAdapters).toEqual(['default']);

      const folder = join(temporary, name);
      await adapter.save(folder);
      adapter.dispose();
      expect(await logitsOf(model)).toEqual(before);
      expect(model.parameters().filter(({ requiresGrad }) => requiresGrad).length).toBe(base.length);
      await loadLora(model, folder);
      expect(await logitsOf(model)).toEqual(trained);
    },
  );

  it('are switched for each call, and generation uses those of its own call', async () => {
    using model = await load('qwen3');
    const first = lora(model, { name: 'first', seed: 1 });
    await train(model, first.parameters());
    model.setAdapter(null);
    const second = lora(model, { name: 'second', seed: 2, targets: ['q_proj', 'down_proj'] });
    await train(model, second.parameters());
    model.setAdapter(null);
    const alone = async (adapter: string | string[] | null) => {
      model.setAdapter(adapter);
      return {
        logits: await logitsOf(model),
        written: (await model.generate([[5, 9]], { maxNewTokens: 8 })).sequences,
      };
    };
    const choices = ['first', null, 'second', ['first', 'second']] as const;
    const expected = [];
    for (const choice of choices) expected.push(await alone(choice as string | string[] | null));
    expect(new Set(expected.map(({ logits }) => logits.join())).size).toBe(4);
    model.setAdapter(null);
    const together = await Promise.all(
      choices.map((adapter) => model.generate([[5, 9]], { maxNewTokens: 8, adapter })),
    );
    for (const [i, adapter] of choices.entries()) {
      expect(await logitsOf(model, { adapter })).toEqual(expected[i]!.logits);
      expect(together[i]!.sequences).toEqual(expected[i]!.written);
    }
    expect(() => model.forward(inputs, { adapter: 'third' })).toThrow(ArgumentError);
  });

  it.each([undefined, ['lm_head']])(
    'belong to a call while others run beside it; modulesToSave: %j',
    async (modulesToSave) => {
      using model = await load('qwen3');
      for (const [seed, name] of ['first', 'second'].entries()) {
        const adapter = lora(model, { name, seed, ...(modulesToSave && { modulesToSave }) });
        await train(model, adapter.parameters());
        model.setAdapter(null);
      }
      const options = { maxNewTokens: 12 };
      const told = ({ sequences, logProbabilities }: GenerateResult) => `${sequences} ${logProbabilities}`;
      const expected = new Map<string | null, string>();
      for (const adapter of ['first', 'second', null]) {
        model.setAdapter(adapter);
        expected.set(adapter, told(await model.generate([[5, 9]], options)));
      }
      expect(new Set(expected.values()).size).toBe(3);

      // A stream is abandoned in the middle, one runs beside two calls, and the active adapter changes meanwhile.
      const abandoned = model.stream([[5, 9]], { ...options, adapter: 'second' });
      await abandoned.next();
      const first = model.generate([[5, 9]], { ...options, adapter: 'first' });
      const plain = model.stream([[5, 9]], options);
      await plain.next();
      const second = model.generate([[5, 9]], { ...options, adapter: ['second'] });
      const streamed = async (stream: typeof plain) => {
        for (;;) {
          const { value, done } = await stream.next();
          if (done) return told(value);
        }
      };
      expect(await streamed(plain)).toEqual(expected.get(null));
      expect(model.activeAdapters).toEqual([]);
      model.setAdapter('second');
      expect(told(await first)).toEqual(expected.get('first'));
      expect(told(await second)).toEqual(expected.get('second'));
      expect(model.activeAdapters).toEqual(['second']);
      const none = model.stream([[5, 9]], { ...options, adapter: null });
      expect(await streamed(none)).toEqual(expected.get(null));
      expect(() => model.stream([[5, 9]], { adapter: 'third' })).toThrow('stream: there is no adapter "third"');
      const cache = new PromptCache(model);
      await expect(model.generate([[5, 9]], { adapter: 'first', cache })).rejects.toThrow('cache and adapter exclude');
    },
  );

  it('of a call are those of its gradients, with gradient checkpointing as without', async () => {
    using model = await load('qwen3');
    const parameters: Tensor[] = [];
    for (const [seed, name] of ['first', 'second'].entries()) {
      const adapter = lora(model, { name, seed });
      await train(model, adapter.parameters());
      model.setAdapter(null);
      parameters.push(...adapter.parameters());
    }
    model.setAdapter('second');
    model.train();
    const gradients = async (gradientCheckpointing: boolean) => {
      model.gradientCheckpointing = gradientCheckpointing;
      for (const parameter of parameters) parameter.zeroGrad();
      device.scope(() => {
        const labels = ids;
        const { loss } = model.forward(
          { inputIds: { ids: ids.flat(), lengths: [5, 3] }, labels },
          { adapter: 'first' },
        );
        (loss as Tensor).backward();
      });
      return Promise.all(parameters.map((parameter) => parameter.grad?.data()));
    };
    const plain = await gradients(false);
    const isLearning = plain.map((gradient) => gradient?.some((value) => value !== 0) ?? false);
    expect(
      [isLearning.slice(0, plain.length / 2), isLearning.slice(plain.length / 2)].map((each) => each.includes(true)),
    ).toEqual([true, false]);
    expect(await gradients(true)).toEqual(plain);
  });

  it('train a tied output projection as a copy, and leave the table unchanged', async () => {
    using model = await load('gpt2');
    const table = await tokensOf(model).data();
    const adapter = lora(model, { targets: ['c_attn'], modulesToSave: ['lm_head'] });
    expect(adapter.saved.map(({ shape }) => shape)).toEqual([tokensOf(model).shape]);
    await train(model, adapter.parameters());
    expect(await tokensOf(model).data()).toEqual(table);
    expect(await adapter.saved[0]!.data()).not.toEqual(table);
    const trained = await logitsOf(model);
    await adapter.save(join(temporary, 'tied'));
    adapter.dispose();
    await loadLora(model, join(temporary, 'tied'));
    expect(await logitsOf(model)).toEqual(trained);
  });

  it('have their own copies of a head, and two that replace the same module cannot be active together', async () => {
    using model = await load('bert-sequence');
    const before = await logitsOf(model);
    const [first, second] = ['first', 'second'].map((name, seed) => lora(model, { name, seed }));
    expect(model.activeAdapters).toEqual(['second']);
    first!.saved[0]!.write(new Float32Array(first!.saved[0]!.size).fill(0.5));
    model.setAdapter('first');
    expect(await logitsOf(model)).not.toEqual(before);
    expect(() => model.setAdapter(['first', 'second'])).toThrow(/first and second replace the same modules/);
    expect(model.activeAdapters).toEqual(['first']);
    expect(await logitsOf(model, { adapter: 'second' })).toEqual(before);
    first!.dispose();
    expect(model.parameters().some(({ requiresGrad }) => requiresGrad)).toBe(true);
    second!.dispose();
    expect(await logitsOf(model)).toEqual(before);
    expect(model.parameters().every(({ requiresGrad }) => requiresGrad)).toBe(true);
  });

  it('train a packed head as a float32 copy, and pack it again without the adapter', async () => {
    using model = quantize(await load('bert-sequence'), { weights: 'int8' });
    const before = await logitsOf(model);
    const adapter = lora(model, { r: 2 });
    expect(adapter.saved.map(({ shape }) => shape.length).sort()).toEqual([1, 2]);
    await train(model, adapter.parameters());
    expect(await logitsOf(model)).not.toEqual(before);
    expect(await logitsOf(model, { adapter: null })).toEqual(before);
    adapter.dispose();
    expect(await logitsOf(model)).toEqual(before);
  });

  it('train the same magnitudes on packed weights as on the unpacked ones', async () => {
    const folder = join(temporary, 'packed');
    using packed = quantize(await load('qwen3'), { weights: 'int8', activations: 'float32' });
    await packed.save(folder);
    using floats = await loadModel(device, folder, { weights: 'float32' });
    const [before, learnt] = [await logitsOf(packed), []] as [Float32Array, Float32Array[]];
    const targets = ['q_proj', 'v_proj', 'down_proj'];
    for (const model of [packed, floats]) {
      const adapter = lora(model, { r: 4, alpha: 8, dora: true, targets });
      expectClose(await logitsOf(model), before, 1e-6);
      await train(model, adapter.parameters());
      learnt.push(await logitsOf(model));
      adapter.merge();
      expectClose(await logitsOf(model), learnt.at(-1)!, 1e-4);
      adapter.unmerge();
      expect(await logitsOf(model)).toEqual(learnt.at(-1));
    }
    expectClose(learnt[0]!, learnt[1]!, 1e-4);
    expect(learnt[0]).not.toEqual(before);
  });

  it("have PEFT's names and layouts, and those of checkpoints for heads", async () => {
    using model = await load('bert-sequence');
    const adapter = lora(model, { r: 2 });
    const folder = join(temporary, 'bert');
    await adapter.save(folder, { baseModel: 'org/base' });
    const { tensors } = parseSafetensors(readFileSync(join(folder, 'adapter_model.safetensors')));
    const layer = 'base_model.model.bert.encoder.layer.0.attention.self';
    expect(tensors.get(`${layer}.query.lora_A.weight`)!.shape).toEqual([2, model.config.hidden_size]);
    expect(tensors.get(`${layer}.value.lora_B.weight`)!.shape).toEqual([model.config.hidden_size, 2]);
    expect(tensors.has(`${layer}.key.lora_A.weight`)).toBe(false);
    expect(tensors.has('base_model.model.classifier.weight')).toBe(true);
    const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'));
    expect(config).toMatchObject({ peft_type: 'LORA', task_type: 'SEQ_CLS', r: 2, lora_alpha: 8 });
    expect(config).toMatchObject({ base_model_name_or_path: 'org/base', target_modules: ['query', 'value'] });
    expect(config.modules_to_save).toEqual(['classifier']);
  });

  it('refuse missing targets and invalid options', async () => {
    using model = await load('qwen3');
    for (const targets of [['query'], 'query', ['q_proj', 'query'], /query/])
      expect(() => lora(model, { targets })).toThrow(/query.*its linears are q_proj, .*its embeddings embed_tokens/);
    for (const targets of [[], [1], 7])
      expect(() => lora(model, { targets } as object)).toThrow(/expected a list of names/);
    for (const options of [
      { bias: 'some' },
      { rankPattern: { q_proj: 0 } },
      { alphaPattern: { '(': 1 } },
      { modulesToSave: 'norm' },
    ])
      expect(() => lora(model, options as object)).toThrow(ArgumentError);
    expect(() => lora(undefined as never)).toThrow(/the model is undefined, expected the result of loadModel/);
    for (const modulesToSave of [['nonexistent'], ['norm', 'lm_heat'], ['k_proj']])
      expect(() => lora(model, { modulesToSave })).toThrow(/modulesToSave names .*(nonexistent|lm_heat|k_proj)/);
    expect(model.adapters.size).toBe(0);
    expect(model.parameters().every(({ requiresGrad }) => requiresGrad)).toBe(true);
    for (const r of [0, 1.5, 65_537, 1e9, 2 ** 53, Number.POSITIVE_INFINITY])
      for (const options of [{ r }, { rankPattern: { q_proj: r } }])
        expect(() => lora(model, options)).toThrow(/^lora: .* is .*, expected an integer from 1 to 65536$/);
    expect(() => lora(model, { rank: 4 } as object)).toThrow(ArgumentError);
    lora(model);
    expect(() => lora(model)).toThrow(/already/);
  });
});
