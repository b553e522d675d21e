// WebAssembly in Node, beside onnxruntime-web and beside a loop that only multiplies and adds.

import { createRequire } from 'node:module';
import type { Bench } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { encoderSizes, encoderWork } from './harness/encoders.js';
import { OURS } from './harness/ours.js';
import { peerPackage } from './harness/packages.js';
import { type LinearSizes, type OnnxRuntime, Side } from './wasm/side.js';

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
    const side = new Side(createRequire(import.meta.url)(folder) as OnnxRuntime);
    const contestant = (name: string, shown = name): Contestant => ({
      name: shown,
      take: (repeats) => side.take(name, repeats),
    });
    for (const size of Object.keys(encoderSizes) as (keyof typeof encoderSizes)[]) {
      const what = `Node: encoder ${size}, 1 × 128 tokens`;
      if (!run.wants(what)) continue;
      run.version(OURS, `wasm ${await side.encoder(size, [1, 128])}`);
      const outcome = await contest([contestant('ours', OURS), contestant('onnxruntime-web')], {
        rounds: run.rounds(11),
      });
      const { flops } = encoderWork(encoderSizes[size], [1, 128]);
      await run.row(what, outcome, null, { 'GFLOP/s': flops / (outcome.times[OURS]?.median as number) / 1e9 });
    }
    for (const shape of shapes) {
      const what = `Node: linear ${shape.rows} rows, ${shape.inputs}→${shape.outputs}`;
      if (!run.wants(what)) continue;
      await side.linear(shape);
      const others = [contestant('hand-tiled loop'), contestant('2 threads')];
      const outcome = await contest([contestant('1 thread', OURS), ...others], { rounds: run.rounds(21) });
      const flops = 2 * shape.rows * shape.inputs * shape.outputs;
      await run.row(what, outcome, null, { 'GFLOP/s': flops / (outcome.times[OURS]?.median as number) / 1e9 });
    }
    await side.clear();
  },
} satisfies Bench;
