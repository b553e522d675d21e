// Dry runs of every file format, with a server in place of the hub. The folders lie in test/data; other tests load them.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type CheckedReport, checkedReport, misfit } from '../../src/cli/checked-model.js';
import { createDevice, type Device } from '../../src/index.js';
import type { CheckOptions } from '../../src/pretrained/check-model.js';
import { Hub } from './hub-server.js';
import { onnxFile } from './weight-files.js';

type Files = Record<string, Buffer>;

const data = (path: string) => fileURLToPath(new URL(`../data/${path}`, import.meta.url));

/** The files of a folder that a repository has, without what only tests read. */
function filesOf(path: string): Files {
  const names = readdirSync(data(path), { recursive: true, withFileTypes: true });
  const all = names.filter((entry) => !entry.isDirectory() && !entry.name.startsWith('expected'));
  const paths = all.map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(paths.map((each) => [each.slice(data(path).length + 1), readFileSync(each)]));
}

let device: Device;
let home: string;
beforeAll(async () => {
  device = await createDevice();
  home = mkdtempSync(join(tmpdir(), 'formats-'));
  vi.stubEnv('HF_HOME', home);
  for (const name of ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE', 'HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN', 'HF_TOKEN_PATH'])
    vi.stubEnv(name, '');
});
afterAll(() => {
  vi.unstubAllEnvs();
  device.dispose();
  rmSync(home, { recursive: true });
});

const WEIGHTS = /\.(safetensors|bin|onnx|onnx_data|gguf|pt)$/;
let commits = 0;

/** The report on a repository. Files of weights must be read by range requests alone. */
async function reportOf(files: Files, options: CheckOptions = {}, others: Record<string, Files> = {}) {
  const hub = await new Hub(files, others).start();
  hub.sha = (++commits).toString(16).padStart(40, '0');
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  try {
    const report = await checkedReport(device, 'org/model', options);
    const whole = hub.requests.filter(
      ({ method, host, url, range }) =>
        method === 'GET' && host === 'store' && range === undefined && WEIGHTS.test(url.replace(/\?.*/, '')),
    );
    // The rest of a header may be the last answer to a file whose first bytes were asked for by range.
    for (const { url } of whole)
      expect(
        hub.requests.some((other) => other.url === url && other.range !== undefined),
        url,
      ).toBe(true);
    return report;
  } finally {
    await hub.stop();
  }
}

function expectFit(report: CheckedReport, name: string): void {
  expect([name, misfit(report)]).toEqual([name, null]);
  expect(report.fits, name).toBe(true);
  const { memory, parameters } = report;
  expect(memory?.float32).toBe(4 * parameters);
  expect(memory?.int8).toBeLessThan(memory?.float32 ?? 0);
  expect(memory?.int4).toBeLessThan(memory?.int8 ?? 0);
}

const foldersOf = (kind: string) =>
  readdirSync(data(kind), { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() && !/^(extra|hostile|lora-)/.test(entry.name) ? [entry.name] : [],
  );

describe('a dry run', () => {
  it.each(['formats/bin', 'formats/quantized', 'formats/sentence', 'remote-code', 'text-only'])(
    'finds that all of %s fits',
    async (kind) => {
      const folders = foldersOf(kind);
      expect(folders.length).toBeGreaterThan(2);
      for (const name of folders) expectFit(await reportOf(filesOf(`${kind}/${name}`)), name);
    },
    60_000,
  );

  it('finds that all variants of ONNX files fit', async () => {
    const dtypes = { fp32: '', fp16: '_fp16', q8: '_quantized', uint8: '_uint8', q4: '_q4', q4f16: '_q4f16' } as const;
    let checked = 0;
    for (const name of foldersOf('formats/onnx')) {
      const files = filesOf(`formats/onnx/${name}`);
      for (const [dtype, suffix] of Object.entries(dtypes) as [keyof typeof dtypes, string][]) {
        const own = new RegExp(`(model|merged)${suffix}\\.onnx$`);
        if (!Object.keys(files).some((file) => own.test(file))) continue;
        const choice = files[`onnx/decoder_model${suffix}.onnx`] || files[`onnx/model${suffix}.onnx`];
        if (choice === undefined) continue;
        checked++;
        expectFit(await reportOf(files, { dtype }), `${name} ${dtype}`);
      }
    }
    expect(checked).toBeGreaterThan(30);
    const report = await reportOf(filesOf('formats/onnx/gpt2'), { dtype: 'q4' });
    expect(report.problem).toMatch(/no ONNX files for dtype "q4": there is onnx\/model.onnx/);
  });

  it('finds that GGUF files fit, in one file and in parts', async () => {
    for (const name of readdirSync(data('gguf/types')).filter((each) => each.endsWith('.gguf')))
      expectFit(await reportOf({ [name]: readFileSync(data(`gguf/types/${name}`)) }), name);
    const parts = Object.entries(filesOf('gguf/parts')).filter(([name]) => name.endsWith('.gguf'));
    expectFit(await reportOf(Object.fromEntries(parts)), 'parts');
    const report = await reportOf(Object.fromEntries(parts.slice(0, 2)));
    expect(report.problem).toMatch(/qwen3-00003-of-00003\.gguf/);
  });

  it('finds that adapters fit their bases on the hub', async () => {
    for (const name of ['lora-gpt2', 'lora-llama', 'lora-llama-patterns']) {
      const files = filesOf(`formats/bin/${name}`);
      const within = (folder: string) =>
        Object.entries(files).flatMap(([path, bytes]) =>
          path.startsWith(`${folder}/`) ? [[path.slice(folder.length + 1), bytes] as const] : [],
        );
      const adapter: Files = Object.fromEntries(within('adapter'));
      const settings = JSON.parse(`${adapter['adapter_config.json']}`);
      adapter['adapter_config.json'] = Buffer.from(
        JSON.stringify({ ...settings, base_model_name_or_path: 'org/base' }),
      );
      const base: Files = Object.fromEntries(within('base'));
      const report = await reportOf(adapter, {}, { 'org/base': base });
      expectFit(report, name);
      expect(report.adapter).toMatchObject({ kind: 'LORA', base: 'org/base' });
      expect((await reportOf(adapter)).problem).toMatch(/its base cannot be read .*org\/base is not there/);
    }
  });
});

const json = (value: unknown) => Buffer.from(JSON.stringify(value));

describe('a dry run names', () => {
  const withJson = (files: Files, name: string, change: object): Files => ({
    ...files,
    [name]: json({ ...JSON.parse(`${files[name]}`), ...change }),
  });
  const without = (files: Files, pattern: RegExp): Files =>
    Object.fromEntries(Object.entries(files).filter(([name]) => !pattern.test(name)));
  /** Gives a tensor another name of the same length, so that the file lacks it. */
  const renamed = (files: Files, name: string, tensor: string): Files => {
    const bytes = Buffer.from(files[name] as Buffer);
    const at = bytes.indexOf(`"${tensor}"`);
    expect(at).toBeGreaterThan(0);
    bytes.write('another', at + 1);
    return { ...files, [name]: bytes };
  };

  it.each<[string, () => Files, RegExp]>([
    [
      'a missing shard of pytorch_model.bin',
      () => without(filesOf('formats/bin/bert-sharded'), /00002-of/),
      /lacks 1 of 3 files of its pytorch_model.bin.index.json: pytorch_model-00002-of-00003.bin/,
    ],
    [
      'a size that config.json has and pytorch_model.bin has not',
      () => withJson(filesOf('formats/bin/gpt2-legacy'), 'config.json', { n_embd: 64, n_inner: 256 }),
      /wte.weight is \[\d+,\d+\], expected \[\d+,64\] by config.json/,
    ],
    [
      'layers that pytorch_model.bin lacks',
      () => withJson(filesOf('formats/bin/bert-zip'), 'config.json', { num_hidden_layers: 3 }),
      /its files lack bert.encoder.layer.2.attention.self.query.weight/,
    ],
    [
      'layers that ONNX files lack',
      () => withJson(filesOf('formats/onnx/gpt2'), 'config.json', { n_layer: 5, num_hidden_layers: 5 }),
      /its files lack transformer.h.2.attn.c_attn.weight/,
    ],
    [
      'external data that are missing',
      () => ({
        ...without(filesOf('formats/onnx/bert'), /onnx$/),
        'onnx/model.onnx': onnxFile(new Map([['a.weight', [20, 20]]]), 'model.onnx_data'),
      }),
      /has no onnx\/model.onnx_data/,
    ],
    [
      'scales that a GPTQ file lacks',
      () =>
        renamed(
          filesOf('formats/quantized/gptq-g32-sym'),
          'model.safetensors',
          'model.layers.0.self_attn.q_proj.scales',
        ),
      /q_proj.*scales|scales.*q_proj/,
    ],
    [
      'a method of quantization that is unknown',
      () =>
        withJson(filesOf('formats/quantized/awq-g32'), 'config.json', { quantization_config: { quant_method: 'hqq' } }),
      /hqq.*expected/,
    ],
    [
      'a family that is unknown',
      () => withJson(filesOf('formats/bin/bert-zip'), 'config.json', { model_type: 'berd' }),
      /model_type is "berd".*bert/,
    ],
    [
      'the weights that a module lacks',
      () => without(filesOf('formats/sentence/dense-twice'), /^2_Dense\/model/),
      /2_Dense has no weights/,
    ],
    [
      'a module that is unknown',
      () => {
        const files = filesOf('formats/sentence/dense-twice');
        const [first] = JSON.parse(`${files['modules.json']}`);
        return { ...files, 'modules.json': json([first, { idx: 1, path: '1_New', type: 'org.models.New' }]) };
      },
      /module "org.models.New", expected one of Transformer/,
    ],
    [
      'weights that a part of a router lacks',
      () =>
        renamed(
          filesOf('formats/sentence/router'),
          'document_0_Transformer/model.safetensors',
          'encoder.layer.0.attention.self.query.bias',
        ),
      /its files lack .*layer.0.attention.self.query.bias/,
    ],
    [
      'a call in a pickle',
      () => ({
        ...filesOf('formats/bin/bert-zip'),
        'pytorch_model.bin': readFileSync(data('formats/bin/hostile/os-system-zip.bin')),
      }),
      /posix.system/,
    ],
    [
      'the architecture of a GGUF file that is unknown',
      () => {
        const bytes = readFileSync(data('gguf/types/qwen3.Q2_K.gguf'));
        for (let at = bytes.indexOf('qwen3'); at >= 0; at = bytes.indexOf('qwen3', at + 1)) bytes.write('qwem3', at);
        return { 'model.gguf': bytes };
      },
      /architecture.*qwem3|qwem3.*architecture/,
    ],
  ])('%s', async (_, files, reason) => {
    const report = await reportOf(files());
    expect(report.fits).toBe(false);
    expect(misfit(report)).toMatch(reason);
  });

  it('the pipeline of rerankers whose modules score the next token', async () => {
    const report = await reportOf(filesOf('formats/sentence/cross-encoder-logit-score'));
    expect(report.pipelines).toContain('text-ranking');
  });
});
