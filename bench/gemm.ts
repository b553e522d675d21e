// Matrix products beside the sgemm of oneDNN and of OpenBLAS.

import { createDevice, type Tensor } from '../src/index.js';
import { linear, matmul } from '../src/ops/index.js';
import type { Bench } from './harness/bench.js';
import { compile } from './harness/compile.js';
import { contest } from './harness/contest.js';
import { LIMIT } from './harness/limits.js';
import { describeDevice } from './harness/machine.js';
import { OURS, patterned, recorded } from './harness/ours.js';
import { Peer } from './harness/peer.js';
import { asContestant } from './harness/peers.js';
import { geometricMean } from './harness/statistics.js';

interface Shape {
  readonly what: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

const rows = [1, 8, 32, 128, 512, 2048];
/** Inputs and outputs of layers: of the paper's model and BERT, of a vocabulary, and of small models. */
const layers = [
  [512, 512],
  [512, 2048],
  [2048, 512],
  [768, 768],
  [768, 3072],
  [3072, 768],
  [512, 32000],
  [128, 128],
  [128, 512],
  [512, 128],
] as const;

/** Forward passes of `linear`. */
const forward: Shape[] = layers.flatMap(([k, n]) => rows.map((m) => ({ what: `linear ${m}: ${k}→${n}`, m, n, k })));

/** Products of training, and the logits of tied embeddings. */
const others: Shape[] = [
  ...(
    [
      [512, 512, 2048],
      [1024, 2048, 512],
      [2304, 128, 512],
    ] as const
  ).flatMap(([m, k, n]): Shape[] => [
    { what: `dx ${m}: ${k}→${n}`, m, n: k, k: n, transposeB: true },
    { what: `dw ${m}: ${k}→${n}`, m: k, n, k: m, transposeA: true },
  ]),
  { what: 'tied logits 1: 512→32000', m: 1, n: 32000, k: 512, transposeB: true },
  { what: 'tied logits 32: 512→32000', m: 32, n: 32000, k: 512, transposeB: true },
];

/**
 * Minimum operations of a recorded program. Peers repeat a product in C. Our program has so many products that the cost
 * of a call from JavaScript is negligible.
 */
const MIN_FLOPS = 1e8;
const MAX_COPIES = 64;
/** Rounding of sums of up to 3072 terms, relative to the largest. */
const TOLERANCE = 1e-4;

async function start(library: 'openblas' | 'onednn'): Promise<readonly [Peer, string]> {
  const peer = new Peer(compile('sgemm.c'), [library]);
  const { version } = await peer.hear<{ version: string }>();
  return [peer, version];
}

export default {
  question: 'How fast are matrix products, beside oneDNN and OpenBLAS?',
  async run(run) {
    const peers = {
      oneDNN: await run.peer('oneDNN', 'On Debian: apt install libdnnl-dev', () => start('onednn')),
      OpenBLAS: await run.peer('OpenBLAS', 'On Debian: apt install libopenblas0-openmp', () => start('openblas')),
    };
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    const beside: number[] = [];
    const ofPeak: number[] = [];
    for (const { what, m, n, k, transposeA = false, transposeB = false } of [...forward, ...others]) {
      if (!run.wants(what)) continue;
      const isLinear = !transposeA && !transposeB;
      const a = patterned(device, transposeA ? [k, m] : [m, k], 1021);
      const b = patterned(device, transposeB ? [n, k] : [k, n], 1019);
      const bias = device.zeros([n]);
      const flops = 2 * m * n * k;
      const copies = Math.ceil(Math.min(MAX_COPIES, MIN_FLOPS / flops));
      const program = device.record(() => {
        const all = Array.from({ length: copies }, () =>
          isLinear ? linear(a, b, bias) : matmul(a, b, { transposeA, transposeB }),
        );
        return all[0] as Tensor;
      });
      const question = [transposeA, transposeB, m, n, k, run.threads].map(Number);
      const others = Object.entries(peers).flatMap(([name, peer]) =>
        asContestant(name, peer, (repeats) => [...question, repeats]),
      );
      const limit = run.limits.contestant({ flops, bytes: 4 * (m * k + k * n + m * n) }, run.threads);
      const outcome = await contest([recorded(device, program, copies), ...others, limit], {
        rounds: run.rounds(7),
        tolerance: TOLERANCE,
        seconds: 4,
      });
      const speed = flops / (outcome.times[OURS]?.median as number);
      const better = Math.min(...Object.values(outcome.ratios));
      run.row(what, outcome, { 'GFLOP/s': speed / 1e9 });
      if (isLinear && others.length > 0) beside.push(better);
      if (isLinear && m >= 512) ofPeak.push(outcome.shares[LIMIT] as number);
      program.dispose();
      for (const tensor of [a, b, bias]) tensor.dispose();
    }
    if (beside.length > 0) {
      run.summary['linear beside the better peer, geometric mean'] = geometricMean(beside);
      run.summary['linear beside the better peer, least'] = Math.min(...beside);
    }
    if (ofPeak.length > 0)
      run.summary['linear of 512 rows and more, part of the peak, geometric mean'] = geometricMean(ofPeak);
    device.dispose();
  },
} satisfies Bench;
