import { expect, it } from 'vitest';
import { ArgumentError, CommandError, ShapeError } from '../../src/index.js';
import { ctcLoss, logSoftmax, sum } from '../../src/ops/index.js';
import { describeOp, deviceFor, isas } from '../describe-op.js';
import { build, type Reals } from '../reference/reals.js';

interface Case {
  readonly time: number;
  readonly classes: number;
  readonly targets: readonly (readonly number[])[];
  readonly lengths?: readonly number[];
  readonly targetLengths?: readonly number[];
  readonly blank?: number;
}

/** -ln of the sum over all paths of rows that spell the target, path by path. */
function byPaths(rows: readonly (readonly number[])[], target: readonly number[], blank: number): number {
  const classes = rows[0]?.length ?? 0;
  let total = 0;
  const walk = (t: number, last: number, spelled: readonly number[], log: number) => {
    if (spelled.some((label, i) => label !== target[i])) return;
    if (t === rows.length) {
      if (spelled.length === target.length) total += Math.exp(log);
      return;
    }
    for (let c = 0; c < classes; c++)
      walk(t + 1, c, c === blank || c === last ? spelled : [...spelled, c], log + rows[t]![c]!);
  };
  walk(0, -1, [], 0);
  return -Math.log(total);
}

function losses(logProbs: Reals, { time, classes, targets, lengths, targetLengths, blank = 0 }: Case): Reals {
  return build([targets.length], (b) => {
    const row = (t: number) => Array.from({ length: classes }, (_, c) => logProbs.data[(b * time + t) * classes + c]!);
    const rows = Array.from({ length: lengths?.[b] ?? time }, (_, t) => row(t));
    return byPaths(rows, targets[b]!.slice(0, targetLengths?.[b]), blank);
  });
}

describeOp({
  name: 'ctcLoss',
  cases: [
    { time: 1, classes: 2, targets: [[1]] },
    { time: 4, classes: 3, targets: [[1, 2]] },
    {
      time: 6,
      classes: 3,
      targets: [
        [1, 1],
        [2, 1],
        [1, 2],
      ],
    },
    {
      time: 5,
      classes: 4,
      targets: [
        [3, 2, 2],
        [1, 3, 3],
      ],
      lengths: [5, 3],
      targetLengths: [3, 1],
    },
    {
      time: 5,
      classes: 3,
      targets: [
        [0, 1],
        [1, 0],
      ],
      targetLengths: [0, 2],
      blank: 2,
    },
  ] as Case[],
  inputs: ({ time, classes, targets }, random) => ({ logits: random.normal([targets.length, time, classes]) }),
  forward({ logits }, { targets, classes: _, time: __, ...options }) {
    const ids = logits.device.tensor(Int32Array.from(targets.flat()), [targets.length, targets[0]!.length]);
    return ctcLoss(logits, ids, { ...options, reduction: 'none' });
  },
  reference: ({ logits }, given) => losses(logits, given),
  gradients: ['logits'],
  tolerance: ({ time, classes }) => 8 * time * classes,
});

const device = await deviceFor(isas[0]!, 2);

it('reduces as torch does: sums, and means by label', async () => {
  const logits = device.tensor(
    Float32Array.from({ length: 2 * 6 * 4 }, (_, i) => Math.sin(3 * i)),
    [2, 6, 4],
  );
  const targets = device.tensor(Int32Array.of(1, 2, 3, 2, 2, 0), [2, 3]);
  const run = async (reduction: 'none' | 'sum' | 'mean') => [
    ...(await ctcLoss(logSoftmax(logits), targets, { reduction, targetLengths: [3, 2] }).data()),
  ];
  const [first, second] = (await run('none')) as [number, number];
  expect((await run('sum'))[0]).toBeCloseTo(first + second, 4);
  expect((await run('mean'))[0]).toBeCloseTo((first / 3 + second / 2) / 2, 4);
  // torch.nn.functional.ctc_loss(log_softmax(x, -1).transpose(0, 1), …, reduction='none') in float64
  expect(first).toBeCloseTo(5.31434606, 4);
  expect(second).toBeCloseTo(2.67146828, 4);
});

it('gives an infinite loss, or 0 with zeroInfinity, for a target that does not fit', async () => {
  const targets = device.tensor(Int32Array.of(1, 1), [1, 2]);
  const run = async (zeroInfinity: boolean) => {
    const x = device.tensor(new Float32Array(2 * 3).fill(-1), [1, 2, 3]);
    x.requiresGrad = true;
    const loss = ctcLoss(x, targets, { zeroInfinity, reduction: 'none' });
    sum(loss).backward();
    return [(await loss.data())[0], [...((await x.grad?.data()) ?? [])].some(Number.isNaN)];
  };
  expect(await run(false)).toEqual([Number.POSITIVE_INFINITY, true]);
  expect(await run(true)).toEqual([0, false]);
});

it('refuses shapes, lengths and classes that do not fit', async () => {
  const x = device.zeros([2, 4, 3]);
  const ids = (...labels: number[]) => device.tensor(Int32Array.from(labels), [2, labels.length / 2]);
  expect(() => ctcLoss(x, device.zeros([3, 2], 'int32'))).toThrow(ShapeError);
  expect(() => ctcLoss(x, ids(1, 2), { lengths: [4] })).toThrow(/lengths is .*expected 2 numbers from 0 to 4/);
  expect(() => ctcLoss(x, ids(1, 2), { targetLengths: [1, 2] })).toThrow(ArgumentError);
  expect(() => ctcLoss(x, ids(1, 2), { blank: 3 })).toThrow(/blank is 3, expected a class, below 3/);
  expect(() => ctcLoss(x, ids(1, 5))).toThrow(/row 1 of targets is 5, expected 0 to 2/);
  const loss = ctcLoss(x, ids(1, 5), { targetLengths: [1, 1] });
  await expect(loss.data()).rejects.toThrow(CommandError);
});
