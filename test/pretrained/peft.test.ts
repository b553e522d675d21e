// Adapters that peft 0.21 wrote: test/data/peft/make_adapters.py.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { type Lora, loadLora } from '../../src/finetune/index.js';
import { loadModel, type Tensor } from '../../src/index.js';
import { parseSafetensors } from '../../src/io/index.js';
import { entryOf } from '../../src/nn/state-entry.js';
import type { LoadedModel } from '../../src/pretrained/load-model.js';
import { optionsOf } from '../../src/pretrained/peft/load-lora.js';
import { piecesOfLora } from '../../src/pretrained/peft/lora-parts.js';
import { deviceFor, isas } from '../describe-op.js';
import { Hub } from './hub-server.js';

const device = await deviceFor(isas[0] as string, 2);
const data = fileURLToPath(new URL('../data/peft/', import.meta.url));
const reference = fileURLToPath(new URL('../data/families/', import.meta.url));
const cases = readdirSync(data, { withFileTypes: true }).flatMap((each) => (each.isDirectory() ? [each.name] : []));
const temporary = mkdtempSync(join(tmpdir(), 'simdformer-peft-'));
afterAll(() => rmSync(temporary, { recursive: true }));

const IDS = [
  [5, 9, 13, 2, 41, 7],
  [7, 3, 11, 30, 6, 4],
];

/** The largest difference of two lists, in units of the largest expected value. */
function error(given: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(given.length).toBe(expected.length);
  const largest = Array.from(expected).reduce((max, value) => Math.max(max, Math.abs(value)), 1e-30);
  return (
    Array.from(expected).reduce((max, value, i) => Math.max(max, Math.abs(value - (given[i] as number))), 0) / largest
  );
}

function inputsOf(model: LoadedModel) {
  const labels = model.headKind === 'sequence-classification' ? [1, 0] : IDS;
  return { inputIds: IDS, attentionMask: IDS.map((row) => row.map(() => 1)), labels };
}

const logitsOf = (model: LoadedModel, options = {}): Float32Array =>
  device.scope(
    () => device.noGrad(() => model.forward(inputsOf(model), options).logits as Tensor).dataSync() as Float32Array,
  );

const onWarning = (message: string) => expect(message).toBe('');
const base = (name: string) => {
  const config = JSON.parse(readFileSync(join(data, name, 'adapter_config.json'), 'utf8'));
  return join(data, name, config.base_model_name_or_path);
};

/** Adapters that change one name of a shared table. Files of models store the table once, so they are not merged. */
const SEPARATES = ['bart-input', 'bart-embedding'];

/** Float32 sums of up to a few hundred terms, relative to the largest value. */
const CLOSE = 2e-5;
const GRADIENT = 2e-4;

describe.each(cases)('%s', (name) => {
  const expected = parseSafetensors(readFileSync(join(data, name, 'expected.safetensors'))).tensors;
  const values = (key: string) => expected.get(key)!.data() as Float32Array;
  const largestOf = (key: string) => values(key).reduce((max, each) => Math.max(max, Math.abs(each)), 0);
  /** PyTorch's own error by float32, or the bound, if that is more. */
  const limit = (key: string) => Math.max(CLOSE, (4 * values(`lost.${key}`)[0]!) / largestOf(key));

  it('loads as a model, and gives the results of PEFT', async () => {
    using model = await loadModel(device, join(data, name), { onWarning });
    expect(error(logitsOf(model), values('logits'))).toBeLessThan(limit('logits'));
    const loss = device.scope(() => (model.forward(inputsOf(model)).loss as Tensor).dataSync());
    expect(error(loss, values('loss'))).toBeLessThan(limit('loss'));
  });

  it('equals the base bit for bit while it is off and after its removal', async () => {
    using model = await loadModel(device, base(name), { onWarning });
    const [before, used] = [logitsOf(model), device.memory().used];
    const parameters = model.parameters();
    const trained = parameters.map(({ requiresGrad }) => requiresGrad);
    expect(error(before, values('without'))).toBeLessThan(CLOSE);
    const adapter = await loadLora(model, join(data, name));
    const on = logitsOf(model);
    expect(error(on, values('logits'))).toBeLessThan(limit('logits'));
    expect(logitsOf(model, { adapter: null })).toEqual(before);
    adapter.isActive = false;
    expect(logitsOf(model)).toEqual(before);
    adapter.isActive = true;
    expect(logitsOf(model)).toEqual(on);
    if (SEPARATES.includes(name)) expect(() => adapter.merge()).toThrow(/merge: default changes .* several names/);
    else adapter.merge();
    expect(error(logitsOf(model), on)).toBeLessThan(limit('logits'));
    adapter.unmerge();
    expect(logitsOf(model)).toEqual(on);
    adapter.dispose();
    expect(logitsOf(model)).toEqual(before);
    expect(model.parameters()).toEqual(parameters);
    expect(parameters.map(({ requiresGrad }) => requiresGrad)).toEqual(trained);
    expect(device.memory().used).toBe(used);
  });

  it("has PEFT's gradients", async () => {
    using model = await loadModel(device, base(name), { onWarning });
    const adapter: Lora = await loadLora(model, join(data, name));
    model.eval(); // without dropout, but with gradients
    device.scope(() => (model.forward(inputsOf(model)).loss as Tensor).backward());
    const keys = [...expected.keys()].filter((key) => key.startsWith('gradient.') && !key.includes('original_module'));
    const own = new Map(
      piecesOfLora(adapter).map((piece) => [
        `gradient.${piece.name}`.replace(/(lora_magnitude_vector)$/, '$1.weight'),
        entryOf({ ...piece, tensor: piece.tensor.grad as Tensor }).dataSync(),
      ]),
    );
    expect([...own.keys()].sort()).toEqual(keys.sort());
    // Softmax cancels the gradient of keys' biases: all that is left there are rounding errors of the others.
    const largest = Math.max(...keys.map(largestOf));
    for (const key of keys) {
      const difference = error(own.get(key)!, values(key)) * Math.max(largestOf(key), 1e-30);
      const bound = GRADIENT * Math.max(largestOf(key), 1e-2 * largest);
      expect(difference, key).toBeLessThan(Math.max(bound, 8 * values(`lost.${key}`)[0]!));
    }
  });

  it('is saved unchanged, and merged into a separate model', async () => {
    using model = await loadModel(device, join(data, name), { onWarning });
    const on = logitsOf(model);
    const adapter = model.adapters.get('default') as Lora;
    await adapter.save(join(temporary, name));
    using again = await loadModel(device, join(temporary, name), { onWarning });
    expect(logitsOf(again)).toEqual(on);
    await expect(model.save(join(temporary, `${name}-model`))).rejects.toThrow(
      /default is not part of the weights: merge/,
    );
    if (SEPARATES.includes(name)) return;
    adapter.merge();
    await model.save(join(temporary, `${name}-model`));
    using merged = await loadModel(device, join(temporary, `${name}-model`), { onWarning });
    expect(merged.adapters.size).toBe(0);
    expect(error(logitsOf(merged), on)).toBeLessThan(limit('logits'));
  });
});

describe('adapters and bases on the hub', () => {
  const filesOf = (folder: string) =>
    Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
  const serving = async (files: Record<string, Buffer>) => {
    const hub = await new Hub(files).start();
    vi.stubEnv('HF_ENDPOINT', `${hub.endpoint}/`);
    return hub;
  };
  afterEach(() => vi.unstubAllEnvs());
  const name = 'gpt2-output';
  const cacheDir = join(temporary, 'hub');

  it('loads a base that a folder names by its id', async () => {
    const hub = await serving(filesOf(join(reference, 'gpt2')));
    const folder = join(temporary, 'of-the-hub');
    cpSync(join(data, name), folder, { recursive: true });
    const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8'));
    const named = { ...config, base_model_name_or_path: 'org/model', revision: 'main' };
    writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify(named));
    using model = await loadModel(device, folder, { cacheDir, onWarning });
    using local = await loadModel(device, join(data, name), { onWarning });
    expect(logitsOf(model)).toEqual(logitsOf(local));
    await hub.stop();
  });

  it('loads an adapter by its id, and from files by name', async () => {
    const files = filesOf(join(data, name));
    const hub = await serving(files);
    const options = { baseModel: join(reference, 'gpt2'), onWarning };
    using model = await loadModel(device, 'org/model', { ...options, cacheDir: join(temporary, 'hub-2') });
    using given = await loadModel(device, files, options);
    expect(logitsOf(model)).toEqual(logitsOf(given));
    expect(model.activeAdapters).toEqual(['default']);
    await hub.stop();
  });
});

it('loads an adapter from the repository of its base', () => {
  expect(cases.length).toBeGreaterThan(12);
  expect(readdirSync(reference)).toContain('gpt2');
});

it.each([
  ['init_lora_weights', 'pissa_niter_4', 'the adapter belongs to a changed base'],
  ['init_lora_weights', 'olora', 'path_initial_model_for_weight_conversion'],
  ['kasa_config', { beta: 1 }, 'expected null'],
  ['use_bdlora', {}, 'expected null'],
  ['arrow_config', { top_k: 3 }, 'expected null'],
  ['monteclora_config', {}, 'expected null'],
])('refuses adapters with %s %o, because PEFT computes something else', (key, value, message) => {
  const config = { peft_type: 'LORA', r: 2, lora_alpha: 2, target_modules: ['q_proj'] };
  expect(() => optionsOf({ ...config, [key]: value }, 'folder')).toThrow(`adapter_config.json has ${key}`);
  expect(() => optionsOf({ ...config, [key]: value }, 'folder')).toThrow(message);
  expect(() => optionsOf({ ...config, init_lora_weights: 'gaussian' }, 'folder')).not.toThrow();
});
