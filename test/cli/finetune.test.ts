// Fine-tuning by the command line, of a small model that others have trained.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { simdformer as runCli, temporaryFolder } from './run-cli.js';

const { at, remove } = await temporaryFolder();
afterAll(remove);

const rows = Array.from({ length: 12 }, (_, i) => ({
  text: i % 2 ? `CC${'C'.repeat(i % 5)}O` : `c1ccccc1${'N'.repeat(1 + (i % 3))}`,
  label: i % 2 ? 'chain' : 'ring',
}));
const file = at('rows.jsonl');
writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'));
const model = [
  '--model',
  'test/data/checkpoints/rxnmapper-albert',
  '--task',
  'sequence-classification',
  '--data',
  file,
];

describe('simdformer finetune', () => {
  it('trains labels, reaches the metrics of eval, and resumes with the same bits', async () => {
    const out = at('whole');
    const options = ['--epochs', '4', '--batch', '4', '--lr', '2e-4', '--validation', file, '--json'];
    const ended = await runCli(['finetune', ...model, ...options, '--out', out]);
    expect(ended.stderr).toContain('validation');
    const { reason, step, metrics } = JSON.parse(ended.stdout);
    expect([reason, step]).toEqual(['done', 12]);
    expect(metrics.accuracy).toBeGreaterThan(0.9);
    expect(JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')).id2label).toEqual({ 0: 'chain', 1: 'ring' });
    expect(existsSync(join(out, 'loss.svg'))).toBe(true);
    const measured = await runCli(['eval', out, file, '--json']);
    expect(JSON.parse(measured.stdout)).toMatchObject({ count: 12, accuracy: metrics.accuracy, loss: metrics.loss });

    const halves = at('halves');
    const begun = await runCli(['finetune', ...model, ...options, '--out', halves], { interruptAt: /validation/ });
    expect(begun.code).toBe(130);
    await runCli(['finetune', ...model, ...options, '--out', halves, '--resume']);
    const weights = (of: string) => readFileSync(join(of, 'model.safetensors'));
    expect(weights(halves).equals(weights(out))).toBe(true);
    expect((await runCli(['finetune', ...model, '--out', out])).stderr).toContain('--resume goes on');
  });

  it('names the line of an invalid row before training', async () => {
    const refused = async (lines: readonly object[], options: readonly string[] = []) => {
      writeFileSync(at('odd.jsonl'), lines.map((line) => JSON.stringify(line)).join('\n'));
      const args = ['finetune', ...model.slice(0, 4), '--data', at('odd.jsonl'), ...options, '--out', at('odd')];
      return (await runCli(args)).stderr;
    };
    const labels = [0, 1].map((label) => ({ text: 'CC', label }));
    expect(await refused([...labels, { text: 'C' }])).toContain('odd.jsonl: line 3: fit: an example has no label');
    expect(await refused([...labels, { label: 1 }])).toContain(
      "odd.jsonl: line 3: fit: an example's text is undefined",
    );
    const scores = [1.5, 2].map((score) => ({ text: 'CC', score }));
    expect(await refused([...scores, { text: 'C', score: 'high' }])).toContain(
      `line 3: fit: an example's score is "high"`,
    );
    const many = Array.from({ length: 150 }, (_, i) => ({ text: 'C', label: `text ${i}` }));
    expect(await refused(many)).toContain('150 rows have 150 labels: expected fewer labels; is this the right column?');
  });

  it('stops early by a metric other than the loss', async () => {
    const words = [0, 1, 2, 3].map((i) => ({ tokens: ['CC', 'O'], labels: i % 2 ? ['B-A', 'O'] : ['O', 'O'] }));
    writeFileSync(at('words.jsonl'), words.map((row) => JSON.stringify(row)).join('\n'));
    const data = ['--data', at('words.jsonl'), '--validation', at('words.jsonl'), '--out', at('early')];
    const options = ['--task', 'token-classification', '--lora', '--lr', '1e-9', '--epochs', '9', '--patience', '1'];
    const { stdout, stderr } = await runCli(['finetune', ...model.slice(0, 2), ...data, ...options, '--json']);
    expect(JSON.parse(stdout || stderr)).toMatchObject({ reason: 'early', step: 2 });
  });

  it.each(['r 4', 'alpha 8', 'lora-dropout 0.1', 'dora', 'targets query'])(
    'refuses --%s without --lora',
    async (flag) => {
      const ended = await runCli(['finetune', ...model, ...`--${flag}`.split(' '), '--out', at('no-adapter')]);
      const [name] = flag.split(' ');
      expect(ended).toMatchObject({ code: 2, stderr: expect.stringContaining(`--${name} needs --lora`) });
      expect(existsSync(at('no-adapter'))).toBe(false);
    },
  );

  it('refuses to train packed weights, and recommends adapters', async () => {
    const ended = await runCli(['finetune', ...model, '--weights', 'int8', '--out', at('packed')]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('--weights int8 needs --lora: packed weights are not learnt');
  });

  it.each(['float32', 'int8'])('writes an adapter of %s that eval finds its model for', async (weights) => {
    const out = at(`adapter-${weights}`);
    const options = ['--lora', '--r', '4', '--epochs', '2', '--batch', '4', '--lr', '2e-3', '--weights', weights];
    const ended = await runCli(['finetune', ...model, ...options, '--out', out]);
    expect(ended.code, ended.stderr).toBe(0);
    expect(existsSync(join(out, 'model.safetensors'))).toBe(false);
    const { accuracy } = JSON.parse((await runCli(['eval', out, file, '--json'])).stdout);
    expect(accuracy).toBeGreaterThanOrEqual(0.5);
  });
});

describe('simdformer finetune of encoders and decoders', () => {
  it('trains targets of sources, which eval measures by BLEU and chrF', async () => {
    mkdirSync(at('mbart'));
    for (const name of ['config.json', 'model.safetensors'])
      copyFileSync(`test/data/families/mbart/${name}`, at(`mbart/${name}`));
    // The tokenizer ends a target with its language, en_XX, which MBart moves to the start of the decoder's input.
    const settings = JSON.parse(readFileSync('test/data/families/mbart/generation_config.json', 'utf8'));
    writeFileSync(at('mbart/generation_config.json'), JSON.stringify({ ...settings, decoder_start_token_id: 4 }));
    const { texts } = JSON.parse(readFileSync('test/tasks/media.json', 'utf8'));
    const { tokenizer } = texts.find(({ model }: { model: string }) => model === 'mbart');
    writeFileSync(at('mbart/tokenizer.json'), JSON.stringify(tokenizer));
    const sentences = Array.from({ length: 8 }, (_, i) => `w${20 + i} w${30 + i} w${40 + (i % 3)} w${50 + i}`);
    const pairs = sentences.map((source) => ({ source, target: source.split(' ').reverse().join(' ') }));
    writeFileSync(at('pairs.jsonl'), pairs.map((pair) => JSON.stringify(pair)).join('\n'));
    const task = ['--model', at('mbart'), '--task', 'sequence-to-sequence', '--data', at('pairs.jsonl')];
    const ended = await runCli([
      'finetune',
      ...task,
      '--epochs',
      '200',
      '--batch',
      '4',
      '--lr',
      '1e-2',
      '--out',
      at('taught'),
    ]);
    expect(ended.code, ended.stderr).toBe(0);
    const measured = async (model: string) =>
      JSON.parse((await runCli(['eval', at(model), at('pairs.jsonl'), '--json'])).stdout);
    const [before, after] = [await measured('mbart'), await measured('taught')];
    expect(after.count).toBe(8);
    expect(after.loss).toBeLessThan(before.loss / 2);
    expect(before.bleu).toBeLessThan(10);
    expect(after.bleu).toBeGreaterThan(90);
    expect(after.chrf).toBeGreaterThan(90);
  });
});
