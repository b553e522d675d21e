// JavaScript users have no compiler: constructors of nn/ answer wrong arguments with errors of this package, never with a TypeError.
import { expect, it } from 'vitest';
import { ArgumentError, SimdformerError } from '../../src/index.js';
import * as nn from '../../src/nn/index.js';
import { deviceFor, isas } from '../describe-op.js';

const device = await deviceFor(isas[0] as string, 1);
const init = new nn.Initializer(device, 1);
const randomness = { seed: 0, streams: 0 };
const attention = () => new nn.MultiHeadAttention(init, { dModel: 4, heads: 2 });
const feedForward = () => new nn.FeedForward(init, { dModel: 4, dFF: 8 });
const norm = () => new nn.LayerNorm(init, 4);
const layer = () => new nn.TransformerLayer({ selfAttn: attention, feedForward, norm });
const table = device.unscoped(() => device.zeros([6, 4]));

/** Arguments that are right, by class. */
const RIGHT: Readonly<Record<string, readonly unknown[]>> = {
  Initializer: [device, 1],
  Random: [1, 2],
  Linear: [init, 4, 8, true],
  TiedLinear: [init, table, true],
  Embedding: [init, 6, 4],
  LayerNorm: [init, 4, 1e-5, true],
  RMSNorm: [init, 4, 1e-6, 0],
  HeadNorm: [init, 2, 2],
  IdentityNorm: [],
  LayerScale: [init, 4, 1],
  ConstantScale: [2],
  Dropout: [0.1, randomness],
  DropPath: [0.1, randomness],
  LayerDrop: [0.1, randomness],
  Conv1d: [init, { inputs: 4, outputs: 8, kernel: 3, stride: 1, bias: true }],
  Conv2d: [init, { inputs: 4, outputs: 8, kernel: [3, 3], stride: 1, bias: true }],
  CrossAttention: [init, { dModel: 4, heads: 2, memorySize: 6 }],
  MultiHeadAttention: [init, { dModel: 4, heads: 2, rotary: null, dropout: null, qNorm: norm, window: 2 }],
  FeedForward: [init, { dModel: 4, dFF: 8, dropout: null }],
  TransformerLayer: [{ selfAttn: attention, feedForward, norm, multiheadAttn: attention, randomness }],
  Stack: [2, layer, norm, { projection: () => new nn.Linear(init, 4, 4), dropout: null }],
  PatchEmbedding: [
    init,
    { channels: 3, image: [4, 4], patch: [2, 2], dModel: 4, bias: true, classToken: true, interpolate: false },
  ],
  DistanceBias: [init, 2, 4],
  BucketBias: [init, { heads: 2, buckets: 4, maxDistance: 8, bidirectional: true }],
  LinearBias: [init, 2, 8, 1],
  RelativeVectors: [init, 2, 4],
  RotaryEmbedding: [init, { headSize: 4, maxLength: 8 }],
  SelfAttention: [init, 4],
  AdditiveAttention: [init, 4, 4, 8],
  Sequences: [device, [2, 3]],
};

const WRONG = [undefined, null, 'x', -1, 0.5, Number.NaN, {}, [], [1, 'x'], () => undefined, norm(), Symbol('s')];

function expectTyped(name: string, args: readonly unknown[]): void {
  const Type = (nn as unknown as Record<string, new (...args: readonly unknown[]) => unknown>)[name]!;
  try {
    new Type(...args);
  } catch (error) {
    expect(error, `${name}: ${(error as Error).message}`).toBeInstanceOf(SimdformerError);
  }
}

it.each(Object.keys(RIGHT))('%s', (name) => {
  const right = RIGHT[name]!;
  const Type = (nn as unknown as Record<string, new (...args: readonly unknown[]) => unknown>)[name]!;
  expect(() => new Type(...right)).not.toThrow();
  expectTyped(name, []);
  for (const [i, own] of right.entries())
    for (const wrong of WRONG) {
      expectTyped(name, [...right.slice(0, i), wrong, ...right.slice(i + 1)]);
      if (typeof own !== 'object' || own === null || own instanceof nn.Module || Array.isArray(own)) continue;
      for (const key of Object.keys(own))
        expectTyped(name, [...right.slice(0, i), { ...own, [key]: wrong }, ...right.slice(i + 1)]);
    }
});

it('the error of a constructor names the given value and the expected one', () => {
  const make =
    (...args: unknown[]) =>
    () =>
      new nn.Stack(...(args as ConstructorParameters<typeof nn.Stack>));
  expect(make(2, layer, norm())).toThrow(/^Stack: norm is a module, expected null or a function that makes it/);
  expect(make(2, layer())).toThrow(/^Stack: layer is a module, expected a function that makes it/);
  expect(make(2, () => norm(), null)).toThrow(/^Stack: layer\(0\) made a module, expected a TransformerLayer/);
  expect(make([layer()], layer, null)).toThrow(ArgumentError);
  const parts = { selfAttn: attention, feedForward, norm };
  const made = (others: object) => () => new nn.TransformerLayer({ ...parts, ...others } as nn.LayerParts);
  expect(made({ norm: norm() })).toThrow(/TransformerLayer: norm is a module, expected a function/);
  expect(made({ selfAttn: () => undefined })).toThrow(
    /TransformerLayer: selfAttn made undefined, expected a MultiHeadAttention/,
  );
  expect(() => new nn.Dropout(0.1, undefined as never)).toThrow(/Dropout: randomness is undefined, expected .*streams/);
});
