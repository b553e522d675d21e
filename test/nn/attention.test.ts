import { expect, it } from 'vitest';
import { ShapeError } from '../../src/index.js';
import { AdditiveAttention, Initializer, SelfAttention } from '../../src/nn/index.js';
import { describeOp, deviceFor, isas } from '../describe-op.js';
import { linear, matmul } from '../reference/matmul.js';
import { softmax } from '../reference/norm.js';
import { build, type Reals } from '../reference/reals.js';

describeOp({
  name: 'SelfAttention',
  cases: [
    { shape: [1, 1, 1] },
    { shape: [2, 7, 5] },
    { shape: [3, 17, 33] },
    { shape: [6, 4] }, // one sequence, no batch
  ],
  inputs: ({ shape }, random) => ({ x: random.normal(shape, 0.5) }),
  forward: ({ x }) => new SelfAttention().forward(x),
  reference: ({ x }) => matmul(softmax(matmul(x, x, { transposeB: true })), x),
  gradients: ['x'],
  tolerance: ({ shape }) => shape.at(-1)! + shape.at(-2)!,
  cancelling: () => 1, // in the softmax, dy less its mean
});

interface Sizes {
  readonly batch: number;
  readonly timeQ: number;
  readonly timeK: number;
  readonly queryFeatures: number;
  readonly keyFeatures: number;
  readonly hidden: number;
}

/** The weights softmax(v · tanh(W query + U key)). */
function weightsOf(
  query: Reals,
  keys: Reals,
  w: Reals,
  u: Reals,
  v: Reals,
  { batch, timeQ, timeK, hidden }: Sizes,
): Reals {
  const [ofQuery, ofKeys] = [linear(query, w, null), linear(keys, u, null)];
  const scores = build([batch, timeQ, timeK], (at) => {
    const [b, i, j] = [Math.floor(at / timeQ / timeK), Math.floor(at / timeK) % timeQ, at % timeK];
    let score = 0;
    for (let h = 0; h < hidden; h++) {
      const sum = ofQuery.data[(b * timeQ + i) * hidden + h]! + ofKeys.data[(b * timeK + j) * hidden + h]!;
      score += v.data[h]! * Math.tanh(sum);
    }
    return score;
  });
  return softmax(scores);
}

describeOp({
  name: 'AdditiveAttention',
  cases: [
    { batch: 1, timeQ: 1, timeK: 1, queryFeatures: 1, keyFeatures: 1, hidden: 1 },
    { batch: 2, timeQ: 3, timeK: 5, queryFeatures: 4, keyFeatures: 6, hidden: 7 },
    { batch: 3, timeQ: 1, timeK: 17, queryFeatures: 16, keyFeatures: 33, hidden: 15 },
  ] satisfies Sizes[],
  inputs: ({ batch, timeQ, timeK, queryFeatures, keyFeatures, hidden }, random) => ({
    query: random.normal([batch, timeQ, queryFeatures]),
    keys: random.normal([batch, timeK, keyFeatures]),
    w: random.normal([queryFeatures, hidden], 0.3),
    u: random.normal([keyFeatures, hidden], 0.3),
    v: random.normal([hidden, 1]),
  }),
  forward: ({ query, keys, w, u, v }, { queryFeatures, keyFeatures, hidden }) => {
    const module = new AdditiveAttention(new Initializer(query.device, 0), queryFeatures, keyFeatures, hidden);
    module.dispose();
    return Object.assign(module, { queryWeight: w, keyWeight: u, score: v }).forward(query, keys).context;
  },
  reference: ({ query, keys, w, u, v }, sizes) => matmul(weightsOf(query, keys, w, u, v, sizes), keys),
  gradients: ['query', 'keys', 'w', 'u', 'v'],
  tolerance: ({ batch, timeQ, timeK, queryFeatures, keyFeatures, hidden }) =>
    Math.max(queryFeatures, keyFeatures) + hidden + batch * timeQ * timeK,
  cancelling: () => 1,
});

it('AdditiveAttention: weights are probabilities, shapes must fit', async () => {
  const device = await deviceFor(isas[0]!, 2);
  const module = new AdditiveAttention(new Initializer(device, 1), 3, 4, 5);
  const query = device.full([2, 1, 3], 0.5);
  const { weights, context } = module.forward(query, device.full([2, 6, 4], 0.25));
  expect(weights.shape).toEqual([2, 1, 6]);
  expect(context.shape).toEqual([2, 1, 4]);
  for (const weight of weights.dataSync()) expect(weight).toBeCloseTo(1 / 6, 6);
  expect(Object.keys(module.stateDict())).toEqual(['query_weight', 'key_weight', 'score']);
  expect(() => module.forward(query, device.zeros([3, 6, 4]))).toThrow(ShapeError);
  expect(() => module.forward(query, device.zeros([6, 4]))).toThrow(ShapeError);
});
