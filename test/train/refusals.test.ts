// Values that callers without types may give, and options that contradict each other.

import { expect, it } from 'vitest';
import { AdamW, ArgumentError, createDevice, type FitOptions, fit, Transformer } from '../../src/index.js';
import { modelCost, profile } from '../../src/inspect/index.js';
import { openSafetensors, saveSafetensors, serializeSafetensors } from '../../src/io/index.js';
import { Initializer, Random } from '../../src/nn/index.js';
import { scale } from '../../src/ops/index.js';
import { clipGradNorm, constant, cosine, lengthBatches, SGD, windowBatches } from '../../src/train/index.js';
import { smallModel } from './task.js';

const device = await createDevice({ threads: 1 });
const model = smallModel(device);
const examples = [{ source: [3], target: [1, 3, 2] }];
const nothing = null as never;
const program = device.record(() => device.zeros([1]));

const watching = (earlyStopping: object): FitOptions => ({
  validate: () => ({ x: 1 }),
  earlyStopping: earlyStopping as never,
});

/** Invalid values of each option of `fit`. */
const options: [keyof FitOptions, unknown, shown: string][] = [
  ['steps', 0, '0, expected a positive integer'],
  ['epochs', Number.NaN, 'NaN, expected a positive number'],
  ['optimizer', 5, '5, expected an optimizer'],
  ['schedule', 1e-3, '0.001, expected a function'],
  ['batchTokens', 0, '0, expected a positive integer'],
  ['gradientAccumulation', 1.5, '1.5, expected a positive integer'],
  ['clipNorm', 0, '0, expected a positive number, or null'],
  ['clipNorm', '1', '"1", expected a positive number, or null'],
  ['zeroStage', 2, '2, expected one of 0, 1'],
  ['wire', 'int8', '"int8", expected one of float32, float16, bfloat16'],
  ['labelSmoothing', 2, '2, expected a number from 0 to 1'],
  ['labelSmoothing', null, 'null, expected a number from 0 to 1'],
  ['ignoreIndex', 0.5, '0.5, expected a 32-bit integer, or null'],
  ['headDiversity', -1, '-1, expected a number, 0 or more'],
  ['rDrop', Number.NaN, 'NaN, expected a number, 0 or more'],
  ['gradientCheckpointing', 'no', '"no", expected true or false'],
  ['seed', -1, '-1, expected an integer, 0 or more'],
  ['validate', 5, '5, expected a function'],
  ['averageLast', 0, '0, expected a positive integer'],
  ['emaDecay', '0.5', '"0.5", expected a number from 0 to below 1'],
  ['checkpoint', 5, '5, expected the path of a file'],
  ['resume', 1, '1, expected true or false'],
  ['signal', new AbortController(), 'an object, expected an AbortSignal'],
  ['onStep', 5, '5, expected a function'],
  ['onValidation', {}, 'an object, expected a function'],
];

it.each(options)('fit: %s is not %s', async (name, value, shown) => {
  const used = device.memory().used;
  const failure = expect(fit(model, examples, { [name]: value })).rejects;
  await failure.toThrow(ArgumentError);
  await failure.toThrow(`fit: ${name} is ${shown}`);
  expect(device.memory().used).toBe(used);
});

/** A model whose loss `fit` would ignore. */
class Halved extends Transformer {
  override loss(...args: Parameters<Transformer['loss']>) {
    return scale(super.loss(...args), 0.5);
  }
}
const sizes = { dModel: 8, heads: 2, encoderLayers: 1, decoderLayers: 1, sourceVocab: 9, targetVocab: 9 };
const halved = new Halved(device, sizes);

const wrong: Record<string, () => unknown> = {
  'fit: the model overrides loss, but fit runs lossInParts: override the generator': () =>
    fit(halved, examples, { steps: 1 }),
  'the examples are null, expected': () => fit(model, nothing),
  'fit: the options are null': () => fit(model, examples, nothing),
  'fit: the options are 300': () => fit(model, examples, 300 as never),
  'fit: the options are an array': () => fit(model, examples, [] as never),
  'example 1 has no target': () => fit(model, [...examples, { source: [3] } as never]),
  'example 0 has no target': () => lengthBatches([nothing]),
  'the examples are null': () => lengthBatches(nothing),
  'fit: headDiversity needs the outputs of heads, which gradientCheckpointing drops': () =>
    fit(model, examples, { headDiversity: 1, gradientCheckpointing: true }),
  'validateEvery is 0': () => fit(model, examples, { validateEvery: 0 }),
  'checkpointEvery is 0.5': () => fit(model, examples, { checkpointEvery: 0.5 }),
  'seed is 1.5': () => fit(model, examples, { seed: 1.5 }),
  'earlyStopping needs validate': () => fit(model, examples, { earlyStopping: { metric: 'loss', patience: 1 } }),
  'earlyStopping.patience is undefined': () => fit(model, examples, watching({ metric: 'x' })),
  'earlyStopping.patience is NaN': () => fit(model, examples, watching({ metric: 'x', patience: Number.NaN })),
  'earlyStopping.patience is 0, expected a positive': () =>
    fit(model, examples, watching({ metric: 'x', patience: 0 })),
  'earlyStopping.metric is undefined': () => fit(model, examples, watching({ patience: 1 })),
  'earlyStopping: there is no option patient, only metric, patience': () =>
    fit(model, examples, watching({ metric: 'x', patient: 1 })),
  'earlyStopping ends with the weights of the best validation, emaDecay with others': () =>
    fit(model, examples, { ...watching({ metric: 'x', patience: 1 }), emaDecay: 0.9 }),
  'earlyStopping ends with the weights of the best validation, averageLast with others': () =>
    fit(model, examples, { ...watching({ metric: 'x', patience: 1 }), averageLast: 2 }),
  'averageLast needs validate': () => fit(model, examples, { averageLast: 2 }),
  'what validate returned: x is "1", expected a number': () =>
    fit(model, examples, { steps: 1, validate: () => ({ x: '1' as never }) }),
  'fit: there is no option step, only steps, epochs': () => fit(model, examples, { step: 2 } as never),
  'SGD: there is no option weight_decay: it is weightDecay here': () =>
    new SGD(model.parameters(), { weight_decay: 0 } as never),
  'AdamW: there is no option betas, only lr': () => new AdamW(model.parameters(), { betas: [0, 0] } as never),
  'AdamW.step: there is no option clip, only lr, maxNorm': () =>
    new AdamW(model.parameters()).step({ clip: 1 } as never),
  'lengthBatches: there is no option size, only tokens, seed': () => lengthBatches(examples, { size: 3 } as never),
  'windowBatches: there is no option batch, only': () => windowBatches([1, 2], { blockSize: 1, batch: 1 } as never),
  'constant: there is no option warmUp: it is warmup here': () => constant(1, { warmUp: 3 } as never),
  'resume needs checkpoint': () => fit(model, examples, { resume: true }),
  'what validate returned': () => fit(model, examples, { steps: 1, validate: () => nothing }),
  'constant: the options are null': () => constant(1, nothing),
  'cosine: the options are undefined': () => cosine(1, undefined as never),
  'SGD: the options are null': () => new SGD(model.parameters(), nothing),
  'AdamW: the options are null': () => new AdamW(model.parameters(), nothing),
  'SGD.step: the options are null': () => new SGD(model.parameters()).step(nothing),
  'AdamW.step: the options are null': () => new AdamW(model.parameters()).step(nothing),
  'clipGradNorm: params is null': () => clipGradNorm(nothing, 1),
  'clipGradNorm: params[0] is undefined': () => clipGradNorm([undefined as never], 1),
  'createDevice: the options are null': () => createDevice(nothing),
  'modelCost: the model is null': () => modelCost(nothing),
  'modelCost: the options are null': () => modelCost(model, nothing),
  'modelCost: source is 0': () => modelCost(model, { source: 0 }),
  'profile: the program is null': () => profile(nothing),
  'profile: runs is 0': () => profile(program, 0),
  'loadStateDict: the tensors are null': () => model.loadStateDict(nothing),
  'loadStateDict: a is null': () => model.loadStateDict({ a: nothing }),
  'openSafetensors: the path is null': () => openSafetensors(nothing),
  'saveSafetensors: the path is undefined': () => saveSafetensors(undefined as never, {}),
  'saveSafetensors: the options are a Promise': () =>
    saveSafetensors('never.safetensors', Promise.resolve({}) as never),
  'loss: the options are a Promise': () => model.loss([[3]], [[1, 3]], Promise.resolve({}) as never),
  'the source of example 0 is a Promise': () => fit(model, [{ source: Promise.resolve([3]), target: [1, 2] } as never]),
  'lengthBatches: example 0 has no target': () => lengthBatches([{ target: 'abc' as never }]),
  'serializeSafetensors: the options are null': () => serializeSafetensors(nothing),
  'AdamW: params is null, expected an array of tensors': () => new AdamW(nothing),
  'AdamW: params is a tensor [2], expected an array of tensors': () => new AdamW(device.zeros([2]) as never),
  'AdamW: params[0] is null, expected a tensor': () => new AdamW([nothing]),
  'lengthBatches: seed is NaN': () => lengthBatches(examples, { seed: Number.NaN }),
  'windowBatches: seed is -1': () => windowBatches([1, 2, 3], { blockSize: 1, batchSize: 1, seed: -1 }),
  'Random: seed is 1.5': () => new Random(1.5),
  'Random: seed is null': () => model.seedDropout(nothing),
  'Initializer: seed is undefined': () => new Initializer(device, undefined as never),
  'load: the options are 5': () => Transformer.load(device, '.', 5 as never),
  'load: there is no option dtype': () => Transformer.load(device, '.', { dtype: 'float16' } as never),
  'createDevice: worker is "no"': () => createDevice({ worker: 'no' as never }),
  'tensor: there is no option requireGrad': () => device.tensor([1], [1], { requireGrad: true } as never),
  'blockSize is 0': () => windowBatches([1, 2, 3], { blockSize: 0, batchSize: 1 }),
  'batchSize is undefined': () => windowBatches([1, 2, 3], { blockSize: 1 } as never),
};

it.each(Object.entries(wrong))('%s', async (message, act) => {
  const failure = expect((async () => act())()).rejects;
  await failure.toThrow(ArgumentError);
  await failure.toThrow(message);
});
