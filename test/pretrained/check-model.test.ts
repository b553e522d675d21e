import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createDevice, type Device } from '../../src/index.js';
import { parseSafetensors, serializeSafetensors } from '../../src/io/index.js';
import { ModelConfig } from '../../src/models/model-config.js';
import { familyOf } from '../../src/models/registry.js';
import { Initializer } from '../../src/nn/init.js';
import { shapeOf } from '../../src/nn/state-names.js';
import { checkModel } from '../../src/pretrained/check-model.js';
import { completeConfig } from '../../src/pretrained/config.js';
import { loadModel } from '../../src/pretrained/index.js';
import { supportedTasks } from '../../src/tasks/supported-tasks.js';
import { failing, Hub, SHA } from './hub-server.js';
import { onnxFile, type Shapes, torchFile } from './weight-files.js';

const data = (path: string) => fileURLToPath(new URL(`../data/${path}`, import.meta.url));

const config = {
  ...JSON.parse(readFileSync(data('families/bert-mlm/config.json'), 'utf8')),
  hidden_size: 64,
  intermediate_size: 256,
  vocab_size: 20_000,
  num_hidden_layers: 12,
};
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

let device: Device;
let hub: Hub;
let home: string;
/** Names and shapes of a checkpoint with 8 MB. */
let shapes: Shapes;

beforeEach(async () => {
  device = await createDevice();
  shapes = await shapesOf(config);
  home = mkdtempSync(join(tmpdir(), 'check-'));
  hub = await new Hub({ 'config.json': json(config) }).start();
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  vi.stubEnv('HF_HOME', home);
  for (const name of ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'HF_TOKEN_PATH'])
    vi.stubEnv(name, '');
});

afterEach(async () => {
  vi.unstubAllEnvs();
  device.dispose();
  await hub.stop();
  rmSync(home, { recursive: true });
});

/** The tensors that transformers would write for a config. */
async function shapesOf(values: object): Promise<Shapes> {
  const all = await completeConfig(values as Record<string, unknown>);
  const { model: Model } = await familyOf('bert');
  const head = 'masked-language-model';
  const model = new Model({ init: new Initializer(device, 0, true), config: new ModelConfig(all), head });
  const found = new Map(model.statePieces().map((piece) => [piece.name, shapeOf(piece)]));
  model.dispose();
  return found;
}

const zeros = (shape: readonly number[]) => ({
  dtype: 'F32' as const,
  data: new Float32Array(shape.reduce((product, n) => product * n, 1)),
  shape,
});
const safetensors = (of: Iterable<[string, readonly number[]]>) =>
  Buffer.from(serializeSafetensors(new Map([...of].map(([name, shape]) => [name, zeros(shape)]))));

async function reportOf(options?: Parameters<typeof checkModel>[2], from = 'org/model') {
  const checked = await checkModel(device, from, options);
  checked.dispose();
  return checked.report;
}

describe('checkModel', () => {
  it('reads the header of safetensors and nothing else', async () => {
    const file = safetensors(shapes);
    hub.files['model.safetensors'] = file;
    const report = await reportOf();
    expect(report).toMatchObject({ fits: true, problem: null, missing: [], unexpected: [], misshapen: [] });
    expect(hub.sent.get('model.safetensors')).toBe(8 + Number(file.readBigUInt64LE(0)));
    expect(hub.requests.filter(({ host }) => host === 'store')).toMatchObject([{ range: 'bytes=0-7' }, {}]);
    expect(device.memory().peak).toBeLessThan(1 << 16); // parameters take no memory
    expect(readdirSync(join(home, 'hub/models--org--model/snapshots', SHA))).toEqual(['config.json']);
  });

  it('reads the headers of shards', async () => {
    const names = [...shapes.keys()];
    const files = [1, 2, 3].map((part) => `model-0000${part}-of-00003.safetensors`);
    const map = Object.fromEntries(names.map((name, i) => [name, files[i % 3] as string]));
    for (const file of files) hub.files[file] = safetensors([...shapes].filter(([name]) => map[name] === file));
    hub.files['model.safetensors.index.json'] = json({ weight_map: map });
    expect(await reportOf()).toMatchObject({ fits: true, unexpected: [] });
    for (const file of files)
      expect(hub.sent.get(file)).toBe(8 + Number((hub.files[file] as Buffer).readBigUInt64LE(0)));
  });

  it.each([
    ['pytorch_model.bin', (all: Shapes) => torchFile(all)],
    ['onnx/model.onnx', (all: Shapes) => onnxFile(all)],
  ])('reads only what describes the tensors of %s', async (name, write) => {
    const file = write(shapes);
    hub.files[name] = file;
    expect(await reportOf()).toMatchObject({ fits: true, missing: [], unexpected: [] });
    const max = name.endsWith('.bin') ? 100_000 : 4096 * (shapes.size + 2); // the directory, or a window for each tensor
    expect(hub.sent.get(name)).toBeGreaterThan(1000);
    expect(hub.sent.get(name)).toBeLessThan(Math.min(max, file.length / 8));
  });

  it('reads no external data of an ONNX file', async () => {
    hub.files['onnx/model.onnx'] = onnxFile(shapes, 'model.onnx_data');
    hub.files['onnx/model.onnx_data'] = Buffer.alloc(8_000_000);
    expect(await reportOf()).toMatchObject({ fits: true, missing: [] });
    expect(hub.sent.get('onnx/model.onnx_data') ?? 0).toBe(0);
  });

  it('reads the header of a GGUF file, on the hub and by its URL', async () => {
    const file = readFileSync(data('gguf/llama.Q8_0.gguf'));
    delete hub.files['config.json'];
    hub.files['llama.Q8_0.gguf'] = file;
    expect(await reportOf()).toMatchObject({ fits: true, type: 'llama', parameters: 1443072, tokenizer: true });
    expect(hub.sent.get('llama.Q8_0.gguf')).toBeLessThan(file.length / 8);
    const url = `${hub.endpoint}/org/model/resolve/main/llama.Q8_0.gguf`;
    expect(await reportOf({}, url)).toMatchObject({ fits: true, parameters: 1443072 });
    expect(hub.sent.get('llama.Q8_0.gguf')).toBeLessThan(file.length / 4);
  });

  it('reads a folder at a URL', async () => {
    const file = safetensors(shapes);
    hub.files['model.safetensors'] = file;
    const report = await reportOf({}, `${hub.endpoint}/org/model/resolve/main`);
    expect(report).toMatchObject({ fits: true, missing: [], unexpected: [] });
    expect(hub.sent.get('model.safetensors')).toBe(8 + Number(file.readBigUInt64LE(0)));
  });

  it('names tensors that are missing, unexpected or of another shape', async () => {
    const changed = new Map(shapes);
    const layer = 'bert.encoder.layer.3.output.dense';
    changed.delete(`${layer}.bias`);
    changed.set(`${layer}.weight`, [64, 255]);
    changed.set('bert.encoder.layer.12.output.dense.weight', [64, 256]);
    hub.files['model.safetensors'] = safetensors(changed);
    expect(await reportOf()).toMatchObject({
      fits: false,
      problem: null,
      missing: [`${layer}.bias`],
      unexpected: ['bert.encoder.layer.12.output.dense.weight'],
      misshapen: [{ name: `${layer}.weight`, shape: [64, 255], expected: [64, 256] }],
    });
    const report = await reportOf({ head: 'token-classification' });
    expect(report.newHead).toEqual(['classifier.weight', 'classifier.bias']);
  });

  it('gives the reason why a model cannot be read', async () => {
    expect((await reportOf()).problem).toMatch(/^org\/model has no weights, expected one of model.safetensors/);
    hub.files['tf_model.h5'] = Buffer.alloc(2000);
    expect((await reportOf()).problem).toMatch(/weights in tf_model.h5.*To convert it: python -c/);
    hub.sha = SHA.replace('0', 'f'); // files of a commit are never fetched again
    hub.files['config.json'] = json({ ...config, model_type: 'berd' });
    expect((await reportOf()).problem).toMatch(/model_type is "berd"/);
    expect((await reportOf({ revision: 'v2' })).problem).toMatch(/org\/model has no such revision/);
    expect((await reportOf({}, 'org/other')).problem).toMatch(/404.*org\/other is not there/);
    hub.faults = [failing(403, 1, { 'x-error-code': 'GatedRepo' })];
    expect((await reportOf()).problem).toMatch(/access to org\/model must be asked for on its page/);
    hub.token = 'secret';
    expect((await reportOf()).problem).toMatch(/401.*there is no model org\/model, or it is private: give a token/);
    hub.sha = SHA;
    hub.files['config.json'] = json(config);
    hub.files['model.safetensors'] = safetensors(shapes);
    expect(await reportOf({ token: 'secret' })).toMatchObject({ fits: true });
  });

  it('compares an adapter with its base', async () => {
    const folder = data('peft/bert-classifier');
    const report = await reportOf({}, join(folder, readdirSync(folder).includes('adapter') ? 'adapter' : ''));
    expect(report).toMatchObject({ fits: true, misshapen: [], unexpected: [], adapter: { kind: 'LORA' } });
  });

  it('finds a saved module of an adapter that does not fit its base', async () => {
    const from = data('peft/bert-classifier');
    const folder = mkdtempSync(join(tmpdir(), 'adapter-'));
    try {
      const base = { base_model_name_or_path: data('families/bert-sequence') };
      const config = JSON.parse(readFileSync(join(from, 'adapter_config.json'), 'utf8'));
      writeFileSync(join(folder, 'adapter_config.json'), JSON.stringify({ ...config, ...base }));
      const { tensors } = parseSafetensors(readFileSync(join(from, 'adapter_model.safetensors')));
      const stored = new Map([...tensors].map(([name, { shape }]) => [name, shape]));
      stored.set('base_model.model.classifier.bias', [5]);
      writeFileSync(join(folder, 'adapter_model.safetensors'), safetensors(stored));
      const misshapen = [{ name: 'classifier.bias', shape: [5], expected: [4] }];
      expect(await reportOf({}, folder)).toMatchObject({ fits: false, misshapen });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each(['float32', 'int8', 'int4'] as const)('tells the memory of %s', async (weights) => {
    const folder = data('families/qwen3');
    const { memory, parameters } = await reportOf({}, folder);
    const before = device.memory().used;
    const model = await loadModel(device, folder, { weights });
    const taken = device.memory().used - before;
    const tensors = model.statePieces().length;
    const told = memory?.[weights] ?? 0;
    expect(taken).toBeGreaterThanOrEqual(told);
    expect(taken).toBeLessThan(told + 64 * 2 * tensors); // blocks of memory are multiples of 64 bytes
    if (weights === 'float32') expect(told).toBe(4 * parameters);
    model.dispose();
  });

  it.each(['families', 'formats/quantized', 'formats/onnx'])(
    'finds that every model of test/data/%s fits',
    async (kind) => {
      const folders = readdirSync(data(kind), { withFileTypes: true }).filter((entry) => entry.isDirectory());
      const misfits: unknown[] = [];
      for (const { name } of folders) {
        const report = await reportOf({}, data(`${kind}/${name}`));
        if (!report.fits) misfits.push([name, report.problem, report.missing, report.misshapen]);
      }
      expect(folders.length).toBeGreaterThan(15);
      expect(misfits).toEqual([]);
    },
    60_000,
  );
});

describe('supportedTasks', () => {
  it.each([
    ['families/bert-qa', [], []],
    ['formats/sentence/bge-m3', ['feature-extraction', 'sentence-similarity'], ['text-classification']],
    ['gguf/llama.Q8_0.gguf', ['feature-extraction', 'text-generation'], ['translation', 'text-ranking']],
  ])('lists those of %s', async (name, some, others) => {
    const checked = await checkModel(device, data(name));
    const tasks = await supportedTasks(checked.model as NonNullable<typeof checked.model>, checked.body);
    checked.dispose();
    expect(tasks).toEqual(expect.arrayContaining(some));
    for (const other of others) expect(tasks).not.toContain(other);
    if (some.length === 0) expect(tasks).toEqual([]); // the checkpoint has no tokenizer
  });

  it('lists the task of SAM, which reads no text', async () => {
    const folder = join(home, 'sam');
    cpSync(data('families/sam'), folder, { recursive: true });
    writeFileSync(join(folder, 'preprocessor_config.json'), json({ image_processor_type: 'SamImageProcessor' }));
    const { model, body, dispose } = await checkModel(device, folder);
    expect(await supportedTasks(model as NonNullable<typeof model>, body)).toContain('mask-generation');
    expect(() => dispose()).not.toThrow();
  });
});
