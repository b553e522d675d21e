// `train --init`: going on from a saved model with other data.

import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepareTask } from '../../src/cli/tasks.js';
import { CharTokenizer, createDevice, type Device, Transformer } from '../../src/index.js';
import { WordTokenizer } from '../../src/tokenizers/index.js';
import { simdformer, temporaryFolder } from './run-cli.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let device: Device;

const special = { pad: '<pad>', bos: '<s>', eos: '</s>' };
const letters = CharTokenizer.train('abc', { special });
const sounds = WordTokenizer.train('AH B K', { special });
const sizes = { dModel: 16, heads: 2, dFF: 32, maxLength: 8, dropout: 0.25 };
const pairs = 'ab\tAH B\nba\tB AH\nabb\tAH B B\nbba\tB B AH\n';

beforeAll(async () => {
  folder = await temporaryFolder();
  device = await createDevice();
  const vocabularies = { sourceVocab: letters.vocabSize, targetVocab: sounds.vocabSize };
  const model = new Transformer(device, { ...sizes, encoderLayers: 1, decoderLayers: 1, seed: 5, ...vocabularies });
  model.tokenizers = { source: letters, target: sounds };
  await model.save(folder.at('saved'));
  model.tokenizers = {};
  await model.save(folder.at('mute'));
  model.tokenizers = { source: CharTokenizer.train('abcd', { special }) };
  await model.save(folder.at('foreign'));
  model.dispose();
  await writeFile(folder.at('pairs.tsv'), pairs);
});
afterAll(async () => {
  device.dispose();
  await folder.remove();
});

const task = { task: 'pronunciation', validation: 1 } as const;
const prepare = (config: object, data = 'pairs.tsv') =>
  prepareTask(device, { ...task, init: folder.at('saved'), data: folder.at(data), ...config });

describe('train --init', () => {
  it('starts with the sizes, weights and tokenizers of the saved model, even if the data lacks tokens', async () => {
    const { model } = await prepare({ seed: 3 });
    expect(model.config).toMatchObject({ ...sizes, encoderLayers: 1, sourceVocab: 6, targetVocab: 6, seed: 3 });
    expect(model.tokenizers.source?.encode('c')).toEqual(letters.encode('c'));
    const saved = await Transformer.load(device, folder.at('saved'));
    for (const [name, { dataSync }] of Object.entries(saved.stateDict())) {
      expect(model.stateDict()[name]?.dataSync(), name).toEqual(dataSync());
    }
    saved.dispose();
    model.dispose();
  });

  it('accepts another seed, of the model or the task', async () => {
    const { model } = await prepare({ model: { seed: 3 } });
    expect(model.config.seed).toBe(3);
    model.dispose();
  });

  it('accepts another dropout, and equal sizes', async () => {
    const { model } = await prepare({ model: { dropout: 0.5, dModel: 16, positions: 'sinusoidal' } });
    expect(model.config).toMatchObject({ dropout: 0.5, activationDropout: 0.5, dModel: 16 });
    expect(model.dropout.forward(device.tensor(new Float32Array(100).fill(1))).dataSync()).toContain(2);
    model.dispose();
  });

  it.each<[string, object, RegExp]>([
    ['another size', { model: { dFF: 64 } }, /model\.dFF is 64, but the model '.*saved' .* has 32: leave it out/],
    ['other heads', { model: { heads: 1 } }, /model\.heads is 1, but the model '.*saved' .* has 2: leave it out/],
    ['another form', { model: { positions: 'learned' } }, /model\.positions is .*learned.* has .*sinusoidal/],
    ['another task', { task: 'characters', validation: 0 }, /1 encoder and 1 decoder layers, but characters needs/],
    ['no tokenizers', { init: 'mute' }, /'.*mute' was saved without the tokenizers that pronunciation needs/],
    [
      'tokenizers of another model',
      { init: 'foreign' },
      /'.*foreign' has 6 source tokens, but its source tokenizer 7: /,
    ],
    ['no model', { init: 'absent' }, /there is no model '.*absent'/],
  ])('refuses %s', async (_, { init = 'saved', ...config }: { init?: string }, message) => {
    await expect(prepare({ ...config, init: folder.at(init) })).rejects.toThrow(message);
  });

  it('names tokens that the model does not know, in source and target', async () => {
    await writeFile(folder.at('letter.tsv'), `${pairs}abd\tAH B\n`);
    await writeFile(folder.at('sound.tsv'), `${pairs}abc\tAH B D\n`);
    await expect(prepare({ validation: 0 }, 'letter.tsv')).rejects.toThrow(/does not know "d", character 3 of "abd"/);
    await expect(prepare({ validation: 0 }, 'sound.tsv')).rejects.toThrow(/does not know "D", character 6 of "AH B D"/);
  });

  it('is an option of the command and a setting of its file', async () => {
    const settings = { ...task, data: folder.at('pairs.tsv'), steps: 2, batch: 50, validateEvery: 10 };
    await writeFile(folder.at('option.json'), JSON.stringify(settings));
    await writeFile(folder.at('setting.json'), JSON.stringify({ ...settings, init: folder.at('saved') }));
    const ended = await Promise.all([
      simdformer(['train', folder.at('option.json'), '-o', folder.at('a'), '--init', folder.at('saved')]),
      simdformer(['train', folder.at('setting.json'), '-o', folder.at('b')]),
    ]);
    expect(ended.map(({ code }) => code)).toEqual([0, 0]);
    const [a, b] = await Promise.all(['a', 'b'].map((out) => readFile(folder.at(`${out}/model.safetensors`))));
    expect(a).toEqual(b);
    expect(JSON.parse(await readFile(folder.at('a/task.json'), 'utf8')).init).toBe(folder.at('saved'));
  });
});
