// `simdformer embed` and `classify`, as processes of their own.

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { simdformer, temporaryFolder } from './run-cli.js';

describe('simdformer', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeAll(async () => {
    folder = await temporaryFolder();
    for (const name of ['bert-sequence', 'bert-pooler']) {
      await mkdir(folder.at(name));
      for (const file of ['config.json', 'model.safetensors'])
        await copyFile(`test/data/families/${name}/${file}`, folder.at(`${name}/${file}`));
      for (const file of ['tokenizer.json', 'tokenizer_config.json'])
        await copyFile(`test/tasks/wordpiece/${file}`, folder.at(`${name}/${file}`));
    }
  });
  afterAll(() => folder.remove());

  it('classify prints the class of each line, as text or JSON', async () => {
    const input = 'the cat sat\n\na big dog\n';
    const text = await simdformer(['classify', folder.at('bert-sequence')], { input });
    expect(text.stdout).toMatch(/^(LABEL_\d\t0\.\d{6}\n){3}$/);
    const json = await simdformer(
      ['classify', folder.at('bert-sequence'), '--format', 'jsonl', '--top-k', '4', '--field', 't'],
      { input: '{"t":"the cat sat"}\n' },
    );
    const { text: given, labels } = JSON.parse(json.stdout);
    expect(given).toBe('the cat sat');
    expect(labels.map(({ label }: { label: string }) => label).sort()).toEqual([0, 1, 2, 3].map((i) => `LABEL_${i}`));
    const [label, score] = text.stdout.split(/\s/);
    expect(labels[0].label).toBe(label);
    expect(labels[0].score).toBeCloseTo(Number(score), 5);
    expect(json.stderr).toContain('1 done');
  });

  it('embed writes a NumPy array, and continues with appended lines', async () => {
    const [lines, out] = [folder.at('lines.txt'), folder.at('out.npy')];
    await writeFile(lines, 'the cat sat\na big dog\n');
    const command = ['embed', folder.at('bert-pooler'), lines, '-o', out];
    expect((await simdformer(command)).code).toBe(0);
    const before = await readFile(out);
    expect(before.toString('latin1', 10, 128)).toMatch(/'descr': '<f4'.*'shape': \(2, 32\)/);
    await writeFile(lines, 'the cat sat\na big dog\nAnna lives in Paris');
    const { stderr } = await simdformer(command);
    expect(stderr).toContain('2 were done before');
    const after = await readFile(out);
    expect(after.subarray(128, before.length)).toEqual(before.subarray(128));
    expect(after.length).toBe(128 + 3 * 32 * 4);
    const other = await simdformer([...command, '--normalize']);
    expect(other).toMatchObject({ code: 1, stdout: '' });
    expect(other.stderr).toContain('was made with normalize false');
  });

  it('reports invalid inputs', async () => {
    const nobody = await simdformer(['embed', folder.at('nobody')]);
    expect(nobody).toMatchObject({ code: 1 });
    expect(nobody.stderr).toContain('nobody');
    const array = await simdformer(['embed', folder.at('bert-pooler'), '--format', 'npy'], { input: 'a\n' });
    expect(array.stderr).toContain('give -o');
    const bytes = await simdformer(['embed', folder.at('bert-pooler')], {
      input: Buffer.from([0x61, 0x0a, 0xff, 0x0a]),
    });
    expect(bytes.stderr).toContain('line 2 of standard input is not text in UTF-8');
    const empty = await simdformer(['embed', folder.at('bert-pooler')]);
    expect([empty.code, empty.stderr]).toEqual([1, expect.stringContaining('standard input is empty: give lines')]);
    const untrained = await simdformer(['classify', folder.at('bert-pooler')], { input: 'a\n' });
    expect([untrained.code, untrained.stdout]).toEqual([1, '']);
    expect(untrained.stderr).toMatch(/was not trained for text-classification: its files have no weights of the head/);
    const out = folder.at('no-folder/x.npy');
    const lost = await simdformer(['embed', folder.at('bert-pooler'), '-o', out], { input: 'a\n' });
    expect(lost.stderr).toContain(`${out}: there is no such file or folder`);
    expect((await simdformer(['classify', folder.at('bert-sequence'), '--multi-label'])).code).toBe(2);
  });
});
