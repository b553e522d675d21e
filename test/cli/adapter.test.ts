// Folders of adapters, in every command that takes a model.
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadLora, lora } from '../../src/finetune/index.js';
import { loadModel } from '../../src/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { simdformer as runCli, temporaryFolder } from './run-cli.js';

const { at, remove } = await temporaryFolder();
afterAll(remove);

const rows = Array.from({ length: 8 }, (_, i) => ({
  text: i % 2 ? 'CCO' : 'c1ccccc1N',
  label: i % 2 ? 'chain' : 'ring',
}));

/** Runs a command, which must end well. */
async function run(...args: string[]): Promise<string> {
  const ended = await runCli(args);
  expect(ended.code, ended.stderr).toBe(0);
  return ended.stdout;
}

describe('the folder of an adapter', () => {
  beforeAll(async () => {
    const device = await deviceFor(isas[0] as string, 2);
    cpSync('test/data/checkpoints/tinystories-656k', at('base'), { recursive: true });
    using model = await loadModel(device, at('base'), { onWarning: () => {} });
    const adapter = lora(model, { r: 4, alpha: 64, targets: ['q_proj', 'v_proj', 'down_proj'] });
    for (const [i, tensor] of adapter.parameters().entries())
      tensor.write(Float32Array.from({ length: tensor.size }, (_, j) => Math.sin(i + j) / 10));
    await adapter.save(at('writer'), { baseModel: '../base' });
  });

  it('generates with run like the merged model, and unlike the base', async () => {
    const written = (model: string) => run('run', model, 'Tom had a', '--max-tokens', '12');
    await run('merge', at('writer'), '--out', at('merged'));
    const [base, adapted, merged] = [
      await written(at('base')),
      await written(at('writer')),
      await written(at('merged')),
    ];
    expect(adapted).not.toBe(base);
    expect(merged).toBe(adapted);
    expect(JSON.parse(readFileSync(at('merged/config.json'), 'utf8')).model_type).toBe('llama');
  });

  it('leaves no folder if the merged model cannot be written', async () => {
    // A folder is where a file of the model is to be.
    mkdirSync(at('blocked/config.json'), { recursive: true });
    const ended = await runCli(['merge', at('writer'), '-o', at('blocked')]);
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining('EISDIR') });
    expect(readdirSync(at('blocked'))).toEqual(['config.json']);
    const below = await runCli(['merge', at('writer'), '-o', at('writer/adapter_config.json/merged')]);
    expect(below).toMatchObject({ code: 1, stderr: expect.stringMatching(/E(NOTDIR|EXIST)/) });
  });

  it('of a GGUF file is described with the sizes of that file', async () => {
    const device = await deviceFor(isas[0] as string, 2);
    const file = resolve('test/data/gguf/types/qwen3.IQ1_M.gguf');
    using model = await loadModel(device, file, { onWarning: () => {} });
    await lora(model, { r: 2, targets: ['q_proj'] }).save(at('of gguf'));
    const [whole, adapted] = [
      JSON.parse(await run('info', file, '--json')),
      JSON.parse(await run('info', at('of gguf'), '--json')),
    ];
    const sizes = (types: Record<string, { tensors: number; bytes: number }>) =>
      Object.entries(types)
        .map(([type, { tensors, bytes }]) => [type, tensors, bytes])
        .sort();
    expect(sizes(adapted.types)).toEqual(sizes(whole.types));
    expect(Object.keys(adapted.types)).toContain('IQ1_M');
  });

  it('is not merged into the folder of its base or into its own', async () => {
    for (const [name, kind] of [
      ['base', 'base'],
      ['writer', 'adapter'],
    ] as const) {
      const ended = await runCli(['merge', at('writer'), '-o', at(name)]);
      const stderr = `simdformer: ${at(name)} is the folder of the ${kind}: give another one with --out\n`;
      expect(ended).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(stderr) });
    }
  });

  it('is described by info, and packed by quantize', async () => {
    const info = await run('info', at('writer'));
    expect(info).toMatch(/adapter +LORA, r 4, alpha 64\nbase +\.\.\/base\ntargets +q_proj, v_proj, down_proj\n/);
    expect(JSON.parse(await run('info', at('writer'), '--json')).adapter.base).toBe('../base');
    await run('quantize', at('writer'), at('packed'), '--type', 'int8');
    expect(await run('info', at('packed'))).toMatch(/packed as +int8/);
  });

  it('is a classifier with its labels for classify, embed and eval, and is refused by finetune', async () => {
    writeFileSync(at('rows.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
    const task = ['--model', 'test/data/checkpoints/rxnmapper-albert', '--task', 'sequence-classification'];
    const training = ['--data', at('rows.jsonl'), '--lora', '--epochs', '6', '--batch', '4', '--lr', '5e-3'];
    await run('finetune', ...task, ...training, '--out', at('labels'));
    writeFileSync(at('texts.txt'), 'CCO\nc1ccccc1N\n');
    expect(await run('info', at('labels'))).not.toContain('new head');
    expect(await run('quantize', at('labels'), at('labels-packed'))).not.toContain('→'); // its base is elsewhere
    const classes = (model: string) => run('classify', model, at('texts.txt'));
    await run('merge', at('labels'), '--out', at('labels-merged'));
    expect(await classes(at('labels'))).toMatch(/chain|ring/);
    expect(await classes(at('labels'))).toBe(await classes(at('labels-merged')));
    const vectors = async (model: string) => (await run('embed', model, at('texts.txt'))).trim().split('\n');
    const [own, merged] = [await vectors(at('labels')), await vectors(at('labels-merged'))];
    expect(own.length).toBe(2);
    const numbers = (line: string) => line.split(' ').map(Number);
    for (const [i, line] of own.entries())
      for (const [j, value] of numbers(line).entries())
        expect(value).toBeCloseTo(numbers(merged[i] as string)[j] as number, 4);
    const measured = async (model: string) => JSON.parse(await run('eval', at(model), at('rows.jsonl'), '--json'));
    expect((await measured('labels')).accuracy).toBe((await measured('labels-merged')).accuracy);
    const again = await runCli([
      'finetune',
      '--model',
      at('labels'),
      ...task.slice(2),
      ...training,
      '--out',
      at('again'),
    ]);
    expect(again.stderr).toContain('is an adapter: convert it to a model with `simdformer merge`');
  });

  it('keeps the labels of a new head, so that loading does not warn', async () => {
    const device = await deviceFor(isas[0] as string, 2);
    const from = 'test/data/checkpoints/rxnmapper-albert';
    const head = { head: 'sequence-classification', labels: ['ring', 'chain', 'salt'] } as const;
    using model = await loadModel(device, from, { ...head, onWarning: () => {} });
    await lora(model, { r: 2, targets: 'all-linear' }).save(at('named'));
    const warnings: string[] = [];
    const onWarning = (text: string) => warnings.push(text);
    using loaded = await loadModel(device, at('named'), { baseModel: from, onWarning });
    expect(Object.values(loaded.config.id2label as object)).toEqual(head.labels);
    expect(warnings.join()).not.toContain('initialized at random');
    const labels = ['a', 'b', 'c'];
    using renamed = await loadModel(device, at('named'), { baseModel: from, onWarning, labels });
    expect(Object.values(renamed.config.id2label as object)).toEqual(labels);
  });

  it('reports damaged files', async () => {
    const config = JSON.parse(readFileSync(at('writer/adapter_config.json'), 'utf8'));
    cpSync(at('writer'), at('lost'), { recursive: true });
    writeFileSync(
      at('lost/adapter_config.json'),
      JSON.stringify({ ...config, base_model_name_or_path: '../nowhere/at/all' }),
    );
    const lost = await runCli(['run', at('lost'), 'Tom']);
    expect(lost.stderr).toMatch(/lost is an adapter, and its base \.\.\/nowhere\/at\/all cannot be loaded/);
    await run('merge', at('lost'), '--base', at('base'), '--out', at('found'));
    const device = await deviceFor(isas[0] as string, 2);
    await expect(loadModel(device, at('base'), { baseModel: at('base') })).rejects.toThrow(/is not an adapter/);
    using model = await loadModel(device, at('lost'), { baseModel: at('base'), onWarning: () => {} });
    await loadLora(model, at('writer'), { name: 'second' });
    expect(model.activeAdapters).toEqual(['default', 'second']);
    writeFileSync(
      join(at('lost'), 'adapter_config.json'),
      JSON.stringify({ ...config, base_model_name_or_path: null }),
    );
    await expect(loadModel(device, at('lost'))).rejects.toThrow(
      /base_model_name_or_path .* is null, expected a folder or an id/,
    );
  });
});
