import { describe, expect, it } from 'vitest';
import { ArgumentError, ShapeError, type Tensor } from '../../src/index.js';
import { type Activation, dropout, linear, mul, sum } from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { Random } from '../random.js';
import { activations as formulas } from '../reference/activation.js';
import { linear as reference } from '../reference/matmul.js';

interface Case {
  readonly x: readonly number[];
  readonly out: number;
  readonly bias?: boolean;
  readonly activation?: Activation;
}

// In the tail of `laplace`, rounding of its argument is a large relative error.
const activations = (Object.keys(formulas) as Activation[]).filter((name) => name !== 'laplace');

describeOp({
  name: 'linear',
  cases: [
    ...activations.map((activation): Case => ({ x: [3, 7, 4], out: 33, activation })),
    ...activations.map((activation): Case => ({ x: [6], out: 5, activation })),
    ...activations.map((activation): Case => ({ x: [9, 6], out: 20, activation, bias: false })),
    ...edges(16, 32).map((out): Case => ({ x: [13, 8], out, activation: 'gelu' })),
    ...edges(16, 12).map((rows): Case => ({ x: [rows, 8], out: 18, activation: 'silu' })),
    { x: [14, 600], out: 18 },
    { x: [700, 11], out: 17 },
    { x: [150, 30], out: 130, activation: 'relu' },
    { x: [66, 7], out: 333, activation: 'gelu' }, // from here rows of a weight lie far apart
    { x: [90, 2], out: 261 },
  ] as Case[],
  inputs: ({ x, out, bias = true }, random) => ({
    x: random.normal(x),
    w: random.normal([x.at(-1)!, out]),
    b: bias ? random.normal([out]) : null,
  }),
  forward: ({ x, w, b }, { activation }) => linear(x, w, b, { activation }),
  reference: ({ x, w, b }, { activation }) => reference(x, w, b, activation),
  gradients: ['x', 'w', 'b'],
  tolerance: ({ x, out }) => Math.max(x.reduce((product, size) => product * size, 1) / x.at(-1)!, x.at(-1)!, out),
});

describe('linear', () => {
  it('accepts columns of a fused weight, and writes their part of its gradient', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const values = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.cos(i));
    const x = device.tensor(values(5 * 8), [5, 8]);
    const make = () => device.tensor(values(8 * 24), [8, 24], { requiresGrad: true });
    const [fused, apart] = [make(), make()];
    linear(x, fused).backward(values(5 * 24));
    for (let part = 0; part < 3; part++) {
      const upstream = values(5 * 24).filter((_, i) => Math.floor((i % 24) / 8) === part);
      linear(x, apart.columns(part * 8, part * 8 + 8)).backward(upstream);
    }
    expect(await apart.grad!.data()).toEqual(await fused.grad!.data());
  });

  it('adds up the gradients of a weight and a bias that share memory', async () => {
    const device = await deviceFor(isas[0]!, 4);
    const random = new Random('shared');
    const w = device.tensor(random.normal([65, 96]).data, [65, 96], { requiresGrad: true });
    const x = device.tensor(random.normal([400, 65]).data, [400, 65]);
    const upstream = random.normal([400, 96]).data;
    const gradient = (each: (part: Tensor) => Tensor) => {
      w.zeroGrad();
      linear(x, w, each(w.rows(64, 65).reshape(96))).backward(upstream);
      return [...w.grad!.dataSync()];
    };
    const apart = gradient((bias) => mul(bias, 1));
    for (let run = 0; run < 20; run++) {
      for (const [i, value] of gradient((bias) => bias).entries()) expect(value).toBeCloseTo(apart[i]!, 3);
    }
  });

  it.each(isas.flatMap((isa) => (['relu', 'gelu'] as const).map((activation) => ({ isa, activation }))))(
    'drops the bits that dropout does, there and back: $activation, $isa',
    async ({ isa, activation }) => {
      const device = await deviceFor(isa, 2);
      const random = new Random('drop');
      const drop = { p: 0.3, seed: 7, stream: 2 };
      for (const [rows, depth, out] of [
        [30, 9, 70],
        [13, 40, 33],
        [1, 5, 3],
      ] as const) {
        const make = (shape: number[]) => device.tensor(random.normal(shape).data, shape, { requiresGrad: true });
        const [x, w, b, upstream] = [make([rows, depth]), make([depth, out]), make([out]), make([rows, out])];
        const results = [
          linear(x, w, b, { activation, dropout: drop }),
          dropout(linear(x, w, b, { activation }), drop),
        ].map((y) => {
          sum(mul(y, upstream)).backward();
          const grads = [x, w, b].map(({ grad }) => Array.from(grad!.dataSync()));
          for (const leaf of [x, w, b, upstream]) leaf.zeroGrad();
          return { y: Array.from(y.dataSync()), grads };
        });
        expect(results[0]!.y).toEqual(results[1]!.y);
        expect(results[0]!.y).toContain(0);
        for (const [i, grad] of results[0]!.grads.entries()) {
          grad.forEach((value, j) => {
            expect(value).toBeCloseTo(results[1]!.grads[i]![j]!, 4);
          });
        }
      }
    },
  );

  it('refuses shapes, dtypes and options that do not fit', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const zeros = (...shape: number[]) => device.zeros(shape);
    expect(() => linear(zeros(2, 3), zeros(4, 5))).toThrow(ShapeError);
    expect(() => linear(zeros(2, 3), zeros(4, 5))).toThrow(
      'linear: x is [2, 3], w is [4, 5]: the last dimension of x must equal the first of w',
    );
    expect(() => linear(zeros(2, 3), zeros(1, 3, 5))).toThrow('w is [1, 3, 5], expected [in, out]');
    expect(() => linear(zeros(2, 3), zeros(3, 5), zeros(4))).toThrow('b is [4], expected [5]');
    const activation = 'swish' as Activation;
    expect(() => linear(zeros(2, 3), zeros(3, 5), null, { activation })).toThrow(ArgumentError);
  });
});
