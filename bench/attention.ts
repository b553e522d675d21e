// Attention beside PyTorch's scaled_dot_product_attention, in turn, on the same values; answers are compared.
//   npx tsx bench/attention.ts [--threads N] [--rounds N] [--only TEXT] [--isa NAME] [--json]

import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { attention, createDevice, type Tensor } from '../src/index.js';
import { median, Peer } from './peer.js';

interface Shape {
  readonly what: string;
  readonly batch: number;
  readonly heads: number;
  readonly width: number;
  readonly queries: number;
  readonly keys: number;
}

const square = (rows: number): Shape => {
  return { what: `T ${rows}`, batch: 1, heads: 12, width: 64, queries: rows, keys: rows };
};
const shapes: Shape[] = [
  ...[128, 512, 1024, 4096].map(square),
  { what: 'short: 256 × T 10', batch: 256, heads: 4, width: 32, queries: 10, keys: 10 },
  { what: 'decode: 8 × 1 of 2048', batch: 8, heads: 12, width: 64, queries: 1, keys: 2048 },
];

const { values: options } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '11' },
    only: { type: 'string', default: '' },
    isa: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const threads = Number(options.threads);

/** Seconds that threads of the last turn may go on spinning for work. */
const pause = 0.02;
/** Of a turn, about. */
const turn = 0.03;

interface Answer {
  readonly seconds: number;
  readonly sample: readonly number[];
}
interface Question extends Shape {
  readonly causal: boolean;
  readonly backward: boolean;
}

let peer: Peer | null = Peer.python('attention_torch.py');
let torch: string | null = null;
try {
  ({ torch } = await peer.ask<{ torch: string }>({ threads }));
} catch (error) {
  const how = 'apt install python3-torch libopenblas0-openmp';
  console.error(`PyTorch is NOT measured: ${(error as Error).message}. On Debian: ${how}`);
  peer = null;
}

const device = await createDevice({ threads, ...(options.isa ? { isa: options.isa } : {}) });

/** As attention_torch.py fills it. */
function filled(shape: readonly number[], period: number): Tensor {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  return device.tensor(
    Float32Array.from({ length: size }, (_, i) => (i % period) * (2 / period) - 1),
    shape,
  );
}

/** Answers a question as the peer does. */
function prepare({ batch, heads, width, queries, keys, causal, backward }: Question) {
  const make = (rows: number, period: number) => filled([batch, rows, heads * width], period);
  const [q, k, v, dy] = [make(queries, 1021), make(keys, 1019), make(keys, 1013), make(queries, 1009)];
  const inputs = [q, k, v];
  for (const x of inputs) x.requiresGrad = backward;
  const ask = (repeats: number): Answer => {
    let seconds = 0;
    let sample: number[] = [];
    for (let i = 0; i < repeats; i++) {
      device.scope(() => {
        for (const x of inputs) x.zeroGrad();
        device.flushSync();
        let start = performance.now();
        const y = attention(q, k, v, { heads, causal });
        device.flushSync();
        if (backward) {
          start = performance.now();
          y.backward(dy);
          device.flushSync();
        }
        seconds += (performance.now() - start) / 1000;
        if (i === repeats - 1) {
          const values = (backward ? (q.grad as Tensor) : y).dataSync();
          sample = Array.from({ length: 64 }, (_, j) => values[(j * 104729) % values.length] as number);
        }
      });
    }
    return { seconds: seconds / repeats, sample };
  };
  const dispose = () => {
    for (const x of [...inputs, dy]) x.dispose();
  };
  return { ask, dispose };
}

const results = [];
const ms = (seconds: number) => `${(seconds * 1000).toPrecision(4)} ms`.padStart(12);
if (!options.json) {
  const peerName = torch === null ? '' : `, PyTorch ${torch}`;
  console.log(`${device.info.isa}, ${threads} threads${peerName}; medians of ${options.rounds} turns`);
}
for (const shape of shapes) {
  const forward: number[] = [];
  for (const [causal, backward] of [
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ] as const) {
    const name = `${shape.what}${causal ? ' causal' : ''}${backward ? ' backward' : ''}`;
    if (!name.includes(options.only) || (shape.queries !== shape.keys && (causal || backward))) continue;
    const question: Question = { ...shape, causal, backward };
    const ours = prepare(question);
    const repeats = Math.max(1, Math.round(turn / ours.ask(2).seconds));
    const times: [number[], number[]] = [[], []];
    let error = 0;
    for (let round = 0; round < Number(options.rounds); round++) {
      const mine = ours.ask(repeats);
      times[0].push(mine.seconds);
      await setTimeout(pause * 1000);
      if (peer === null) continue;
      const theirs = await peer.ask<Answer>({ ...question, repeats });
      times[1].push(theirs.seconds);
      const largest = Math.max(...theirs.sample.map(Math.abs));
      error = Math.max(...theirs.sample.map((x, i) => Math.abs(x - (mine.sample[i] as number)) / largest));
      if (!(error < 1e-4)) throw new Error(`${name}: the answers differ by ${error} of the largest`);
      await setTimeout(pause * 1000);
    }
    ours.dispose();
    const seconds = median(times[0]);
    const torchSeconds = peer === null ? null : median(times[1]);
    const pairs = (shape.batch * shape.heads * shape.queries * shape.keys) / (causal ? 2 : 1);
    const gflops = (4 * pairs * shape.width * (backward ? 2.5 : 1)) / seconds / 1e9;
    const ratio = torchSeconds === null ? null : torchSeconds / seconds;
    results.push({ name, seconds, torchSeconds, ratio, gflops });
    if (options.json) continue;
    const beside = torchSeconds === null ? '' : `  PyTorch ${ms(torchSeconds)}  ${ratio?.toFixed(2)}× as fast`;
    const [full] = forward;
    const note = backward ? `  ${(seconds / forward[Number(causal)]!).toFixed(2)}× forward` : '';
    const skipped = causal && !backward && full ? `  ${(full / seconds).toFixed(2)}× full` : '';
    console.log(`${name.padEnd(28)}${ms(seconds)}  ${gflops.toFixed(0).padStart(4)} GFLOP/s${beside}${note}${skipped}`);
    if (!backward) forward[Number(causal)] = seconds;
  }
}
if (options.json) {
  console.log(JSON.stringify({ isa: device.info.isa, threads, torch, results }, null, 2));
}
peer?.close();
device.dispose();
