// Preparation of a training.

import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTask, type TaskConfig } from '../../src/cli/config.js';
import { prepareTask } from '../../src/cli/tasks.js';
import { createDevice, type Device } from '../../src/index.js';
import { temporaryFolder } from './run-cli.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let device: Device;

const words = Array.from({ length: 40 }, (_, i) => [...`${i + 10}`].map((digit) => 'abcdefghij'[+digit]).join(''));
const pairs = words.map((word) => `${word}\t${[...word].join(' ')}`);
const model = { dModel: 16, heads: 2, dFF: 32, encoderLayers: 1, decoderLayers: 1, maxLength: 8 };

beforeAll(async () => {
  folder = await temporaryFolder();
  device = await createDevice({ threads: 1 });
  await writeFile(folder.at('pairs.tsv'), `${pairs.join('\n')}\n`);
});
afterAll(async () => {
  device.dispose();
  await folder.remove();
});

async function prepare(config: Partial<TaskConfig>, lines = pairs) {
  await writeFile(folder.at('pairs.tsv'), `${lines.join('\n')}\n`);
  const given = { task: 'pronunciation', model, data: folder.at('pairs.tsv'), validation: 2, batch: 40, ...config };
  await writeFile(folder.at('task.json'), JSON.stringify(given));
  return prepareTask(device, await readTask(folder.at('task.json')));
}

describe('a task', () => {
  it('uses all data once per epoch, for any number of batches per step', async () => {
    const { batches, steps } = await prepare({ epochs: 3 });
    const accumulated = await prepare({ epochs: 3, gradientAccumulation: 4 });
    expect(steps).toBe(3 * batches.perEpoch);
    expect(accumulated.steps).toBe(Math.ceil((3 * batches.perEpoch) / 4));
  });

  it('warms up for the given steps, by default at most a quarter of them', async () => {
    const schedule = { kind: 'constant', peak: 1 } as const;
    expect((await prepare({ steps: 40, schedule })).schedule(5)).toBe(0.5);
    expect((await prepare({ steps: 40, schedule: { ...schedule, warmup: 20 } })).schedule(5)).toBe(0.25);
    expect((await prepare({ steps: 5000, schedule })).schedule(500)).toBe(0.5);
  });

  it('has a fingerprint that depends on all data, including held-out data', async () => {
    const fingerprintOf = async (lines: string[]) => (await prepare({}, lines)).batches.fingerprint;
    const all = await Promise.all([fingerprintOf(pairs)]);
    for (let i = 0; i < pairs.length; i++) {
      const [source, target] = pairs[i]!.split('\t') as [string, string];
      const changed = pairs.with(i, `${source}\t${[...target].reverse().join('')}`);
      if (changed[i] !== pairs[i]) all.push(await fingerprintOf(changed));
    }
    expect(new Set(all).size).toBe(all.length);
    expect(all.length).toBeGreaterThan(30);
  });

  it('refuses pairs that are too long, including held-out ones', async () => {
    const long = words.map((word) => `${word.repeat(5)}\ta`);
    await expect(prepare({}, [...pairs.slice(0, 2), ...long])).rejects.toThrow(/has 10 tokens, but maxLength is 8/);
    for (let i = 0; i < pairs.length; i++) {
      const lines = pairs.with(i, `${words[i]!.repeat(5)}\ta`);
      await expect(prepare({}, lines)).rejects.toThrow(`"${words[i]!.repeat(5)}" has 10 tokens, but maxLength is 8`);
    }
    const endless = `${words[0]!.repeat(5000)}\ta`; // a file that is none of pairs
    const named = new RegExp(`^"${words[0]!.repeat(19)}.…" has 10000 tokens, but maxLength is 8: `);
    await expect(prepare({}, [...pairs, endless])).rejects.toThrow(named);
  });

  it("initializes its model by the model's seed, or else by the task's", async () => {
    const seedOf = async (config: object, seed?: number) =>
      (await prepare({ model: { ...model, ...config }, ...(seed !== undefined && { seed }) })).model.config.seed;
    expect(await seedOf({ seed: 3 })).toBe(3);
    expect(await seedOf({}, 4)).toBe(4);
    expect(await seedOf({ seed: 3 }, 4)).toBe(4);
  });

  it('refuses vocabularies and ids that are not those of its data', async () => {
    await prepare({ model: { ...model, sourceVocab: 13, bosId: 1 } });
    for (const [option, value] of Object.entries({ sourceVocab: 5000, targetVocab: 3, padId: 7, bosId: 7, eosId: 7 })) {
      const refused = new RegExp(`model\\.${option} is ${value}, but the data require \\d+: omit it`);
      await expect(prepare({ model: { ...model, [option]: value } })).rejects.toThrow(refused);
    }
  });

  it('gives a model of characters no special tokens, and accepts files that say so', async () => {
    await writeFile(folder.at('text.txt'), 'abcab'.repeat(30));
    const characters = { task: 'characters', data: folder.at('text.txt') };
    const none = { padId: null, bosId: null, eosId: null };
    for (const given of [{}, none]) {
      await writeFile(folder.at('task.json'), JSON.stringify({ ...characters, model: given }));
      const { model: made } = await prepareTask(device, await readTask(folder.at('task.json')));
      expect(made.config).toMatchObject(none);
      expect([made.startId, made.endIds]).toEqual([null, []]);
    }
    await writeFile(folder.at('task.json'), JSON.stringify({ ...characters, model: { eosId: 2 } }));
    const refused = readTask(folder.at('task.json')).then((task) => prepareTask(device, task));
    await expect(refused).rejects.toThrow('model.eosId is 2, but the data require null: omit it');
  });

  it('measures a text as it is trained, without ignored labels', async () => {
    await writeFile(folder.at('text.txt'), 'abcab'.repeat(30));
    const prepareText = async (ignoreIndex?: number) => {
      const given = {
        task: 'characters',
        model: { ...model, encoderLayers: 0 },
        data: folder.at('text.txt'),
        ignoreIndex,
      };
      await writeFile(folder.at('task.json'), JSON.stringify(given));
      return prepareTask(device, await readTask(folder.at('task.json')));
    };
    const [all, none, some] = [await prepareText(), await prepareText(-100), await prepareText(0)];
    const [a, b, c] = await Promise.all([all, none, some].map(({ validate }) => validate!(1)));
    expect(b).toEqual(a);
    expect(c!.loss).not.toBe(a!.loss);
  });

  it('refuses options that need validations if nothing is held out', async () => {
    const refused = /needs validations, but validation is 0/;
    await expect(prepare({ validation: 0, averageLast: 2 })).rejects.toThrow(refused);
    const earlyStopping = { metric: 'wordError', patience: 2 };
    await expect(prepare({ validation: 0, earlyStopping })).rejects.toThrow(refused);
  });
});
