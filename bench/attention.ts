// Attention beside PyTorch's scaled_dot_product_attention.

import { createDevice, type Device, type Tensor } from '../src/index.js';
import { attention } from '../src/ops/index.js';
import type { Bench } from './harness/bench.js';
import { contest, type Turn } from './harness/contest.js';
import { describeDevice } from './harness/machine.js';
import { OURS, patterned, sampleOf } from './harness/ours.js';
import { asContestant, pytorch } from './harness/peers.js';

interface Shape {
  readonly name: string;
  readonly batch: number;
  readonly heads: number;
  readonly width: number;
  readonly queries: number;
  readonly keys: number;
}

interface Question extends Shape {
  readonly causal: boolean;
  readonly backward: boolean;
}

const square = (rows: number): Shape => {
  return { name: `T ${rows}`, batch: 1, heads: 12, width: 64, queries: rows, keys: rows };
};
const shapes: readonly Shape[] = [
  ...[128, 512, 1024, 4096].map(square),
  { name: '256 × T 10, 4 heads × 32', batch: 256, heads: 4, width: 32, queries: 10, keys: 10 },
];
const kinds = [
  { causal: false, backward: false },
  { causal: true, backward: false },
  { causal: false, backward: true },
  { causal: true, backward: true },
];
const questions: readonly Question[] = [
  ...shapes.flatMap((shape) => kinds.map((kind) => ({ ...shape, ...kind }))),
  { name: '8 × 1 of 2048', batch: 8, heads: 12, width: 64, queries: 1, keys: 2048, causal: false, backward: false },
];

const FULL = 'full';
const FORWARD = 'forward';

const nameOf = ({ name, causal, backward }: Question) =>
  `${name}${causal ? ', causal' : ''}${backward ? ', backward' : ''}`;

export default {
  question: 'How fast is attention, forward and backward, full and causal, beside PyTorch?',
  async run(run) {
    const torch = await pytorch(run, 'attention_torch.py');
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    for (const question of questions) {
      const name = nameOf(question);
      if (!run.wants(name)) continue;
      const ours = contestant(device, OURS, question);
      const references = [
        ...(question.causal ? [contestant(device, FULL, { ...question, causal: false })] : []),
        ...(question.backward ? [contestant(device, FORWARD, question, false)] : []),
      ];
      const peers = asContestant('PyTorch', torch, (repeats) => ({ ...question, repeats }));
      const work = workOf(question);
      const outcome = await contest([ours, ...peers, ...references, run.limits.contestant(work, run.threads)], {
        rounds: run.rounds(11),
        tolerance: 1e-4,
        seconds: 8,
      });
      for (const { dispose } of [ours, ...references]) dispose();
      const { [FULL]: full, [FORWARD]: forward } = outcome.shares;
      run.row(name, outcome, {
        'GFLOP/s': work.flops / (outcome.times[OURS]?.median as number) / 1e9,
        ...(full ? { 'times as fast as full': full } : {}),
        ...(forward ? { 'times forward': 1 / forward } : {}),
      });
    }
    device.dispose();
  },
} satisfies Bench;

/**
 * Answers a question as attention_torch.py does. Either the backward pass is timed, without the forward pass before it,
 * or the forward pass. Both always run, so that the state of the caches is realistic.
 */
function contestant(device: Device, name: string, question: Question, timesBackward = question.backward) {
  const { batch, heads, width, queries, keys, causal, backward } = question;
  const make = (rows: number, period: number) => patterned(device, [batch, rows, heads * width], period);
  const [q, k, v, dy] = [make(queries, 1021), make(keys, 1019), make(keys, 1013), make(queries, 1009)];
  const inputs = [q, k, v];
  for (const x of inputs) x.requiresGrad = backward;
  const once = (): { milliseconds: number; result: Tensor } => {
    for (const x of inputs) x.zeroGrad();
    device.flushSync();
    const start = performance.now();
    const y = attention(q, k, v, { heads, causal });
    device.flushSync();
    const between = performance.now();
    if (backward) {
      y.backward(dy);
      device.flushSync();
    }
    const milliseconds = timesBackward ? performance.now() - between : between - start;
    return { milliseconds, result: backward ? (q.grad as Tensor) : y };
  };
  const take = (repeats: number): Turn => {
    let total = 0;
    let sample: number[] = [];
    for (let i = 0; i < repeats; i++) {
      device.scope(() => {
        const { milliseconds, result } = once();
        total += milliseconds;
        if (i === repeats - 1) sample = sampleOf(result.dataSync());
      });
    }
    return { seconds: total / 1e3 / repeats, sample };
  };
  const dispose = () => {
    for (const x of [...inputs, dy]) x.dispose();
  };
  return { name, isReference: name !== OURS, take, dispose };
}

/**
 * Counts two products for the forward pass and five for the backward pass. A causal mask halves the number of scores.
 */
function workOf({ batch, heads, width, queries, keys, causal, backward }: Question) {
  const scores = (batch * heads * queries * keys) / (causal ? 2 : 1);
  const tensors = backward ? 8 : 4;
  return {
    flops: 2 * (backward ? 5 : 2) * scores * width,
    bytes: (tensors / 2) * 4 * batch * heads * width * (queries + keys),
  };
}
