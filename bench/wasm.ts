// WebAssembly in Node and in Chromium, beside onnxruntime-web, and beside a bare loop of multiply-adds.

import { createRequire } from 'node:module';
import type { Bench, Run } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { encoderSizes, encoderWork } from './harness/encoders.js';
import { OURS } from './harness/ours.js';
import { peerPackage } from './harness/packages.js';
import { summarize } from './harness/statistics.js';
import { ChromiumSide, coldStarts, whyNoChromium } from './wasm/chromium.js';
import { type LinearSizes, type OnnxRuntime, Side, type Sides } from './wasm/side.js';

const shapes: readonly LinearSizes[] = [
  { rows: 128, inputs: 512, outputs: 512 },
  { rows: 512, inputs: 512, outputs: 2048 },
  { rows: 2048, inputs: 768, outputs: 768 },
];

export default {
  question: 'How fast is WebAssembly on one thread, beside onnxruntime-web and a hand-tiled loop, and on two?',
  async run(run) {
    const { folder, version } = peerPackage('onnxruntime-web');
    run.version('onnxruntime-web', version);
    await measure(run, 'Node', new Side(createRequire(import.meta.url)(folder) as OnnxRuntime));
    const missing = whyNoChromium();
    if (missing !== null) return run.note(`Chromium is NOT measured: ${missing}`);
    const chromium = await ChromiumSide.open(folder);
    try {
      run.version('Chromium', chromium.version());
      await measure(run, 'Chromium', chromium);
    } finally {
      await chromium.close();
    }
    const what = 'Chromium: import to first result, files in the HTTP cache';
    if (run.wants(what))
      run.row(what, { times: { [OURS]: summarize(await coldStarts(run.rounds(15))) }, ratios: {}, shares: {} });
  },
} satisfies Bench;

async function measure(run: Run, where: string, side: Sides): Promise<void> {
  const contestant = (name: string, shown = name, isReference = false): Contestant => ({
    name: shown,
    isReference,
    take: (repeats) => side.take(name, repeats),
  });
  for (const size of Object.keys(encoderSizes) as (keyof typeof encoderSizes)[]) {
    const what = `${where}: encoder ${size}, 1 × 128 tokens`;
    if (!run.wants(what)) continue;
    run.version(`${OURS} in ${where}`, `wasm ${await side.encoder(size, [1, 128])}`);
    const outcome = await contest([contestant('ours', OURS), contestant('onnxruntime-web')], {
      rounds: run.rounds(11),
    });
    const { flops } = encoderWork(encoderSizes[size], [1, 128]);
    run.row(what, outcome, { 'GFLOP/s': flops / (outcome.times[OURS]?.median as number) / 1e9 });
  }
  for (const shape of shapes) {
    const what = `${where}: linear ${shape.rows} rows, ${shape.inputs}→${shape.outputs}`;
    if (!run.wants(what)) continue;
    await side.linear(shape);
    const others = ['hand-tiled loop', '2 threads'].map((name) => contestant(name, name, true));
    const outcome = await contest([contestant('1 thread', OURS), ...others], { rounds: run.rounds(21) });
    const [one, loop, two] = [OURS, 'hand-tiled loop', '2 threads'].map(
      (name) => outcome.times[name]?.median as number,
    ) as [number, number, number];
    run.row(what, outcome, {
      'GFLOP/s': (2 * shape.rows * shape.inputs * shape.outputs) / one / 1e9,
      'of the hand-tiled loop': loop / one,
      'times as fast on 2 threads': one / two,
    });
  }
  await side.clear();
}
