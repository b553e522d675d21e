// LoRA on a model of each kind of sounds and images: the loss falls, only the adapter changes, and its file loads again.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type LoraOptions, loadLora, lora } from '../../src/finetune/index.js';
import { AdamW, type Tensor } from '../../src/index.js';
import type { ModelInputs, ModelOutput } from '../../src/models/inputs.js';
import { Dropout } from '../../src/nn/dropout.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { inputsOf, referenceOf } from './reference.js';

const data = testData('families');
const device = await deviceFor(isas[0] as string, 2);
const temporary = mkdtempSync(join(tmpdir(), 'simdformer-lora-kinds-'));
afterAll(() => rmSync(temporary, { recursive: true }));

/** Objects of two images: class and [centre x, centre y, width, height], as shares of the image. */
const objects = [
  { classLabels: [1, 3], boxes: [0.3, 0.4, 0.2, 0.3, 0.6, 0.5, 0.4, 0.2] },
  { classLabels: [0], boxes: [0.5, 0.4, 0.3, 0.3] },
].map(({ classLabels, boxes }) => ({
  classLabels,
  boxes: classLabels.map((_, i) => boxes.slice(4 * i, 4 * i + 4) as [number, number, number, number]),
}));

interface Kind {
  readonly name: string;
  readonly options?: LoraOptions;
  readonly labels?: ModelInputs['labels'];
  /** The result that is compared after the adapter was loaded again. Default: logits. */
  readonly result?: keyof ModelOutput;
}

const kinds: Record<string, Kind> = {
  'a CTC model': { name: 'wav2vec2', options: { targets: 'all-linear' } },
  'a writer of speech': { name: 'moonshine' },
  'a speaker': { name: 'speecht5', result: 'spectrogram' },
  'sounds and texts': { name: 'clap', options: { targets: 'all-linear' }, result: 'logitsPerAudio' },
  'a detector': { name: 'detr', labels: objects },
  'a detector with deformable attention': { name: 'rt_detr', options: { targets: 'all-linear' }, labels: objects },
  'a segmentation model': { name: 'segformer', options: { targets: 'all-linear' } },
  'a classifier of images': { name: 'swin', options: { targets: 'all-linear' } },
  'images in a conversation': { name: 'smolvlm' },
  'a writer about images': { name: 'trocr' },
};

describe.each(Object.entries(kinds))('%s', (_, { name, options = {}, labels, result = 'logits' }) => {
  const load = () => loadModel(device, join(data.path, name), { onWarning: (text) => expect(text).toBe('') });

  it('learns by its adapter alone, and the file gives the same', async () => {
    using model = await load();
    const given = inputsOf(device, await referenceOf(data, name));
    const inputs = labels ? { ...given, labels } : given;
    const base = model.namedTensors().map(([, tensor]) => tensor); // with the statistics of batch normalization
    const values = await Promise.all(base.map((tensor) => tensor.data()));
    const before = await resultOf(model, inputs, result);
    const adapter = lora(model, { r: 4, alpha: 8, ...options });
    expect(model.parameters().filter(({ requiresGrad }) => requiresGrad)).toEqual(adapter.parameters());
    const losses = await train(model, inputs, adapter.parameters());
    expect(losses.at(-1)).toBeLessThan(0.97 * (losses[0] as number));
    for (const [i, tensor] of base.entries()) expect(await tensor.data()).toEqual(values[i]);
    const trained = await resultOf(model, inputs, result);
    expect(trained).not.toEqual(before);
    const folder = join(temporary, name);
    await adapter.save(folder);
    using again = await load();
    await loadLora(again, folder);
    expect(await resultOf(again, inputs, result)).toEqual(trained);
  });
});

async function resultOf(model: LoadedModel, inputs: ModelInputs, name: keyof ModelOutput): Promise<Float32Array> {
  return (await device.noGrad(() => model.forward(inputs)[name] as Tensor).data()) as Float32Array;
}

async function train(model: LoadedModel, inputs: ModelInputs, params: Tensor[]): Promise<number[]> {
  using optimizer = new AdamW(params, { lr: 0.01, weightDecay: 0 });
  const losses: number[] = [];
  model.train();
  for (const module of model.modules()) if (module instanceof Dropout) module.eval(); // the losses are compared
  for (let step = 0; step < 12; step++) {
    const loss = device.scope(() => {
      const own = model.forward(inputs).loss as Tensor;
      own.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return own;
    });
    losses.push(await loss.item());
  }
  model.eval();
  return losses;
}
