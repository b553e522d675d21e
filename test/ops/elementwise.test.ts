// PyTorch's values and gradients at special arguments: elementwise.jsonl, written by make_elementwise.py.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../src/index.js';
import * as ops from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';

interface Case {
  readonly name: string;
  readonly inputs: readonly (readonly string[])[];
  readonly shapes: readonly (readonly number[])[];
  readonly output: readonly string[];
  readonly shape: readonly number[];
  readonly gradients: readonly (readonly string[] | null)[];
}

const lines = readFileSync(new URL('./elementwise.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n');
const cases = lines.map((line) => JSON.parse(line) as Case);

type Call = (...inputs: Tensor[]) => Tensor;
const calls = {
  ...(ops as unknown as Record<string, Call>),
  clamp: (x: Tensor) => ops.clamp(x, { min: -1, max: 2 }),
  clampMin: (x: Tensor) => ops.clamp(x, { min: 0.5 }),
  max: (x: Tensor) => ops.max(x, { axis: 1 }),
  min: (x: Tensor) => ops.min(x, { axis: 0 }),
  'max all': (x: Tensor) => ops.max(x),
  cumsum: (x: Tensor) => ops.cumsum(x, { axis: 0 }),
  topk: (x: Tensor) => ops.topk(x, 2).values,
  'topk least': (x: Tensor) => ops.topk(x, 2, { largest: false }).values,
  norm: (x: Tensor) => ops.norm(x, { axis: 1 }),
  'norm 1': (x: Tensor) => ops.norm(x, { axis: 1, ord: 1 }),
  'norm inf': (x: Tensor) => ops.norm(x, { axis: 1, ord: Infinity }),
  variance: (x: Tensor) => ops.variance(x, { axis: 1 }),
  'variance 0': (x: Tensor) => ops.variance(x, { axis: 1, correction: 0 }),
  std: (x: Tensor) => ops.std(x, { axis: 1 }),
  elu: (x: Tensor) => ops.elu(x, { alpha: 1.5 }),
  leakyRelu: (x: Tensor) => ops.leakyRelu(x, { negativeSlope: 0.2 }),
  softplus: (x: Tensor) => ops.softplus(x, { beta: 2, threshold: 5 }),
  gelu: (x: Tensor) => ops.gelu(x),
  geluTanh: (x: Tensor) => ops.gelu(x, { approximate: 'tanh' }),
  'l1Loss sum': (x: Tensor, t: Tensor) => ops.l1Loss(x, t, { reduction: 'sum' }),
  'smoothL1Loss none': (x: Tensor, t: Tensor) => ops.smoothL1Loss(x, t, { reduction: 'none', beta: 0.75 }),
  bceWithLogits: (x: Tensor, t: Tensor, weight: Tensor, posWeight: Tensor) =>
    ops.bceWithLogits(x, t, { weight, posWeight }),
  'klDiv batchmean': (x: Tensor, t: Tensor) => ops.klDiv(x, t, { reduction: 'batchmean' }),
  'klDiv log': (x: Tensor, t: Tensor) => ops.klDiv(x, t, { logTarget: true }),
} as Record<string, Call>;

const numbers = (texts: readonly string[]) =>
  texts.map((text) => Number(text.replace('inf', 'Infinity').replace('nan', 'NaN')));

/** Equal, or float32 within a few units in the last place; 1e-6 of what the largest is, for results that cancel. */
function expectNear(what: string, actual: ArrayLike<number>, expected: readonly number[]) {
  expect(actual.length, what).toBe(expected.length);
  expected.forEach((value, i) => {
    const got = actual[i]!;
    if (Object.is(got, value) || got === value) return;
    const near = Math.abs(got - value) <= 1e-6 * Math.max(1, Math.abs(value));
    expect(near, `${what}[${i}]: ${got}, by PyTorch ${value}`).toBe(true);
  });
}

describe.each(isas)('%s gives what PyTorch does', (isa) => {
  it.each(cases)('$name', async ({ name, inputs, shapes, output, shape, gradients }) => {
    const device = await deviceFor(isa, 1);
    const tensors = inputs.map((values, i) => {
      const tensor = device.tensor(Float32Array.from(numbers(values)), shapes[i]!);
      tensor.requiresGrad = gradients[i] !== null;
      return tensor;
    });
    const power = name.startsWith('pow ') ? Number(name.slice(4)) : null;
    const y = power === null ? calls[name]!(...tensors) : ops.pow(tensors[0]!, power);
    expect(y.shape).toEqual(shape);
    expectNear(name, await y.data(), numbers(output));
    y.backward(Float32Array.from({ length: y.size }, (_, i) => i + 1));
    for (const [i, expected] of gradients.entries())
      if (expected) expectNear(`${name}: gradient ${i}`, await tensors[i]!.grad!.data(), numbers(expected));
  });
});
