import { describe, expect, it } from 'vitest';
import { ArgumentError, Scalar } from '../../src/index.js';
import { dropout, linear } from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { threefry } from '../reference/threefry.js';

/** True if the element is kept. Each 32 columns take 16 counters, whose first words are for the first 16 columns. */
function isKept(
  row: number,
  column: number,
  { p, seed, stream }: { p: number; seed: number; stream: number },
): boolean {
  const counter = Math.floor(column / 32) * 16 + (column % 16);
  const bits = threefry([counter, row], [seed, stream])[column % 32 < 16 ? 0 : 1];
  return bits >= p * 2 ** 32;
}

describeOp({
  name: 'dropout',
  cases: [
    ...edges(16, 64).map((cols) => ({ rows: 3, cols, p: 0.3, seed: 1234567, stream: 5 })),
    { rows: 300, cols: 40, p: 0.1, seed: 0xffffffff, stream: 0xffffffff },
    { rows: 1, cols: 12000, p: 0.5, seed: 0, stream: 0 },
    { rows: 2, cols: 50, p: 1, seed: 1, stream: 0 },
  ],
  inputs: ({ rows, cols }, random) => ({ x: random.normal([rows, cols]) }),
  forward: ({ x }, { p, seed, stream }) => dropout(x, { p, seed, stream }),
  reference({ x }, { cols, ...options }) {
    const keep = (i: number) => isKept(Math.floor(i / cols), i % cols, options);
    return { shape: x.shape, data: x.data.map((value, i) => (keep(i) ? value / (1 - options.p) : 0)) };
  },
  gradients: ['x'],
  gradient: (_, upstream, { cols, ...options }) => ({
    x: upstream.map((dy, i) => (isKept(Math.floor(i / cols), i % cols, options) ? dy / (1 - options.p) : 0)),
  }),
});

describe('dropout', () => {
  it('uses a generator with the published answers', () => {
    // kat_vectors of Random123, threefry2x32 with 20 rounds.
    expect(threefry([0, 0], [0, 0])).toEqual([0x6b200159, 0x99ba4efe]);
    expect(threefry([0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff])).toEqual([0x1cb996fc, 0xbb002be7]);
    expect(threefry([0x243f6a88, 0x85a308d3], [0x13198a2e, 0x03707344])).toEqual([0xc4923a9c, 0x483df7a0]);
  });

  it('drops the given fraction, differently for each seed and stream', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const x = device.full([100, 1000], 1);
    const drawn = async (seed: number, stream: number) =>
      (await dropout(x, { p: 0.2, seed, stream }).data()).map(Number);
    const [a, b, c] = [await drawn(1, 0), await drawn(2, 0), await drawn(1, 1)];
    const dropped = (...all: (typeof a)[]) =>
      a.filter((_, i) => all.every((values) => values[i] === 0)).length / x.size;
    for (const values of [a, b, c]) expect(Math.abs(dropped(values) - 0.2)).toBeLessThan(0.005); // 4 standard deviations
    for (const [v, w] of [
      [a, b],
      [a, c],
      [b, c],
    ] as const)
      expect(Math.abs(dropped(v, w) - 0.04)).toBeLessThan(0.0025);
    expect(a.every((value) => value === 0 || value === 1.25)).toBe(true);
  });

  it('draws again for each run of a program, and equally forward and backward', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const x = device.full([64, 64], 1);
    x.requiresGrad = true;
    const program = device.record(() => {
      const y = dropout(x, { p: 0.5, seed: new Scalar('seed', 1) });
      y.backward(device.full([64, 64], 1));
      return y;
    });
    const first = await program.run({ seed: 8 }).data();
    expect(await x.grad!.data()).toEqual(first);
    const second = await program.run({ seed: 9 }).data();
    expect(second).not.toEqual(first);
    expect(await x.grad!.data()).toEqual(second);
    program.dispose();
  });

  it('drops the same elements backward after the seed has changed', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const x = device.full([16, 16], 1);
    const eye = device.tensor(
      Float32Array.from({ length: 256 }, (_, i) => Number(i % 17 === 0)),
      [16, 16],
    );
    x.requiresGrad = true;
    for (const op of ['dropout', 'none', 'relu', 'sigmoid'] as const) {
      const seed = new Scalar('seed', 1);
      const options = { p: 0.5, seed };
      x.zeroGrad();
      const y = op === 'dropout' ? dropout(x, options) : linear(x, eye, null, { activation: op, dropout: options });
      seed.value = 2;
      y.backward(device.full([16, 16], 1));
      const gradient = await x.grad!.data();
      expect(
        (await y.data()).map((value) => Number(value !== 0)),
        op,
      ).toEqual(gradient.map((value) => Number(value !== 0)));
    }
  });

  it('is the identity for p = 0', async () => {
    const x = (await deviceFor(isas[0]!, 1)).zeros([2]);
    expect(dropout(x, { p: 0, seed: 1 })).toBe(x);
  });

  it('drops infinities and NaN as zeros', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor(new Float32Array([Number.NaN, Number.POSITIVE_INFINITY]));
    expect([...(await dropout(x, { p: 1, seed: 1 }).data())]).toEqual([0, 0]);
  });

  it('refuses a p that is not a probability and a seed that is not a 32-bit integer', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.zeros([2]);
    for (const p of [-0.1, 1.1, Number.NaN]) expect(() => dropout(x, { p, seed: 1 })).toThrow(ArgumentError);
    for (const seed of [-1, 0.5, 2 ** 32]) {
      expect(() => dropout(x, { p: 0.5, seed })).toThrow(ArgumentError);
      expect(() => dropout(x, { p: 0.5, seed: new Scalar('seed', seed) })).toThrow(ArgumentError);
    }
  });
});
