// Each form of the network with each of its steps, against the formula in float64.
import { expect, it } from 'vitest';
import type { Tensor } from '../../src/index.js';
import {
  FeedForward,
  type FeedForwardOptions,
  Initializer,
  PlainRMSNorm,
  type Projection,
  Random,
} from '../../src/nn/index.js';
import { clamp } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { assertClose, largest } from '../tolerance.js';

const device = await deviceFor(isas[0]!, 2);
const [TOKENS, dModel, dFF] = [3, 6, 5];

const forms: Record<string, Partial<FeedForwardOptions>> = {
  'not gated': {},
  gated: { gated: true },
  fused: { gated: true, fused: true },
  'fused, gate last': { gated: true, fused: 'gateLast' },
};

const steps: Record<string, Partial<FeedForwardOptions>> = {
  plain: {},
  'scales of the gate and of the result': { gateScale: 0.7, outScale: 1.6 },
  squares: { activation: 'relu2' },
  'a filter of the gate': { gateFilter: (gates) => clamp(gates, { max: 0.1 }) },
  'a norm': { hiddenNorm: () => new PlainRMSNorm(1e-6) },
};
steps['all steps'] = Object.assign({}, ...Object.values(steps));

type Matrix = number[][];
const times = (x: Matrix, w: Matrix) =>
  x.map((row) => w[0]!.map((_, j) => row.reduce((sum, v, i) => sum + v * w[i]![j]!, 0)));
const map = (x: Matrix, fn: (v: number, i: number, j: number) => number) =>
  x.map((row, i) => row.map((v, j) => fn(v, i, j)));
const activations = { silu: (v: number) => v / (1 + Math.exp(-v)), relu2: (v: number) => Math.max(v, 0) ** 2 };
const normed = (row: number[]) => {
  const size = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / row.length + 1e-6);
  return row.map((v) => v / size);
};

it.each(Object.keys(forms).flatMap((form) => Object.keys(steps).map((step) => [form, step] as const)))(
  '%s: %s',
  (form, step) => {
    const options = { dModel, dFF, activation: 'silu', bias: false, ...forms[form], ...steps[step] } as const;
    const network = new FeedForward(new Initializer(device, 3), options);
    const matrix = (rows: number, data: ArrayLike<number>): Matrix => {
      const columns = data.length / rows;
      return Array.from({ length: rows }, (_, i) => Array.from(data).slice(i * columns, (i + 1) * columns));
    };
    const weightOf = ({ weight }: Projection) => matrix(weight.shape[0]!, (weight as Tensor).dataSync());
    const random = new Random(7, 0);
    const values = Float32Array.from({ length: TOKENS * dModel }, () => random.normal());
    const [x, first] = [matrix(TOKENS, values), weightOf(network.linear1)];
    const half = (i: number) => first.map((row) => row.slice(i * dFF, (i + 1) * dFF));
    const last = options.fused === 'gateLast' ? 1 : 0;
    const activate = activations[options.activation as keyof typeof activations];
    const filter = (v: number) => (options.gateFilter ? Math.min(v, 0.1) : v);
    const hidden = map(times(x, half(last)), (v) => activate(filter(v * (options.gateScale ?? 1))));
    const other = options.fused ? half(1 - last) : network.linear3 && weightOf(network.linear3);
    const factors = other && times(x, other);
    const product = factors ? map(hidden, (v, i, j) => v * factors[i]![j]!) : hidden;
    const read = options.hiddenNorm ? product.map(normed) : product;
    const expected = map(times(read, weightOf(network.linear2)), (v) => v * (options.outScale ?? 1));
    const actual = network.forward(device.tensor(values, [TOKENS, dModel])).dataSync();
    assertClose('result', actual, expected.flat(), () => 1e-5 * largest(expected.flat()));
    expect(largest(expected.flat())).toBeGreaterThan(0);
    network.dispose();
  },
);
