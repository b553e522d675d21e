// A program of transformers.js per pipeline, with another import, beside what transformers.js returned.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AutoModelForSequenceClassification, AutoTokenizer, env, HostTensor, pipeline } from '../../src/tasks/index.js';
import { testData } from '../test-data.js';
import { expectAlike } from './alike.js';
import { writeModels } from './program-models.js';
import results from './programs/results.json' with { type: 'json' };
import { type Pipeline, plain, programs } from './programs.js';

const models = mkdtempSync(join(tmpdir(), 'programs-'));
const defaults = { ...env };
beforeAll(() => {
  writeModels(models);
  env.localModelPath = models;
  env.allowRemoteModels = false;
});
afterAll(() => {
  Object.assign(env, defaults);
  rmSync(models, { recursive: true });
});

const picture = (name: string) => fileURLToPath(new URL(`programs/${name}.png`, import.meta.url));
const pictures = { small: picture('small'), square: picture('square') };

describe('a program of transformers.js', () => {
  it.each(Object.keys(programs))('of %s has its results', async (task) => {
    const actual = await programs[task]!(pipeline as unknown as Pipeline, pictures);
    expectAlike(plain(actual), (results as Record<string, unknown>)[task], task);
  });

  it('chooses an ONNX file by its folder, its name and its dtype', async () => {
    const onnx = testData('formats/onnx');
    const folder = join(models, 'org/named');
    mkdirSync(join(folder, 'graphs'), { recursive: true });
    writeFileSync(join(folder, 'config.json'), await onnx.bytes('bert-sequence/config.json'));
    const bytes = await onnx.bytes('bert-sequence/onnx/model_quantized.onnx');
    writeFileSync(join(folder, 'graphs/classifier_quantized.onnx'), bytes);
    const options = { dtype: 'q8', session_options: { logSeverityLevel: 3 }, use_external_data_format: false } as const;
    const place = { subfolder: 'graphs', model_file_name: 'classifier', local_files_only: true };
    const model = await AutoModelForSequenceClassification.from_pretrained('org/named', { ...options, ...place });
    const input_ids = new HostTensor(BigInt64Array.of(2n, 9n, 5n, 3n), [1, 4]);
    const { logits } = await model({ input_ids });
    const usual = await AutoModelForSequenceClassification.from_pretrained(`${onnx.path}/bert-sequence`, options);
    expect(logits!.tolist()).toEqual((await usual({ input_ids })).logits!.tolist());
    await Promise.all([model.dispose(), usual.dispose()]);
    const wrong = AutoModelForSequenceClassification.from_pretrained('org/named', { ...place, dtype: 'fp16' });
    await expect(wrong).rejects.toThrow(/has no ONNX files graphs\/classifier for dtype "fp16"|has no weights/);
  });

  it('sets its environment, and uses no hub on request', async () => {
    env.useBrowserCache = false;
    env.logLevel = 50;
    env.allowRemoteModels = true;
    const given = { local_files_only: true };
    await expect(pipeline('fill-mask', 'org/none', given)).rejects.toThrow('local_files_only is true');
    await expect(AutoTokenizer.from_pretrained('org/none', given)).rejects.toThrow('local_files_only is true');
    env.allowRemoteModels = false;
  });

  it('is refused by name for a task that is not there', async () => {
    await expect(pipeline('image-to-video' as never, 'org/vits')).rejects.toThrow('the task is "image-to-video"');
  });
});
