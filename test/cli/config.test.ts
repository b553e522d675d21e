import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTask } from '../../src/cli/config.js';
import { ArgumentError } from '../../src/core/errors.js';
import { temporaryFolder } from './run-cli.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

async function fileOf(config: unknown): Promise<string> {
  const path = folder.at('task.json');
  await writeFile(path, typeof config === 'string' ? config : JSON.stringify(config));
  return path;
}

describe('readTask', () => {
  it('knows the built-in tasks', async () => {
    const { steps, epochs, model } = await readTask('characters');
    expect({ steps, epochs }).toEqual({ steps: 2000, epochs: undefined });
    expect(model).toMatchObject({ encoderLayers: 0, decoderLayers: 4, heads: 4, dModel: 128, maxLength: 64 });
    expect((await readTask('pronunciation')).epochs).toBeGreaterThan(1);
  });

  it('lets options of the command change the model, and refuses settings of another task', async () => {
    const both = { encoderLayers: 2, decoderLayers: 2 };
    expect((await readTask('translation', { model: both })).model).toMatchObject({ ...both, dModel: 128 });
    expect((await readTask('characters', { model: both })).model).toMatchObject({ encoderLayers: 0, decoderLayers: 2 });
    await expect(readTask('characters', { vocabSize: 500 })).rejects.toThrow(
      'vocabSize is a setting of translation only, not of characters',
    );
  });

  it('combines the task, a file and command options, setting by setting', async () => {
    const path = await fileOf({
      task: 'pronunciation',
      model: { dModel: 64 },
      schedule: { peak: 0.01 },
      optimizer: { beta2: 0.9 },
      batch: 100,
      seed: 3,
    });
    const { model, schedule, optimizer, batch, seed } = await readTask(path, { seed: 4 });
    expect(model).toMatchObject({ dModel: 64, heads: 4 });
    expect(schedule).toEqual({ kind: 'linear', peak: 0.01 });
    expect(optimizer).toEqual({ beta2: 0.9, eps: 1e-9, weightDecay: 0 });
    expect({ batch, seed }).toEqual({ batch: 100, seed: 4 });
  });

  it('takes steps or epochs from the source with the highest priority', async () => {
    const path = await fileOf({ task: 'characters', epochs: 2 });
    expect(await readTask(path)).toMatchObject({ steps: undefined, epochs: 2 });
    expect(await readTask(path, { steps: 5 })).toMatchObject({ steps: 5, epochs: undefined });
    expect(await readTask('pronunciation', { steps: 5 })).toMatchObject({ steps: 5, epochs: undefined });
  });

  it('reads its own output', async () => {
    const task = await readTask('characters', { data: 'text.txt', seed: 1 });
    expect(await readTask(await fileOf(task))).toEqual(task);
  });

  const task = 'pronunciation';
  it.each<[unknown, RegExp]>([
    ['{"task": ', /is not JSON: /],
    ['[]', /is not a JSON object/],
    ['null', /is not a JSON object/],
    [{}, /task is undefined, expected pronunciation or translation or characters/],
    [{ task: 'x' }, /task is "x", expected pronunciation or translation or characters/],
    [{ task, stepps: 3 }, /there is no setting stepps, only task, data/],
    [{ task, toString: 3 }, /there is no setting toString/],
    [{ task, steps: '3' }, /steps is "3", expected a positive integer/],
    [{ task, steps: 0 }, /steps is 0, expected a positive integer/],
    [{ task, epochs: null }, /epochs is null, expected a positive number/],
    [{ task, steps: 1, epochs: 1 }, /steps and epochs/],
    [{ task, averageLast: 2, emaDecay: 0.9 }, /averageLast and emaDecay/],
    [{ task, data: 3 }, /data is 3, expected the path of a file/],
    [{ task, seed: -1 }, /seed is -1/],
    [{ task, labelSmoothing: 1 }, /labelSmoothing is 1/],
    [{ task, ignoreIndex: 2 ** 31 }, /ignoreIndex is 2147483648, expected a 32-bit integer or null/],
    [{ task, gradientCheckpointing: 1 }, /gradientCheckpointing is 1, expected true or false/],
    [{ task, earlyStopping: { metric: 'wordError', patience: 0 } }, /earlyStopping.patience is 0/],
    [{ task, earlyStopping: { metric: 'wordError' } }, /earlyStopping.patience is undefined, expected a positive/],
    [{ task, earlyStopping: { patience: 3 } }, /earlyStopping.metric is undefined, expected wordError or tokenError/],
    [{ task, earlyStopping: { metric: 'loss', patience: 3 } }, /metric is "loss", expected wordError or tokenError/],
    [{ task: 'characters', earlyStopping: { metric: 'x', patience: 3 } }, /metric is "x", expected loss/],
    [
      { task, earlyStopping: { metric: 'wordError', patience: 3 }, averageLast: 2 },
      /earlyStopping ends with the weights of the best validation, averageLast with others/,
    ],
    [{ task, seed: 1.5 }, /seed is 1.5, expected an integer, 0 or more/],
    [{ task, model: { dropout: '0.1' } }, /model: dropout is "0.1", expected a number/],
    [{ task, model: { encoderLayers: 0 } }, /0 encoder and 4 decoder layers, but pronunciation needs/],
    [{ task: 'characters', model: { encoderLayers: 1 } }, /characters needs decoder layers alone/],
    [{ task, clipNorm: 'none' }, /clipNorm is "none", expected a positive number or null/],
    [{ task, validation: 0.1 }, /validation is 0.1, expected an integer/],
    [{ task: 'characters', validation: 3 }, /validation is 3, expected a number from 0 to below 1/],
    [{ task, schedule: 'cosine' }, /schedule is "cosine", expected an object/],
    [{ task, schedule: { kind: 'cos' } }, /schedule.kind is "cos", expected constant or cosine/],
    [{ task, schedule: { peak: '1' } }, /schedule.peak is "1"/],
    [{ task, optimizer: { beta3: 1 } }, /there is no setting optimizer.beta3, only beta1/],
    [{ task, optimizer: { beta1: 1 } }, /optimizer.beta1 is 1/],
    [{ task, model: [] }, /model is \[\], expected an object/],
    [{ task, model: { dmodel: 1 } }, /model: there is no option dmodel of a model/],
    [{ task, model: { dModel: '128' } }, /model: dModel is "128", expected a number/],
    [{ task: 'characters', model: { sourceVocab: 'x' } }, /model: sourceVocab is "x", expected a number/],
    [{ task, model: { heads: 3 } }, /dModel is 128, expected a multiple of heads, 3/],
  ])('refuses %j', async (config, message) => {
    const path = await fileOf(config);
    await expect(readTask(path)).rejects.toThrow(ArgumentError);
    await expect(readTask(path)).rejects.toThrow(message);
  });

  it('reads a file with a byte order mark', async () => {
    expect(await readTask(await fileOf('\ufeff{"task": "characters", "steps": 3}'))).toMatchObject({ steps: 3 });
  });

  it('refuses a task that is neither a name nor a file', async () => {
    await expect(readTask('pronounciation')).rejects.toThrow(/'pronounciation' is neither a task \(pronunciation/);
    await expect(readTask('__proto__')).rejects.toThrow(ArgumentError);
    await expect(readTask(folder.at('missing.json'))).rejects.toThrow(/ENOENT/);
  });
});
