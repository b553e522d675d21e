import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../src/index.js';
import { activate } from '../../src/ops/activation.js';
import {
  elu,
  gelu,
  hardSwish,
  leakyRelu,
  mish,
  quickGelu,
  relu,
  sigmoid,
  silu,
  softplus,
  tanh,
} from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { type Activation, activation } from '../reference/activation.js';

const ops: Record<Exclude<Activation, 'none'>, (x: Tensor) => Tensor> = {
  relu,
  gelu: (x) => gelu(x),
  gelu_tanh: (x) => gelu(x, { approximate: 'tanh' }),
  silu,
  tanh,
  sigmoid,
  quickGelu,
  hardSwish,
  mish,
  elu: (x) => elu(x),
  leakyRelu: (x) => leakyRelu(x),
  softplus: (x) => softplus(x),
  relu2: (x) => activate('activate', x, 'relu2'),
  relu6: (x) => activate('activate', x, 'relu6'),
  gelu10: (x) => activate('activate', x, 'gelu10'),
  sqrtSoftplus: (x) => activate('activate', x, 'sqrtSoftplus'),
  laplace: (x) => activate('activate', x, 'laplace'),
};
const names = Object.keys(ops) as (keyof typeof ops)[];
const simple = names.slice(0, names.indexOf('relu2'));

/** Standard deviations of inputs. */
const spreads: Partial<Record<Activation, number>> = { relu6: 8, gelu10: 8 };

for (const name of names) {
  describeOp({
    name,
    cases: [...edges().map((size) => [size]), [3, 5, 7], [9001]],
    // In the tail of `laplace`, rounding of x is a large relative error.
    inputs: (shape, random) => ({
      x: name === 'laplace' ? random.uniform(shape, 0.3, 2) : random.normal(shape, spreads[name] ?? 2),
    }),
    forward: ({ x }) => ops[name](x),
    reference: ({ x }) => activation(name, x),
    gradients: ['x'],
  });
}

describe.each(isas.flatMap((isa) => simple.map((name) => [isa, name] as const)))('%s %s', (isa, name) => {
  it('has the right limits', async () => {
    const device = await deviceFor(isa, 1);
    const x = device.tensor([-Infinity, -3e38, -100, 100, 3e38, Infinity, Number.NaN], [7], { requiresGrad: true });
    const y = ops[name](x);
    y.backward(device.full([7], 1));
    const values = await y.data();
    const slopes = await x.grad!.data();
    const bounded = name === 'tanh' || name === 'sigmoid';
    const low = name === 'tanh' || name === 'elu' ? -1 : 0;
    if (name === 'leakyRelu') return; // no bound below 0; see elementwise.test.ts
    // x·sigmoid(…) is -∞·0 = NaN at -∞, in PyTorch too.
    if (!['silu', 'gelu_tanh', 'quickGelu', 'hardSwish', 'mish'].includes(name)) expect(values[0]).toBeCloseTo(low, 30);
    for (const value of values.subarray(1, 3)) expect(value).toBeCloseTo(low, 30);
    expect([...values.subarray(3, 6)]).toEqual(bounded ? [1, 1, 1] : [100, Math.fround(3e38), Infinity]);
    for (const slope of slopes.subarray(0, 3)) expect(slope).toBeCloseTo(0, 30);
    for (const slope of slopes.subarray(3, 6)) expect(slope).toBeCloseTo(bounded ? 0 : 1, 30);
    expect(values[6]).toBeNaN();
    if (name === 'relu') expect(slopes[6]).toBe(0);
  });
});

it.each(isas)('%s gives an element the same bits in a tensor of more than 32 MB', async (isa) => {
  const device = await deviceFor(isa, 2);
  const size = 8_500_003;
  const values = Float32Array.from({ length: size }, (_, i) => 9 * Math.sin(i * 1.7));
  const x = device.tensor(values, [size]);
  const all = device.noGrad(() => ops.gelu(x));
  for (const from of [0, size - 1000]) {
    const alone = ops.gelu(x.rows(from, from + 1000));
    expect(await all.rows(from, from + 1000).data()).toEqual(await alone.data());
  }
  for (const tensor of [x, all]) tensor.dispose();
});

// Values are PyTorch's, except that gelu is 0 at -∞.
it.each(isas)('%s: limits of rare activations', async (isa) => {
  const device = await deviceFor(isa, 1);
  const expected = {
    relu2: [0, 0, 9, Infinity],
    relu6: [0, 0, 3, 6],
    gelu10: [0, 0, 2.9959503, 10],
    sqrtSoftplus: [0, 2.0611536e-9, 1.7460204, Infinity],
    laplace: [0, 0, 1, 1],
  };
  for (const [name, values] of Object.entries(expected)) {
    const y = await ops[name as keyof typeof expected](device.tensor([-Infinity, -40, 3, Infinity, Number.NaN])).data();
    expect(y[4], name).toBeNaN();
    for (const [i, value] of values.entries()) {
      if (Number.isFinite(value)) expect(Math.abs(y[i]! - value), name).toBeLessThanOrEqual(4e-7 * value);
      else expect(y[i], name).toBe(value);
    }
  }
});
