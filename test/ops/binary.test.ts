import { describe, expect, it } from 'vitest';
import { Scalar, ShapeError, type Tensor } from '../../src/index.js';
import {
  add,
  div,
  equal,
  greater,
  greaterEqual,
  less,
  lessEqual,
  maximum,
  minimum,
  mul,
  notEqual,
  pow,
  scale,
  sub,
  sum,
  where,
} from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { broadcastIndex, build, elementwise, type Reals } from '../reference/reals.js';

const shapes: [readonly number[], readonly number[]][] = [
  ...edges().map((n): [number[], number[]] => [
    [3, n],
    [3, n],
  ]),
  [[2, 3, 17], [17]],
  [[17], [2, 3, 17]],
  [
    [5, 1],
    [1, 7],
  ],
  [
    [2, 1, 3, 1, 5, 1],
    [4, 1, 3, 1, 2],
  ],
  [[4, 3], []],
  [[600, 5], [5]],
  [[17000], [1]],
];

const operations = {
  add: [add, (a: number, b: number) => a + b],
  sub: [sub, (a: number, b: number) => a - b],
  mul: [mul, (a: number, b: number) => a * b],
  div: [div, (a: number, b: number) => a / b],
} as const;

for (const [name, [op, f]] of Object.entries(operations)) {
  describeOp({
    name,
    cases: shapes.map(([a, b]) => ({ a, b })),
    inputs: ({ a, b }, random) => ({ a: random.normal(a), b: random.uniform(b, 0.5, 2) }),
    forward: ({ a, b }) => op(a, b),
    reference: ({ a, b }) => elementwise(a, b, f),
    gradients: ['a', 'b'],
    gradient({ a, b }, upstream) {
      const { shape } = elementwise(a, b, f);
      const dy = { shape, data: upstream };
      const times = (x: Reals, y: Reals) => elementwise(x, y, operations.mul[1]);
      const by = (x: Reals, y: Reals) => elementwise(x, y, operations.div[1]);
      const minus = (x: Reals) => ({ shape: x.shape, data: x.data.map((value) => -value) });
      const terms = {
        add: () => [dy, dy],
        sub: () => [dy, minus(dy)],
        mul: () => [times(dy, b), times(dy, a)],
        div: () => [by(dy, b), minus(by(by(times(dy, a), b), b))],
      }[name as keyof typeof operations]() as [Reals, Reals];
      return { a: sumTo(terms[0], a), b: sumTo(terms[1], b) };
    },
    tolerance: ({ a, b }) => Math.max(...a, ...b),
  });
}

const comparisons = {
  equal: [equal, (a: number, b: number) => a === b],
  notEqual: [notEqual, (a: number, b: number) => a !== b],
  less: [less, (a: number, b: number) => a < b],
  lessEqual: [lessEqual, (a: number, b: number) => a <= b],
  greater: [greater, (a: number, b: number) => a > b],
  greaterEqual: [greaterEqual, (a: number, b: number) => a >= b],
} as const;

for (const [name, [op, f]] of Object.entries(comparisons)) {
  // Rounds to halves, because finite differences move the reference's inputs a little.
  const truth = (a: Reals, b: Reals) => elementwise(a, b, (x, y) => Number(f(Math.round(2 * x), Math.round(2 * y))));
  describeOp({
    name,
    cases: shapes.map(([a, b]) => ({ a, b })),
    inputs: ({ a, b }, random) => {
      const halves = (shape: readonly number[]) => {
        const { data } = random.integers(shape, 4);
        return { shape, data: Float32Array.from(data, (value) => value / 2) };
      };
      return { a: halves(a), b: halves(b) };
    },
    forward: ({ a, b }) => op(a, b),
    reference: ({ a, b }) => truth(a, b),
  });
  describeOp({
    name: `${name} of int32`,
    cases: shapes.map(([a, b]) => ({ a, b })),
    inputs: ({ a, b }, random) => ({ a: random.integers(a, 3), b: random.integers(b, 3) }),
    forward: ({ a, b }) => op(a, b),
    reference: ({ a, b }) => truth(a as never, b as never),
  });
}

for (const [op, f] of [
  [minimum, Math.min],
  [maximum, Math.max],
] as const) {
  describeOp({
    name: op.name,
    cases: shapes.map(([a, b]) => ({ a, b })),
    inputs: ({ a, b }, random) => ({ a: random.normal(a), b: random.normal(b) }),
    forward: ({ a, b }) => op(a, b),
    reference: ({ a, b }) => elementwise(a, b, f),
    gradients: ['a', 'b'],
    gradient({ a, b }, upstream) {
      const { shape } = elementwise(a, b, f);
      const share = (x: Reals, y: Reals) => {
        const taken = elementwise(x, y, (p, q) => (p === q ? 0.5 : Number(f(p, q) === p)));
        return { shape, data: taken.data.map((part, i) => part * upstream[i]!) };
      };
      return { a: sumTo(share(a, b), a), b: sumTo(share(b, a), b) };
    },
    tolerance: ({ a, b }) => Math.max(...a, ...b),
  });
}

describeOp({
  name: 'pow of tensors',
  cases: shapes.map(([a, b]) => ({ a, b })),
  inputs: ({ a, b }, random) => ({ a: random.uniform(a, 0.5, 3), b: random.uniform(b, -3, 3) }),
  forward: ({ a, b }) => pow(a, b),
  reference: ({ a, b }) => elementwise(a, b, Math.pow),
  gradients: ['a', 'b'],
  tolerance: ({ a, b }) => Math.max(...a, ...b),
});

describeOp({
  name: 'where',
  cases: shapes.flatMap(([a, b]) => [
    { c: b, a, b },
    { c: a, a: b, b: [] },
  ]),
  inputs: ({ c, a, b }, random) => ({ c: random.integers(c, 3), a: random.normal(a), b: random.normal(b) }),
  forward: ({ c, a, b }) => where(c, a, b),
  reference: ({ c, a, b }) => chosen(c, a, b),
  gradients: ['a', 'b'],
  tolerance: ({ c, a, b }) => Math.max(...c, ...a, ...b, 1),
});

function chosen(c: Reals<Int32Array>, a: Reals, b: Reals): Reals {
  const both = elementwise(a, b, () => 0);
  const { shape } = elementwise(c as never, both, () => 0);
  const at = (x: Reals<Float64Array | Int32Array>, i: number) => x.data[broadcastIndex(x.shape, shape, i)]!;
  return build(shape, (i) => (at(c, i) !== 0 ? at(a, i) : at(b, i)));
}

describe.each(isas)('%s int32', (isa) => {
  const a = Int32Array.of(2 ** 31 - 1, -(2 ** 31), 0x7f800001, -1, 7, 0);
  const b = Int32Array.of(1, -1, 0x7f800001, 5, -7, 0);
  it.each([
    ['add', add, (x: number, y: number) => (x + y) | 0],
    ['sub', sub, (x: number, y: number) => (x - y) | 0],
    ['mul', mul, Math.imul],
    ['minimum', minimum, Math.min],
    ['maximum', maximum, Math.max],
  ] as const)('%s keeps every bit', async (_, op, f) => {
    const device = await deviceFor(isa, 1);
    const [x, y] = [device.tensor(a, [6]), device.tensor(b, [6])];
    expect([...(await op(x, y).data())]).toEqual([...a].map((value, i) => f(value, b[i]!)));
    const broadcast = op(x, y.rows(2, 3));
    expect([...(await broadcast.data())]).toEqual([...a].map((value) => f(value, 0x7f800001)));
  });

  it('where and comparisons accept numbers', async () => {
    const device = await deviceFor(isa, 1);
    const x = device.tensor(a, [6]);
    expect([...(await greater(x, 0).data())]).toEqual([1, 0, 1, 0, 1, 0]);
    expect([...(await where(less(x, 0), -5, x).data())]).toEqual([2 ** 31 - 1, -5, 0x7f800001, -5, 7, 0]);
    expect(() => equal(x, 0.5)).toThrow('equal: b is 0.5, expected a 32-bit integer');
    expect(() => div(x, x)).toThrow('div: a is int32, expected float32');
  });
});

/** Sums over the dimensions where `like` was broadcast. */
function sumTo(wide: Reals, like: Reals): Float64Array {
  const sums = new Float64Array(like.data.length);
  wide.data.forEach((value, i) => {
    sums[broadcastIndex(like.shape, wide.shape, i)]! += value;
  });
  return sums;
}

describeOp({
  name: 'arithmetic with a number',
  cases: edges(),
  inputs: (n, random) => ({ x: random.normal([2, n]) }),
  forward: ({ x }) => div(sub(add(mul(scale(x, 3), -0.5), 2), 0.25), 4),
  reference: ({ x }) => ({ shape: x.shape, data: x.data.map((v) => (v * 3 * -0.5 + 2 - 0.25) / 4) }),
  gradients: ['x'],
});

describe('binary ops', () => {
  it('refuse shapes that do not broadcast, and name both', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const [a, b] = [device.zeros([2, 3]), device.zeros([2, 4])];
    expect(() => add(a, b)).toThrow(ShapeError);
    expect(() => add(a, b)).toThrow('add: [2, 3] and [2, 4] do not broadcast: 3 against 4');
    expect(() => mul(a, device.zeros([2, 3], 'int32'))).toThrow('mul: b is int32, expected float32');
  });

  it('add a tensor to itself', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([1, 2, 3], undefined, { requiresGrad: true });
    const y = add(mul(x, x), mul(x, 1)); // x² + x
    add(y, y).backward([1, 10, 100]);
    expect([...x.grad!.dataSync()]).toEqual([6, 100, 1400]);
  });

  it('add the gradients of a tensor and a part of it that is broadcast', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const x = device.tensor(
      Array.from({ length: 16 }, (_, i) => Math.sin(i) + 2),
      [4, 4],
      { requiresGrad: true },
    );
    const upstream = Float32Array.from({ length: 16 }, (_, i) => i);
    for (const op of [add, sub, mul, div]) {
      for (const swap of [false, true]) {
        const gradient = (each: (part: Tensor) => Tensor) => {
          x.zeroGrad();
          const h = mul(x, 1); // whose gradient may take over the result's
          const part = each(h.rows(3, 4).reshape(4, 1));
          (swap ? op(part, h) : op(h, part)).backward(upstream);
          return [...x.grad!.dataSync()];
        };
        const apart = gradient((part) => mul(part, 1));
        gradient((part) => part).forEach((value, i) => {
          expect(value, op.name).toBeCloseTo(apart[i]!, 4);
        });
      }
    }
  });

  it('scale by a Scalar that a program changes', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([1, 2]);
    const program = device.record(() => scale(x, new Scalar('factor', 2)));
    expect([...program.run().dataSync()]).toEqual([2, 4]);
    expect([...program.run({ factor: -1 }).dataSync()]).toEqual([-1, -2]);
    program.dispose();
  });

  it('gradients use the earlier value of a Scalar, but in a program the current one', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([1, 2], undefined, { requiresGrad: true });
    const factor = new Scalar('factor', 1);
    const once = sum(scale(x, factor));
    factor.value = 10;
    add(once, sum(scale(x, factor))).backward();
    expect([...x.grad!.dataSync()]).toEqual([11, 11]);
    x.zeroGrad();
    const program = device.record(() => sum(scale(x, factor)).backward());
    program.run({ factor: 3 });
    expect([...x.grad!.dataSync()]).toEqual([3, 3]);
    program.dispose();
  });
});

describe.each(isas)('div by a number, %s', (isa) => {
  const values = [1, 3, 5, -7, 10, 1e-39, 2e-39, 1e-45, 3e38, 1.7e38, -0, 0, Infinity, Number.NaN];
  const divisors = [3, 7, 0.1, -49, 1e-39, 3e38, 2, -0.25, 2 ** 127, 2 ** -127, 2 ** -149, 2 ** 128, 0, -Infinity];
  const rounded = (a: readonly number[], b: number) => a.map((v) => Math.fround(Math.fround(v) / Math.fround(b)));

  it.each(divisors)('rounds correctly, forward and backward: %d', async (b) => {
    const device = await deviceFor(isa, 1);
    const x = device.tensor(values, [values.length], { requiresGrad: true });
    const y = device.scope(() => div(x, b));
    y.backward(values);
    expect([...y.dataSync()]).toEqual(rounded(values, b));
    expect([...x.grad!.dataSync()]).toEqual(rounded(values, b));
  });

  it('multiplies instead of dividing by a power of two, and can be recorded', async () => {
    const device = await deviceFor(isa, 1);
    const x = device.tensor([1, 2]);
    const program = device.record(() => [div(x, 4), div(x, 3)] as const);
    expect(program.commands.map(({ op }) => op)).toEqual(['affine', 'fill', 'binary']);
    for (const numbers of [
      [1, 2],
      [5, 10],
    ]) {
      x.write(numbers);
      program.run();
      expect(program.result.map((y) => [...y.dataSync()])).toEqual([rounded(numbers, 4), rounded(numbers, 3)]);
    }
    program.dispose();
  });

  it('keeps nothing', async () => {
    const device = await deviceFor(isa, 1);
    const x = device.tensor([1, 2]);
    const before = device.memory().used;
    div(x, 3).dispose();
    expect(device.memory().used).toBe(before);
  });
});
