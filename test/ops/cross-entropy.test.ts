import { describe, expect, it } from 'vitest';
import { CommandError, type CrossEntropyOptions, crossEntropy } from '../../src/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { crossEntropy as reference } from '../reference/tokens.js';

interface Sizes extends CrossEntropyOptions {
  readonly shape: readonly number[];
  readonly scale?: number;
}

const cases: Sizes[] = [
  ...edges().map((classes) => ({ shape: [4, classes] })),
  { shape: [2, 3, 9000], labelSmoothing: 0.1 },
  { shape: [65, 11], ignoreIndex: 0, labelSmoothing: 0.1 },
  { shape: [3, 20], scale: 100 },
  { shape: [3, 5, 7], reduction: 'sum', ignoreIndex: 2 },
  { shape: [3, 5, 7], reduction: 'none', ignoreIndex: 2, labelSmoothing: 0.3 },
  { shape: [9], reduction: 'none' },
];

describeOp({
  name: 'crossEntropy',
  cases,
  inputs: ({ shape, scale }, random) => ({
    logits: random.normal(shape, scale),
    targets: random.integers(shape.slice(0, -1), shape.at(-1)!),
  }),
  forward: ({ logits, targets }, options) => crossEntropy(logits, targets, options),
  reference: ({ logits, targets }, options) => reference(logits, targets, options),
  gradients: ['logits'],
  tolerance: ({ shape }) => Math.max(...shape),
});

describe.each(isas)('crossEntropy, %s', (isa) => {
  it('is NaN, with gradients of 0, when every target is ignored', async () => {
    const device = await deviceFor(isa, 1);
    const logits = device.tensor([[1, 2, 3]], [1, 3], { requiresGrad: true });
    const loss = crossEntropy(logits, device.tensor(Int32Array.of(-100), [1]), { ignoreIndex: -100 });
    loss.backward();
    expect(await loss.item()).toBeNaN();
    expect([...(await logits.grad!.data())]).toEqual([0, 0, 0]);
  });

  it.each([-1, 3, -100])('fails the run at target %d, and the device goes on', async (target) => {
    const device = await deviceFor(isa, 2);
    const logits = device.tensor([[1, 2, 3]], [1, 3], { requiresGrad: true });
    const loss = crossEntropy(logits, device.tensor(Int32Array.of(target), [1]));
    loss.backward();
    await expect(loss.data()).rejects.toThrow(CommandError);
    const right = crossEntropy(logits, device.tensor(Int32Array.of(2), [1]));
    expect(await right.item()).toBeCloseTo(0.4076, 4);
  });

  it('gives a row the same gradient among more than a cache of 32 MB holds', async () => {
    const device = await deviceFor(isa, 2);
    const [rows, classes, few] = [1700, 5170, 40];
    const values = Float32Array.from({ length: rows * classes }, (_, i) => 3 * Math.sin(i * 1.7));
    const gradient = async (from: number, to: number) => {
      const shape = [to - from, classes];
      const x = device.tensor(values.subarray(from * classes, to * classes), shape, { requiresGrad: true });
      const targets = Int32Array.from({ length: to - from }, (_, i) => (7 * (from + i)) % classes);
      const options = { reduction: 'sum', labelSmoothing: 0.1 } as const;
      crossEntropy(x, device.tensor(targets, [to - from]), options).backward();
      const all = await x.grad!.data();
      x.dispose();
      return all;
    };
    const all = await gradient(0, rows);
    for (const from of [0, rows - few])
      expect(all.slice(from * classes, (from + few) * classes)).toEqual(await gradient(from, from + few));
  });

  it('takes masked classes and huge logits', async () => {
    const device = await deviceFor(isa, 1);
    const logits = device.tensor([[-Infinity, 1e30, 1e30, -1e30]], [1, 4], { requiresGrad: true });
    const loss = crossEntropy(logits, device.tensor(Int32Array.of(1), [1]));
    loss.backward();
    expect(await loss.item()).toBe(Math.fround(Math.LN2));
    const gradient = [...(await logits.grad!.data())];
    [0, -0.5, 0.5, 0].forEach((expected, c) => {
      expect(gradient[c]).toBeCloseTo(expected, 6);
    });
  });
});

describe('crossEntropy', () => {
  it('names what does not fit', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const logits = device.zeros([2, 3]);
    const targets = device.zeros([2], 'int32');
    expect(() => crossEntropy(logits, device.zeros([3], 'int32'))).toThrow(
      'crossEntropy: targets is [3], expected [2]',
    );
    expect(() => crossEntropy(logits, device.zeros([2]))).toThrow('crossEntropy: targets is float32, expected int32');
    expect(() => crossEntropy(logits, targets, { labelSmoothing: 2 })).toThrow(/labelSmoothing is 2/);
    expect(() => crossEntropy(logits, targets, { ignoreIndex: 0.5 })).toThrow(/ignoreIndex is 0.5/);
  });
});
