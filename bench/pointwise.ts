// Memory-bound ops, beside the time for moving their bytes, and beside PyTorch.

import { AdamW, createDevice, type Device, type Tensor } from '../src/index.js';
import { addLayerNorm, crossEntropy, gelu, layerNorm, mul, softmax } from '../src/ops/index.js';
import type { Bench } from './harness/bench.js';
import { type Contestant, contest, type Turn } from './harness/contest.js';
import { describeDevice } from './harness/machine.js';
import { OURS, patterned, recorded, sampleOf } from './harness/ours.js';
import { asContestant, pytorch } from './harness/peers.js';

interface Op {
  /** Name of the op, also in the peer. */
  readonly op: string;
  readonly rows: number;
  readonly cols: number;
  /** Number of arrays of rows × cols. */
  readonly reads: number;
  readonly writes: number;
}

/** Sizes that fit into the caches of one or two cores, and sizes that do not. */
const sizes = [
  [128, 768],
  [16384, 768],
] as const;

const ops: readonly Op[] = [
  ...sizes.flatMap(([rows, cols]) => [
    { op: 'layerNorm', rows, cols, reads: 1, writes: 1 },
    { op: 'addLayerNorm', rows, cols, reads: 2, writes: 2 },
    { op: 'softmax', rows, cols, reads: 1, writes: 1 },
    { op: 'gelu', rows, cols, reads: 1, writes: 1 },
  ]),
  { op: 'crossEntropy', rows: 512, cols: 8000, reads: 1, writes: 0 },
  { op: 'crossEntropy', rows: 512, cols: 32000, reads: 1, writes: 0 },
  { op: 'adamw', rows: 256, cols: 1024, reads: 4, writes: 3 },
  { op: 'adamw', rows: 16384, cols: 1024, reads: 4, writes: 3 },
];

const nameOf = ({ op, rows, cols }: Op) => `${op} ${rows} × ${cols}`;

export default {
  question:
    'How close are LayerNorm, softmax, GELU, cross entropy and AdamW to the time that moving their bytes takes?',
  async run(run) {
    const torch = await pytorch(run, 'pointwise_torch.py');
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    for (const op of ops) {
      const name = nameOf(op);
      if (!run.wants(name)) continue;
      const ours = op.op === 'adamw' ? optimizer(device, op) : forward(device, op);
      const peers = asContestant('PyTorch', torch, (repeats) => ({ ...op, repeats }));
      const bytes = 4 * op.rows * op.cols;
      const moving = run.limits.contestant({ reads: op.reads, writes: op.writes, bytes }, run.threads);
      const outcome = await contest([ours, ...peers, moving], { rounds: run.rounds(11), tolerance: 1e-4, seconds: 8 });
      const speed = ((op.reads + op.writes) * bytes) / (outcome.times[OURS]?.median as number);
      run.row(name, outcome, { 'GB/s': speed / 1e9 });
      ours.dispose();
    }
    device.dispose();
  },
} satisfies Bench;

type Disposable = Contestant & { dispose(): void };

function forward(device: Device, { op, rows, cols }: Op): Disposable {
  const x = patterned(device, [rows, cols], 1021);
  const y = patterned(device, [rows, cols], 1019);
  const [gamma, beta] = [patterned(device, [cols], 1013), patterned(device, [cols], 1009)];
  const labels = device.tensor(Int32Array.from({ length: rows }, (_, i) => (i * 97) % cols));
  const results: Readonly<Record<string, () => Tensor>> = {
    layerNorm: () => layerNorm(x, gamma, beta),
    addLayerNorm: () => addLayerNorm(x, y, gamma, beta).normed,
    softmax: () => softmax(x),
    gelu: () => gelu(x),
    crossEntropy: () => crossEntropy(x, labels),
  };
  const program = device.noGrad(() => device.record(results[op] as () => Tensor));
  const dispose = () => {
    program.dispose();
    for (const tensor of [x, y, gamma, beta, labels]) tensor.dispose();
  };
  return { ...recorded(device, program), dispose };
}

/** A step of AdamW with a constant gradient. */
function optimizer(device: Device, { rows, cols }: Op): Disposable {
  const parameter = patterned(device, [rows, cols], 1021);
  parameter.requiresGrad = true;
  const gradient = patterned(device, [rows, cols], 1019);
  device.scope(() => mul(parameter, gradient).backward(device.full([rows, cols], 1)));
  const adamw = new AdamW([parameter], { lr: 1e-3, weightDecay: 0.01 });
  const take = (repeats: number): Turn => {
    device.flushSync();
    const start = performance.now();
    for (let i = 0; i < repeats; i++) {
      adamw.step();
      device.flushSync();
    }
    return { seconds: (performance.now() - start) / 1e3 / repeats, sample: sampleOf(parameter.dataSync()) };
  };
  const dispose = () => {
    adamw.dispose();
    for (const tensor of [parameter, gradient]) tensor.dispose();
  };
  return { name: OURS, take, dispose };
}
