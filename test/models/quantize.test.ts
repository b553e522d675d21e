import { expect, it } from 'vitest';
import { AdamW, type Device, quantize, Tensor, Transformer } from '../../src/index.js';
import {
  Embedding,
  Initializer,
  Linear,
  Module,
  PackedEmbedding,
  PackedLinear,
  PackedTiedLinear,
  PackedWeight,
  TiedLinear,
} from '../../src/nn/index.js';
import { relu } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';

const best = () => deviceFor(isas[0] as string, 2);

/** A module of one's own, whose output shares its table. */
class Tied extends Module {
  readonly tokens: Embedding;
  readonly layers: Linear[];
  readonly positions: Embedding;
  readonly head: TiedLinear;

  constructor(device: Device) {
    super();
    const init = new Initializer(device, 1);
    this.tokens = new Embedding(init, 50, 64);
    this.layers = [new Linear(init, 64, 96), new Linear(init, 96, [40, 24])];
    this.positions = new Embedding(init, 8, 64);
    this.head = new TiedLinear(init, this.tokens.weight);
  }

  forward(ids: Tensor): Tensor {
    const x = this.tokens.forward(ids, { positions: this.positions.weight, positionIds: ids });
    return this.head.forward(this.layers.reduce((x, layer) => relu(layer.forward(x)), x));
  }
}

const similarity = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  const dot = (x: ArrayLike<number>, y: ArrayLike<number>) =>
    Array.from(x).reduce((sum, value, i) => sum + value * (y[i] as number), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
};

it.each([
  ['float16', null, 0.999999],
  ['bfloat16', null, 0.9999],
  ['int8', null, 0.9995],
  ['int8', 32, 0.9995],
  ['int4', undefined, 0.98],
] as const)('packs a custom module, %s %s', async (weights, groupSize, min) => {
  const device = await best();
  const before = device.memory().used;
  const model = new Tied(device);
  const outputs = () => device.scope(() => model.forward(device.tensor(Int32Array.of(1, 7, 3))).dataSync());
  const expected = outputs();
  expect(quantize(model, { weights, groupSize })).toBe(model);
  expect(similarity(outputs(), expected)).toBeGreaterThan(min);
  expect(model.tokens).toBeInstanceOf(PackedEmbedding);
  expect(model.layers[0]).toBeInstanceOf(PackedLinear);
  expect(model.head).toBeInstanceOf(PackedTiedLinear);
  expect(model.tokens.weight).toBe(model.head.weight);
  expect(model.tokens.weight).toBeInstanceOf(PackedWeight);
  expect(model.positions.weight).toBeInstanceOf(Tensor);
  expect(model.namedParameters().map(([name]) => name)).toEqual([
    'layers.0.bias',
    'layers.1.bias',
    'positions.weight',
    'head.bias',
  ]);
  model.dispose();
  expect(device.memory().used).toBe(before);
});

it('skips modules by path or by a function', async () => {
  const device = await best();
  const packed = (model: Tied) => [model.tokens, ...model.layers].map(({ weight }) => !(weight instanceof Tensor));
  for (const skip of [['layers.0'], (path: string) => path === 'layers.0']) {
    const model = quantize(new Tied(device), { skip });
    expect(packed(model)).toEqual([true, false, true]);
    model.dispose();
  }
  const model = quantize(new Tied(device), { skip: ['layers'] });
  expect(packed(model)).toEqual([true, false, false]);
  model.dispose();
});

it('the paper’s Transformer generates with packed weights, after a session with float32 weights', async () => {
  const device = await best();
  const model = new Transformer(device, {
    sourceVocab: 40,
    targetVocab: 40,
    dModel: 32,
    heads: 2,
    dFF: 64,
    maxLength: 32,
  }).eval();
  const source = [[5, 6, 7, 8]];
  const float = await model.generate(source, { maxNewTokens: 8 });
  quantize(model, { weights: 'int8', groupSize: 32 });
  const packed = await model.generate(source, { maxNewTokens: 8 });
  expect(packed.sequences).toEqual(float.sequences);
  model.dispose();
});

it('refuses invalid arguments, and optimizers refuse packed weights', async () => {
  const device = await best();
  const model = new Tied(device);
  const options = (given: object) => () => quantize(model, given);
  expect(options({ weights: 'int3' })).toThrow(/"int3", expected one of float16, bfloat16, int8, int4/);
  expect(options({ weights: 'int4', groupSize: 64 })).toThrow(/groupSize is 64, expected 32 for int4/);
  expect(options({ activations: 'int4' } as object)).toThrow(/activations is "int4", expected one of int8, float32/);
  expect(options({ wieghts: 'int8' })).toThrow(/wieghts/);
  expect(() => quantize({} as Module)).toThrow(/expected a Module/);
  quantize(model);
  expect(options({})).toThrow(/tokens is packed already/);
  expect(() => new AdamW([model.tokens.weight])).toThrow(/packed as int8, which has no gradient: train adapters/);
  model.dispose();
});

it('refuses a state dict of a packed model', async () => {
  const model = quantize(new Tied(await best()), { weights: 'int8' });
  expect(() => model.stateDict()).toThrow(/^stateDict: tokens\.weight is packed as int8, which is not a tensor/);
});
