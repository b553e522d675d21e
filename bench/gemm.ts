// Matrix multiplication beside OpenBLAS's sgemm, in turn, and beside the most that this machine's registers could do.
//   npx tsx bench/gemm.ts [--threads N] [--rounds N] [--only TEXT] [--json]

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createDevice, linear, matmul, type Program, type Tensor } from '../src/index.js';
import { median, Peer } from './peer.js';

interface Shape {
  readonly what: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

/** A layer of `rows` × inputs → outputs: its forward, and the two products of its backward. */
function layer(rows: number, inputs: number, outputs: number): Shape[] {
  const what = `${rows}: ${inputs}→${outputs}`;
  return [
    { what: `${what} linear`, m: rows, n: outputs, k: inputs },
    { what: `${what} dx`, m: rows, n: inputs, k: outputs, transposeB: true },
    { what: `${what} dw`, m: inputs, n: outputs, k: rows, transposeA: true },
  ];
}

const shapes: Shape[] = [
  ...layer(128, 512, 512),
  ...layer(512, 512, 2048),
  ...layer(2048, 768, 3072),
  ...layer(2304, 128, 128),
  ...layer(2304, 128, 512),
  ...layer(2304, 512, 128),
  ...[1, 8, 32].map((rows) => ({ what: `${rows}: 768→3072 linear`, m: rows, n: 3072, k: 768 })),
  { what: '1: 512→30000 logits of a tied embedding', m: 1, n: 30000, k: 512, transposeB: true },
];

const { values: options } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '15' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
  },
});
const threads = Number(options.threads);

/** Seconds that threads of the last turn may go on spinning for work. */
const pause = 0.02;
/** Of a turn, about. */
const turn = 0.02;

const folder = mkdtempSync(join(tmpdir(), 'simdformer-gemm-'));
const program = join(folder, 'sgemm');
const source = fileURLToPath(new URL('peers/sgemm.c', import.meta.url));
const built = spawnSync('cc', ['-O3', '-march=native', source, '-o', program, '-ldl', '-pthread'], {
  encoding: 'utf8',
});
const peer = new Peer(program, []);
let peak: number | null = null;
try {
  if (built.status !== 0) throw new Error(built.stderr?.trim() || 'there is no C compiler (cc)');
  const rates = [];
  for (let round = 0; round < 5; round++) {
    const { seconds, flops } = await peer.ask<{ seconds: number; flops: number }>([0, 0, 0, 0, 0, threads, 2]);
    rates.push(flops / seconds);
  }
  peak = Math.max(...rates);
} catch (error) {
  console.error(
    `OpenBLAS is NOT measured: ${(error as Error).message}. On Debian: apt install gcc libopenblas0-openmp`,
  );
}

const device = await createDevice({ threads });

/** As sgemm.c fills it. */
function filled(rows: number, cols: number, period: number): Tensor {
  return device.tensor(
    Float32Array.from({ length: rows * cols }, (_, i) => (i % period) / period - 0.5),
    [rows, cols],
  );
}

/** Seconds for one product. */
function timeOurs(recorded: Program<Tensor>, times: number): number {
  const start = performance.now();
  for (let i = 0; i < times; i++) recorded.run();
  device.flushSync();
  return (performance.now() - start) / 1e3 / times;
}

async function measure({ what, m, n, k, transposeA = false, transposeB = false }: Shape) {
  const a = transposeA ? filled(k, m, 4093) : filled(m, k, 4093);
  const b = transposeB ? filled(n, k, 4091) : filled(k, n, 4091);
  const bias = device.zeros([n]);
  const recorded = device.record(() =>
    transposeA || transposeB ? matmul(a, b, { transposeA, transposeB }) : linear(a, b, bias),
  );
  const flops = 2 * m * n * k;
  const times = Math.max(1, Math.ceil(turn / (timeOurs(recorded, 3) + 1e-7)));
  const question = [transposeA, transposeB, m, n, k, threads, times].map(Number);
  const ours: number[] = [];
  const theirs: number[] = [];
  let sample: number[] = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    await setTimeout(pause * 1e3);
    ours.push(timeOurs(recorded, times));
    if (peak === null) continue;
    await setTimeout(pause * 1e3);
    const answer = await peer.ask<{ seconds: number; sample: number[] }>(question);
    theirs.push(answer.seconds);
    sample = answer.sample;
  }
  const y = recorded.result.dataSync();
  sample.forEach((theirY, i) => {
    const ourY = y[Math.floor(((m * n - 1) * i) / (sample.length - 1))] as number;
    // Terms are at most ¼; each answer rounds a sum of k of them.
    if (!(Math.abs(ourY - theirY) <= (k * Math.sqrt(k) + 8) * 2 ** -24))
      throw new Error(`${what}: ${ourY}, not ${theirY}`);
  });
  recorded.dispose();
  for (const tensor of [a, b, bias]) tensor.dispose();
  const seconds = median(ours);
  return {
    what,
    microseconds: seconds * 1e6,
    gigaflops: flops / seconds / 1e9,
    ofPeak: peak && flops / seconds / peak,
    openblasMicroseconds: peak && median(theirs) * 1e6,
    openblasGigaflops: peak && flops / median(theirs) / 1e9,
    ratio: peak && median(theirs) / seconds,
  };
}

const result = { isa: device.info.isa, threads, peakGigaflops: peak && peak / 1e9, products: [] as unknown[] };
if (!options.json) {
  const most = peak === null ? '' : `, peak of the registers ${(peak / 1e9).toFixed(0)} GFLOP/s`;
  console.log(`${device.info.isa}, ${threads} threads${most}; medians of ${options.rounds} turns\n`);
  console.log(`${''.padEnd(40)}      simdformer            OpenBLAS        ratio`);
}
for (const shape of shapes.filter(({ what }) => what.includes(options.only))) {
  const row = await measure(shape);
  result.products.push(row);
  if (options.json) continue;
  const speed = (microseconds: number, gigaflops: number) =>
    `${microseconds.toFixed(0).padStart(8)} µs ${gigaflops.toFixed(0).padStart(4)} GFLOP/s`;
  const { openblasMicroseconds: time, openblasGigaflops: rate, ratio } = row;
  const beside = time && rate && ratio ? `${speed(time, rate)}   ${ratio.toFixed(2)}` : 'not measured';
  console.log(`${row.what.padEnd(40)}${speed(row.microseconds, row.gigaflops)}${beside}`);
}
if (options.json) console.log(JSON.stringify(result));
peer.close();
rmSync(folder, { recursive: true });
device.dispose();
