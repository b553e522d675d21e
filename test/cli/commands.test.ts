// The commands of a user: training, running, evaluating and inspecting a model.

import { execFile } from 'node:child_process';
import { lstat, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { platform } from 'node:os';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { argumentsOf, type Ended, simdformer, temporaryFolder } from './run-cli.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let trained: Ended;
let text: Ended;

/** All words of two to five letters. They suffice for any seed to read words that training did not see. */
const WORDS = [2, 3, 4, 5].flatMap((length) =>
  Array.from({ length: 2 ** length }, (_, i) =>
    i.toString(2).padStart(length, '0').replaceAll('0', 'a').replaceAll('1', 'b'),
  ),
);
const SOUNDS: Record<string, string> = { a: 'AH', b: 'B' };
const pairs = WORDS.map((word) => `${word}\t${[...word].map((letter) => SOUNDS[letter]).join(' ')}`);
const TEXT = 'to be, or not to be: that is the question.\n'.repeat(20);
const sizes = { dModel: 16, heads: 2, dFF: 32, dropout: 0 };
const pairModel = { ...sizes, encoderLayers: 1, decoderLayers: 1, maxLength: 8, positions: 'sinusoidal' };
const pairTask = { task: 'pronunciation', model: pairModel, validation: 2, validateEvery: 20, batch: 200 };
const schedule = { kind: 'constant', peak: 0.01, warmup: 0 };

beforeAll(async () => {
  folder = await temporaryFolder();
  await writeFile(folder.at('pairs.tsv'), `${pairs.join('\n')}\n`);
  await writeFile(folder.at('text.txt'), TEXT);
  const falling = { kind: 'cosine', peak: 0.01, warmup: 0 };
  await writeFile(
    folder.at('pairs.json'),
    JSON.stringify({ ...pairTask, schedule: falling, data: folder.at('pairs.tsv') }),
  );
  const textModel = { ...sizes, decoderLayers: 1, maxLength: 16 };
  await writeFile(folder.at('text.json'), JSON.stringify({ task: 'characters', model: textModel, schedule }));
  [trained, text] = await Promise.all([
    train('pairs', 'pairs', '--steps', '400', '--json'),
    train('text', 'text', '--steps', '40', '--data', folder.at('text.txt'), '--dtype', 'float16'),
  ]);
});
afterAll(() => folder.remove());

const train = (task: string, out: string, ...args: string[]) =>
  simdformer(['train', folder.at(`${task}.json`), '-o', folder.at(out), ...args]);

const log = async (out: string): Promise<{ step: number; loss?: number }[]> =>
  (await readFile(folder.at(`${out}/log.jsonl`), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

/** Checks that the command failed with one line, and printed nothing else. */
function expectFailure({ code, stdout, stderr }: Ended, message: RegExp): void {
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/\n\s+at /);
}

describe('train', () => {
  it('prints a report, and writes model, checkpoint, log and picture', async () => {
    expect(trained.code).toBe(0);
    expect(JSON.parse(trained.stdout)).toMatchObject({ reason: 'done', step: 400, metrics: { wordError: 0 } });
    expect(trained.stderr).toMatch(/^step 1\/400, smoothed loss \d/);
    expect(trained.stderr).toMatch(/^step 20, validation: wordError \d\.\d{4}, tokenError/m);
    expect(trained.stderr).not.toContain('\u001b');
    expect((await log('pairs')).filter(({ loss }) => loss !== undefined)).toHaveLength(400);
    expect(await readFile(folder.at('pairs/loss.svg'), 'utf8')).toContain('validation wordError');
  });

  it('does not replace an existing training', async () => {
    expectFailure(await train('pairs', 'pairs'), /--resume continues it, --overwrite discards it/);
  });

  it('stops at Ctrl-C, and resumes', async () => {
    const stopped = await simdformer(
      ['train', folder.at('pairs.json'), '-o', folder.at('stopped'), '--steps', '100000'],
      { interruptAt: /step 40, / },
    );
    expect(stopped.code).toBe(130);
    expect(stopped.stdout).toMatch(/^Stopped; --resume goes on\. Step \d+ /);
    const steps = (await log('stopped')).at(-1)?.step as number;
    expect(steps).toBeGreaterThanOrEqual(40);
    await writeFile(folder.at('stopped/log.jsonl'), '{"step":', { flag: 'a' }); // a kill leaves such a line
    const resumed = await train('pairs', 'stopped', '--steps', `${steps + 10}`, '--resume', '--json');
    expect(resumed.code).toBe(0);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ reason: 'done', step: steps + 10 });
    const losses = (await log('stopped')).filter(({ loss }) => loss !== undefined);
    expect(losses.map(({ step }) => step)).toEqual(Array.from({ length: steps + 10 }, (_, i) => i + 1));
  });

  it('stops in order at a signal, before and after its first steps', async () => {
    const args = ['train', folder.at('pairs.json'), '-o', folder.at('ended'), '--steps', '100000'];
    const ended = await simdformer(args, { interruptAt: /step 20, /, signal: 'SIGTERM' });
    expect(ended.code).toBe(143);
    expect(ended.stdout).toMatch(/^Stopped; --resume goes on\./);
    const killed = await simdformer([...args, '--overwrite'], { interruptAt: /step 1\//, signal: 'SIGKILL' });
    expect(killed.code).toBe(null);
    const resumed = await train('pairs', 'ended', '--steps', '3', '--resume', '--json');
    expect(resumed.stderr).toMatch(/^Changed: steps: 100000 → 3$/m);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ reason: 'done', step: 3 });
  });

  it('does not replace a model', async () => {
    await mkdir(folder.at('model'));
    const weights = await readFile(folder.at('pairs/model.safetensors'));
    await writeFile(folder.at('model/model.safetensors'), weights);
    expectFailure(await train('pairs', 'model'), /already contains a model: --overwrite replaces it/);
    expect(await readFile(folder.at('model/model.safetensors'))).toEqual(weights);
  });

  it('refuses to resume with another model or other batches, without any change', async () => {
    const before = await readFile(folder.at('pairs/checkpoint.safetensors'));
    const task = { ...pairTask, model: { ...pairModel, dFF: 48 }, data: folder.at('pairs.tsv') };
    await writeFile(folder.at('other.json'), JSON.stringify(task));
    expectFailure(await train('other', 'pairs', '--resume'), /settings differ: model\.dFF: 32 → 48\. /);
    const other = ['--data', folder.at('more.tsv')];
    await writeFile(folder.at('more.tsv'), `${[...pairs, 'b\tB'].join('\n')}\n`);
    expectFailure(await train('pairs', 'pairs', '--resume', '--batch', '100'), /settings differ: batch: 200 → 100\. /);
    expectFailure(await train('pairs', 'pairs', '--resume', ...other), /made with other batches: resume with the same/);
    expect(await readFile(folder.at('pairs/checkpoint.safetensors'))).toEqual(before);
    expect(await log('pairs')).not.toEqual([]);
  });

  it.each<[string, string, RegExp]>([
    ['no pairs', '', /has no pairs, expected/],
    ['a line without a tab', 'word\n', /:1: expected a source, a tab and a target/],
    [
      'a target that is too long',
      `${pairs.join('\n')}\na\t${'AH '.repeat(9)}\n`,
      /the target of "a", with its start, has 10 tokens, but maxLength is 8/,
    ],
    ['too few pairs', 'a\tAH\n', /validation holds out 2 pairs, but there are 1/],
  ])('refuses %s before it starts', async (_, data, message) => {
    await writeFile(folder.at('bad.tsv'), data);
    expectFailure(await train('pairs', 'bad', '--data', folder.at('bad.tsv')), message);
  });

  it('refuses a text that is too short or missing', async () => {
    await writeFile(folder.at('noise.txt'), Uint8Array.of(0x61, 0xff, 0xfe));
    expectFailure(await train('text', 'bad', '--data', folder.at('noise.txt')), /noise\.txt is not text in UTF-8/);
    await writeFile(folder.at('short.txt'), 'too short');
    expectFailure(await train('text', 'bad', '--data', folder.at('short.txt')), /expected more than maxLength, 16/);
  });

  it('names a folder that cannot be created', async () => {
    expectFailure(await train('pairs', 'text.txt/model'), /text\.txt: there is a file of that name/);
  });

  it.runIf(platform() === 'linux')('keeps a checkpoint when the disk is full', async () => {
    await mkdir(folder.at('full'));
    await symlink('/dev/full', folder.at('full/log.jsonl'));
    expectFailure(
      await train('pairs', 'full', '--steps', '100000'),
      /: .*full\/log\.jsonl: its disk is full \(ENOSPC\)$/m,
    );
    expect((await readFile(folder.at('full/checkpoint.safetensors'))).length).toBeGreaterThan(1000);
  });
});

describe('a trained model', () => {
  const model = () => folder.at('pairs');

  it('runs on arguments and on standard input', async () => {
    const [single, several, json] = await Promise.all([
      simdformer(['run', model(), 'AB']),
      simdformer(['run', model(), '--beams', '2'], { input: '\ufeffab\r\n\nba\n' }),
      simdformer(['run', model(), 'ab', '--n-best', '2', '--json']),
    ]);
    expect(single).toEqual({ code: 0, stdout: 'AH B\n', stderr: '' });
    expect(several.stdout).toBe('ab\tAH B\nba\tB AH\n');
    const outputs = JSON.parse(json.stdout) as { input: string; output: string; score: number }[];
    expect(outputs).toHaveLength(2);
    expect(outputs[0]).toMatchObject({ input: 'ab', output: 'AH B' });
    expect(outputs[0]?.score).toBeGreaterThan(outputs[1]?.score as number);
  });

  it('skips lines that it cannot read, and continues', async () => {
    const input = `${'ab\n'.repeat(300)}abc\nba`;
    const [plain, json] = await Promise.all([
      simdformer(['run', model()], { input }),
      simdformer(['run', model(), '--json'], { input: 'abc\n' }),
    ]);
    expect(plain).toMatchObject({ code: 1, stdout: `${'ab\tAH B\n'.repeat(300)}ba\tB AH\n` });
    expect(plain.stderr).toMatch(/^simdformer: line 301 is left out: the model does not know "c"[^\n]+\n$/);
    expect(json).toMatchObject({ code: 1, stdout: '[]\n' });
    const bytes = Buffer.concat([Buffer.from('\ufeffab\r\n'), Buffer.of(0xff, 10), Buffer.from('ba')]);
    const binary = await simdformer(['run', model()], { input: bytes });
    expect(binary).toMatchObject({ code: 1, stdout: 'ab\tAH B\nba\tB AH\n' });
    expect(binary.stderr).toMatch(/line 2 is left out: it is not text in UTF-8/);
  });

  it('quotes text that it cannot read', async () => {
    const [capital, blank] = await Promise.all([
      simdformer(['score', model(), 'AB', 'AH ZZ']),
      simdformer(['run', model(), 'ab', '']),
    ]);
    expectFailure(capital, /does not know "ZZ", character 4 of "AH ZZ"/);
    expectFailure(blank, /text 2 is empty/);
    await writeFile(folder.at('long.tsv'), `ab\tAH B\n${'ab'.repeat(5)}\tAH B\n`);
    const [unknown, empty, long, pair] = await Promise.all([
      simdformer(['run', model(), 'abc']),
      simdformer(['run', model()]),
      simdformer(['run', model(), 'ab', 'ab'.repeat(5)]),
      simdformer(['eval', model(), folder.at('long.tsv')]),
    ]);
    expectFailure(unknown, /does not know "c", character 3 of "abc"/);
    expectFailure(empty, /give texts as arguments or on standard input/);
    for (const each of [long, pair]) {
      expectFailure(each, /"ababababab" has 10 tokens, but the model's maxLength is 8: shorten it/);
    }
  });

  it('is scored, evaluated and described', async () => {
    const [score, evaluation, info] = await Promise.all([
      simdformer(['score', model(), 'ab', 'AH B', '--json']),
      simdformer(['eval', model(), folder.at('pairs.tsv'), '--json']),
      simdformer(['info', model(), '--json']),
    ]);
    const { total, tokens } = JSON.parse(score.stdout);
    expect(tokens.map(({ token }: { token: string }) => token)).toEqual(['AH', 'B', '</s>']);
    expect(total).toBeLessThan(0);
    expect(JSON.parse(evaluation.stdout)).toMatchObject({ count: WORDS.length, wordError: 0, tokenError: 0 });
    expect(JSON.parse(info.stdout)).toMatchObject({ config: { dModel: 16 }, parameters: expect.any(Number) });
  });

  it('is measured on unchanged sources, and on words with any separators', async () => {
    await writeFile(folder.at('capitals.tsv'), 'ab\tAH  B\u00a0\nAB\tAH\u2003B\naB\tB\n');
    const [json, lines] = await Promise.all([
      simdformer(['eval', model(), folder.at('capitals.tsv'), '--outputs', '--json']),
      simdformer(['eval', model(), folder.at('capitals.tsv'), '--outputs']),
    ]);
    const outputs = [{ source: 'aB', targets: ['B'], output: 'AH B' }];
    expect(JSON.parse(json.stdout)).toMatchObject({ count: 3, wordError: 1 / 3, outputs });
    expect(lines.stdout).toMatch(/^aB\tAH B\tB\nword error 33\.33 %/);
  });

  it('draws its attention', async () => {
    const [json, picture, missing] = await Promise.all([
      simdformer(['attention', model(), 'ab', '--json', '-o', folder.at('both.svg')]),
      simdformer(['attention', model(), 'ab', '-o', folder.at('heads.svg')]),
      simdformer(['attention', model(), 'ab', '--layer', '9']),
    ]);
    const { queries, keys, heads } = JSON.parse(json.stdout);
    expect({ queries, keys }).toEqual({ queries: ['<s>', 'AH', 'B'], keys: ['a', 'b'] });
    expect(heads).toHaveLength(2);
    expect(picture.code).toBe(0);
    expect(await readFile(folder.at('both.svg'), 'utf8')).toEqual(await readFile(folder.at('heads.svg'), 'utf8'));
    expect(await readFile(folder.at('heads.svg'), 'utf8')).toContain('layer 1, head 2');
    expectFailure(missing, /the model has no such head: it has 1 layers of 2 heads/);
  });

  it.runIf(platform() === 'linux')('writes a picture, and nothing else, to what is its output', async () => {
    await symlink('/proc/self/fd/1', folder.at('output')); // /dev/stdout is such a link, but tests must not touch it
    const attention = ['attention', model(), 'ab', '-o'];
    const [shown, dash] = await Promise.all([
      simdformer([...attention, folder.at('output')], { stdout: folder.at('shown.svg') }),
      simdformer([...attention, '-']),
      simdformer([...attention, folder.at('named.svg')]),
    ]);
    expect(shown.code).toBe(0);
    expect(dash.stdout).toBe(await readFile(folder.at('named.svg'), 'utf8'));
    expect(await readFile(folder.at('shown.svg'), 'utf8')).toBe(await readFile(folder.at('named.svg'), 'utf8'));
    expect((await lstat(folder.at('output'))).isSymbolicLink()).toBe(true);
  });

  it.runIf(platform() === 'linux')('names what a picture cannot be written to', async () => {
    const [full, none, absent] = await Promise.all(
      ['/dev/full', '', folder.at('absent/heads.svg')].map((out) =>
        simdformer(['attention', model(), 'ab', '-o', out]),
      ),
    );
    expectFailure(full as Ended, /^simdformer: \/dev\/full: its disk is full \(ENOSPC\)$/m);
    expectFailure(none as Ended, /^simdformer: '': there is no such file or folder \(ENOENT\)$/m);
    expectFailure(absent as Ended, /absent\/heads\.svg: there is no such file or folder \(ENOENT\)$/m);
  });

  it.runIf(platform() === 'linux')('shows it in colour on a terminal, unless NO_COLOR is set', async () => {
    const args = argumentsOf(['attention', model(), 'ab', '--head', '1']);
    const onTerminal = ['-c', 'import pty, sys; pty.spawn(sys.argv[1:])', process.execPath, ...args];
    // Only the path of the tests' environment is passed on, because CI, NO_COLOR and other variables decide about colours.
    const { PATH } = process.env;
    const shown = (more: object) =>
      promisify(execFile)('python3', onTerminal, { env: { PATH, TERM: 'xterm-256color', ...more } });
    expect((await shown({})).stdout).toContain('\u001b[48;5;');
    expect((await shown({ NO_COLOR: '1' })).stdout).not.toContain('\u001b');
  });

  it('of characters continues a text, and is measured on one', async () => {
    expect(text.code).toBe(0);
    const [run, evaluation, attention, score] = await Promise.all([
      simdformer(['run', folder.at('text'), 'to be', '--max-tokens', '50']),
      simdformer(['eval', folder.at('text'), folder.at('text.txt'), '--json']),
      simdformer(['attention', folder.at('text'), 'to be']),
      simdformer(['score', folder.at('text'), 'to', 'be']),
    ]);
    expect(run.stdout).toMatch(/^to be.{50}\n$/s); // the model reads 16 at once
    expect(JSON.parse(evaluation.stdout)).toMatchObject({ tokens: TEXT.length - 1, loss: expect.any(Number) });
    expect(attention.stdout).toContain('decoder, layer 1, head 2');
    expect(score.code).toBe(2);
    expect(score.stderr).toContain('this model scores one text, but 2 were given');
  });

  it('that is damaged is refused by name', async () => {
    await mkdir(folder.at('broken'));
    await writeFile(folder.at('broken/config.json'), '{"format":');
    await writeFile(folder.at('broken/model.safetensors'), '');
    await mkdir(folder.at('cut'));
    await writeFile(folder.at('cut/config.json'), await readFile(folder.at('pairs/config.json')));
    const weights = await readFile(folder.at('pairs/model.safetensors'));
    await writeFile(folder.at('cut/model.safetensors'), weights.subarray(0, 1000));
    await mkdir(folder.at('empty'));
    await mkdir(folder.at('folders/config.json'), { recursive: true });
    const run = (name: string) => simdformer(['run', folder.at(name), 'ab']);
    const [broken, cut, empty, folders] = await Promise.all(['broken', 'cut', 'empty', 'folders'].map(run));
    expectFailure(folders as Ended, /folders\/config\.json: it is a folder \(EISDIR\)/);
    expectFailure(broken as Ended, /the model '.*broken' cannot be loaded: config\.json is not JSON/);
    expectFailure(cut as Ended, /the model '.*cut' cannot be loaded: model\.safetensors is damaged: the header/);
    expectFailure(empty as Ended, /contains no model: there is no config\.json/);
  });
});
