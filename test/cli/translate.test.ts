// `simdformer translate`, as a process of its own, beside what transformers writes (test/tasks/make_media.py).
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { simdformer, temporaryFolder } from './run-cli.js';

describe('simdformer translate', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let expected: string[];
  beforeAll(async () => {
    folder = await temporaryFolder();
    await mkdir(folder.at('mbart'));
    for (const file of ['config.json', 'generation_config.json', 'model.safetensors'])
      await copyFile(`test/data/families/mbart/${file}`, folder.at(`mbart/${file}`));
    const { texts } = JSON.parse(await readFile('test/tasks/media.json', 'utf8'));
    const { tokenizer, output } = texts.find(({ model }: { model: string }) => model === 'mbart');
    await writeFile(folder.at('mbart/tokenizer.json'), JSON.stringify(tokenizer));
    expected = output;
  });
  afterAll(() => folder.remove());

  it('writes a line for each line', async () => {
    const command = ['translate', folder.at('mbart'), '--from', 'de_DE', '--to', 'ro_RO', '--max-new-tokens', '10'];
    const { stdout } = await simdformer(command, { input: 'w20 w31 w45\n\nw50\n' });
    expect(stdout).toBe(`${expected[0]}\n\n${expected[1]}\n`);
    const wrong = await simdformer(['translate', folder.at('mbart'), '--to', 'tlh'], { input: 'w50\n' });
    expect(wrong).toMatchObject({ code: 1, stdout: '' });
    expect(wrong.stderr).toContain('tgt_lang is tlh, expected one of en_XX, ro_RO, de_DE');
  });
});
