import { describe, expect, it } from 'vitest';
import { ArgumentError, DTypeError, type Tensor } from '../../src/index.js';
import * as ops from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';

const even = (x: number) => {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
};

type Function = readonly [op: (x: Tensor) => Tensor, f: (x: number) => number, low: number, high: number];
const functions: Record<string, Function> = {
  exp: [ops.exp, Math.exp, -8, 8],
  log: [ops.log, Math.log, 0.25, 100],
  sqrt: [ops.sqrt, Math.sqrt, 0.25, 100],
  rsqrt: [ops.rsqrt, (x) => 1 / Math.sqrt(x), 0.25, 100],
  neg: [ops.neg, (x) => -x, -3, 3],
  sin: [ops.sin, Math.sin, -20, 20],
  cos: [ops.cos, Math.cos, -20, 20],
  abs: [ops.abs, Math.abs, -3, 3],
  pow: [(x) => ops.pow(x, 2.5), (x) => x ** 2.5, 0.25, 10],
  cube: [(x) => ops.pow(x, 3), (x) => x ** 3, -3, 3],
  clamp: [(x) => ops.clamp(x, { min: -1, max: 2 }), (x) => Math.min(2, Math.max(-1, x)), -3, 3],
  elu: [(x) => ops.elu(x, { alpha: 1.5 }), (x) => (x > 0 ? x : 1.5 * Math.expm1(x)), -3, 3],
  leakyRelu: [(x) => ops.leakyRelu(x, { negativeSlope: 0.2 }), (x) => (x > 0 ? x : 0.2 * x), -3, 3],
  softplus: [(x) => ops.softplus(x, { beta: 2 }), (x) => Math.log1p(Math.exp(2 * x)) / 2, -5, 5],
};

for (const [name, [op, f, low, high]] of Object.entries(functions)) {
  describeOp({
    name,
    cases: [...edges().map((size) => [size]), [3, 5, 7], [9001]],
    inputs: (shape, random) => ({ x: random.uniform(shape, low, high) }),
    forward: ({ x }) => op(x),
    reference: ({ x }) => ({ shape: x.shape, data: x.data.map(f) }),
    gradients: ['x'],
  });
}

for (const [name, op, f] of [
  ['floor', ops.floor, Math.floor],
  ['round', ops.round, even],
  ['sign', ops.sign, Math.sign],
] as const) {
  describeOp({
    name,
    cases: edges(),
    inputs: (n, random) => ({ x: random.uniform([2, n], -9, 9) }),
    forward: ({ x }) => op(x),
    reference: ({ x }) => ({ shape: x.shape, data: x.data.map(f) }),
    gradients: ['x'],
    gradient: ({ x }) => ({ x: new Float64Array(x.data.length) }),
  });
}

/** The distance in units in the last place of float32 near `expected`. */
function ulps(actual: number, expected: number): number {
  if (Object.is(actual, Math.fround(expected))) return 0;
  const exponent = Math.max(-126, Math.floor(Math.log2(Math.abs(expected))));
  return Math.abs(actual - expected) / 2 ** (exponent - 23);
}

/** Many floats, of all sizes from 2^low to 2^high and of both signs unless they are to be positive. */
function spread(low: number, high: number, positive: boolean): Float32Array {
  return Float32Array.from({ length: 20_001 }, (_, i) => {
    const size = 2 ** (low + ((high - low) * i) / 20_000) * (1 + ((i * 0.618) % 1));
    return positive || i % 2 === 0 ? size : -size;
  });
}

describe.each(isas)('%s is accurate', (isa) => {
  const wide: [name: string, op: (x: Tensor) => Tensor, f: (x: number) => number, values: Float32Array, ulp: number][] =
    [
      ['exp', ops.exp, Math.exp, spread(-20, 6, false).filter((x) => x > -87 && x < 88), 1.5],
      ['log', ops.log, Math.log, spread(-149, 127, true), 1.5],
      ['sqrt', ops.sqrt, Math.sqrt, spread(-149, 127, true), 0.51],
      ['rsqrt', ops.rsqrt, (x) => 1 / Math.sqrt(x), spread(-126, 127, true), 1.5],
      ['pow(x, 1/3)', (x) => ops.pow(x, 1 / 3), (x) => x ** Math.fround(1 / 3), spread(-149, 127, true), 0.6],
      ['pow(x, -7)', (x) => ops.pow(x, -7), (x) => x ** -7, spread(-17, 17, false), 0.6],
      ['pow(x, 30.5)', (x) => ops.pow(x, 30.5), (x) => x ** 30.5, spread(-4, 4, true), 0.6],
      ['elu', (x) => ops.elu(x), (x) => (x > 0 ? x : Math.expm1(x)), spread(-30, 6, false), 3],
    ];
  it.each(wide)('%s', async (_, op, f, values, ulp) => {
    const device = await deviceFor(isa, 1);
    const y = await device.scope(() => op(device.tensor(values, [values.length]))).data();
    let worst = 0;
    let at = 0;
    values.forEach((x, i) => {
      const error = ulps(y[i]!, f(x));
      if (!(error <= worst)) [worst, at] = [error, i];
    });
    expect(worst, `at ${values[at]}: ${y[at]}, not ${f(values[at]!)}`).toBeLessThanOrEqual(ulp);
  });

  // Near multiples of π an angle's sine is small, and only what float64 keeps of the angle is left.
  it.each([
    ['sin', ops.sin],
    ['cos', ops.cos],
  ] as const)('%s of large angles', async (name, op) => {
    const device = await deviceFor(isa, 1);
    const values = Float32Array.from([
      ...spread(-20, 20, false),
      ...Array.from({ length: 2000 }, (_, k) => (k * 333 * Math.PI) / 2),
      1e7,
      -3e9,
      1e20,
      3e38,
    ]);
    const y = await device.scope(() => op(device.tensor(values, [values.length]))).data();
    values.forEach((x, i) => {
      const expected = Math[name](x);
      expect(Math.abs(y[i]! - expected), `${name} ${x}`).toBeLessThan(1.2e-7 * Math.abs(expected) + 1e-12);
    });
  });
});

describe('functions of one tensor', () => {
  it('refuse other types and options', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const ids = device.zeros([2], 'int32');
    const x = device.zeros([2]);
    expect(() => ops.exp(ids)).toThrow(DTypeError);
    expect(() => ops.exp(ids)).toThrow('exp: x is int32, expected float32');
    expect(() => ops.clamp(x, {})).toThrow(ArgumentError);
    expect(() => ops.clamp(x, { min: Number.NaN })).toThrow('clamp: min is NaN, expected a number');
    expect(() => ops.elu(x, { slope: 1 } as never)).toThrow('elu: there is no option slope, only alpha');
    expect(() => ops.softplus(x, { beta: 0 })).toThrow('softplus: beta is 0, expected a positive number');
    expect(() => ops.pow(x, '2' as never)).toThrow(ArgumentError);
  });

  it('keep only the result', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.zeros([2, 4]).columns(0, 2);
    const before = device.memory().used;
    ops.exp(x).dispose();
    expect(device.memory().used).toBe(before);
  });
});
