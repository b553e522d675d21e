import { describe, expect, it } from 'vitest';
import { CommandError } from '../../src/index.js';
import { type CrossEntropyOptions, crossEntropy, nllLoss } from '../../src/ops/index.js';
import { computedIds } from '../computed-ids.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { type Random, sizeOf } from '../random.js';
import { build, type Reals } from '../reference/reals.js';
import { nllLoss as nllReference, crossEntropy as reference } from '../reference/tokens.js';

interface Sizes extends Omit<CrossEntropyOptions, 'weight'> {
  readonly shape: readonly number[];
  readonly scale?: number;
  readonly weighted?: true;
}

const cases: Sizes[] = [
  ...edges().map((classes) => ({ shape: [4, classes] })),
  { shape: [2, 3, 9000], labelSmoothing: 0.1 },
  { shape: [65, 11], ignoreIndex: 0, labelSmoothing: 0.1 },
  { shape: [3, 20], scale: 100 },
  { shape: [3, 5, 7], reduction: 'sum', ignoreIndex: 2 },
  { shape: [3, 5, 7], reduction: 'none', ignoreIndex: 2, labelSmoothing: 0.3 },
  { shape: [9], reduction: 'none' },
  ...[15, 16, 17, 33].map((classes) => ({ shape: [70, classes], weighted: true, labelSmoothing: 0.2 }) as const),
  { shape: [5, 4100], weighted: true, labelSmoothing: 0.1 },
  { shape: [6, 11], weighted: true, ignoreIndex: 3 },
  { shape: [6, 11], weighted: true, reduction: 'sum', ignoreIndex: 0, labelSmoothing: 1 },
  { shape: [2, 3, 7], weighted: true, reduction: 'none', ignoreIndex: 1 },
  { shape: [3, 5], weighted: true, ignoreIndex: null },
  { shape: [3, 5, 7], axis: 1 },
  { shape: [2, 6, 3, 4], axis: 1, weighted: true, reduction: 'none', ignoreIndex: 2, labelSmoothing: 0.1 },
  { shape: [5, 4, 3], axis: -3, reduction: 'sum' },
];

/** Targets leave out the dimension of the classes. */
const axisOf = ({ shape, axis = -1 }: Sizes) => (axis < 0 ? axis + shape.length : axis);

/** With the classes in the last dimension. */
function classesLast({ shape, data }: Reals, axis: number): Reals {
  const [classes, inner] = [shape[axis]!, sizeOf(shape.slice(axis + 1))];
  return build([...shape.toSpliced(axis, 1), classes], (i) => {
    const [c, position] = [i % classes, Math.floor(i / classes)];
    return data[(Math.floor(position / inner) * classes + c) * inner + (position % inner)]!;
  });
}

const inputs = (sizes: Sizes, random: Random) => {
  const { shape, scale, weighted } = sizes;
  const classes = shape[axisOf(sizes)]!;
  return {
    logits: random.normal(shape, scale),
    targets: random.integers(shape.toSpliced(axisOf(sizes), 1), classes),
    weight: weighted ? { shape: [classes], data: random.normal([classes]).data.map((w) => 0.2 + Math.abs(w)) } : null,
  };
};
const tolerance = ({ shape }: Sizes) => Math.max(...shape);

describeOp({
  name: 'crossEntropy',
  cases,
  inputs,
  forward: ({ logits, targets, weight }, { shape: _, scale: _scale, weighted: _weighted, ...options }) =>
    crossEntropy(logits, targets, { ...options, weight }),
  reference: ({ logits, targets, weight }, sizes) =>
    reference(classesLast(logits, axisOf(sizes)), targets, sizes, weight),
  gradients: ['logits'],
  tolerance,
});

describeOp({
  name: 'nllLoss',
  cases: cases.filter(({ labelSmoothing, shape }) => !labelSmoothing && sizeOf(shape) < 500),
  inputs,
  forward: ({ logits, targets, weight }, { ignoreIndex, reduction, axis }) =>
    nllLoss(logits, targets, { ignoreIndex, reduction, axis, weight }),
  reference: ({ logits, targets, weight }, sizes) =>
    nllReference(classesLast(logits, axisOf(sizes)), targets, sizes, weight),
  gradients: ['logits'],
  tolerance,
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

  it('ignores -100 by default', async () => {
    const device = await deviceFor(isa, 1);
    const logits = device.tensor([1, 2, 3, 4, 5, 7], [2, 3]);
    const alone = crossEntropy(logits.rows(1, 2), device.tensor(Int32Array.of(1)));
    const targets = device.tensor(Int32Array.of(-100, 1));
    expect(await crossEntropy(logits, targets).item()).toBe(await alone.item());
    expect(() => crossEntropy(logits, targets, { ignoreIndex: null })).toThrow(
      'row 0 of targets is -100, expected 0 to 2',
    );
  });

  it("counts the same labels as torch's losses", async () => {
    // torch.nn.functional.cross_entropy(x, t, w, reduction=r, ignore_index=2, label_smoothing=0.1) with torch 2.13
    const device = await deviceFor(isa, 1);
    const x = device.tensor([1, 2, 3, 0.5, -1, 0, 2, 2, -2], [3, 3]);
    const [targets, weight] = [device.tensor(Int32Array.of(0, 1, 2)), device.tensor([0.5, 2, 1])];
    const loss = async (reduction: 'mean' | 'sum' | 'none') => [
      ...(await crossEntropy(x, targets, { weight, reduction, ignoreIndex: 2, labelSmoothing: 0.1 }).data()),
    ];
    const torch = { mean: [2.082224], sum: [5.205561], none: [1.230977, 3.974584, 0] };
    for (const reduction of ['mean', 'sum', 'none'] as const) {
      const given = await loss(reduction);
      given.forEach((value, i) => {
        expect(value).toBeCloseTo(torch[reduction][i]!, 5);
      });
    }
  });

  it.each([-1, 3, -101])('fails the run at target %d, and the device stays usable', async (target) => {
    const device = await deviceFor(isa, 2);
    const logits = device.tensor([[1, 2, 3]], [1, 3], { requiresGrad: true });
    const loss = crossEntropy(logits, computedIds(device, target));
    loss.backward();
    await expect(loss.data()).rejects.toThrow(CommandError);
    const right = crossEntropy(logits, device.tensor(Int32Array.of(2), [1]));
    expect(await right.item()).toBeCloseTo(0.4076, 4);
  });

  it('gives a row the same gradient in a tensor of more than 32 MB', async () => {
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

  it('accepts masked classes and huge logits', async () => {
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
  it('names the shapes and options that do not fit', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const logits = device.zeros([2, 3]);
    const targets = device.zeros([2], 'int32');
    expect(() => crossEntropy(logits, device.zeros([3], 'int32'))).toThrow(
      'crossEntropy: targets is [3], expected [2]',
    );
    expect(() => crossEntropy(logits, device.zeros([2]))).toThrow('crossEntropy: targets is float32, expected int32');
    expect(() => crossEntropy(logits, targets, { labelSmoothing: 2 })).toThrow(/labelSmoothing is 2/);
    expect(() => crossEntropy(logits, targets, { ignoreIndex: 0.5 })).toThrow(/ignoreIndex is 0.5/);
    expect(() => crossEntropy(logits, targets, { weight: device.zeros([2]) })).toThrow(
      'crossEntropy: weight is [2], expected [3]',
    );
    expect(() => crossEntropy(logits, targets, { axis: 0 })).toThrow('crossEntropy: targets is [2], expected [3]');
    expect(() => crossEntropy(logits, targets, { smoothing: 0.1 } as object)).toThrow('there is no option smoothing');
    expect(() => nllLoss(logits, targets, { labelSmoothing: 0.1 } as object)).toThrow(
      'nllLoss: there is no option labelSmoothing',
    );
  });
});
