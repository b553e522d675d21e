// Measures the TypeScript side by itself: encoding ops, recording, tokenizers. Uses the `benchmark` package.

import Benchmark from 'benchmark';
import { CharTokenizer, createDevice, Transformer } from '../src/index.js';
import { add, layerNorm, linear } from '../src/ops/index.js';
import { BpeTokenizer } from '../src/tokenizers/index.js';
import type { Bench } from './harness/bench.js';
import { describeDevice } from './harness/machine.js';
import { OURS } from './harness/ours.js';
import { summarize } from './harness/statistics.js';

export default {
  question: 'What do encoding an op, recording, running a program and tokenizing cost in JavaScript?',
  async run(run) {
    const device = await createDevice({ threads: 1 });
    run.version(OURS, describeDevice(device));
    run.version('benchmark', Benchmark.version);
    const [x, y] = [device.zeros([4, 8]), device.zeros([4, 8])];
    const [w, b] = [device.zeros([8, 8]), device.zeros([8])];
    const model = new Transformer(device, {
      dModel: 8,
      heads: 2,
      dFF: 8,
      encoderLayers: 4,
      decoderLayers: 4,
      sourceVocab: 9,
      targetVocab: 9,
    });
    model.eval();
    const forward = () => model.forward([[1, 2, 3]], [[1, 2, 3]]);
    const program = device.noGrad(() => device.record(forward));
    const commands = program.commands.length;
    const text = 'the quick brown fox jumps over the lazy dog while eleven benevolent elephants applaud '.repeat(12);
    const characters = CharTokenizer.train(text);
    const bpe = BpeTokenizer.train(text, { vocabSize: 300 });
    const params = [w, b];
    /** Tasks, each with the number of units that one call processes. */
    const tasks: readonly (readonly [what: string, unit: string, count: number, work: () => unknown])[] = [
      ['add, encoded', 'op', 1, () => device.scope(() => add(x, y))],
      ['linear, encoded', 'op', 1, () => device.scope(() => linear(x, w, b))],
      ['layerNorm, encoded', 'op', 1, () => device.scope(() => layerNorm(x, b, b))],
      [
        'linear and its backward, encoded',
        'op',
        2,
        () => {
          for (const param of params) param.requiresGrad = true;
          device.scope(() => linear(x, w, b).backward(y));
          for (const param of params) param.requiresGrad = false;
        },
      ],
      [
        'recording a model of 4+4 layers',
        'command',
        commands,
        () => device.noGrad(() => device.record(forward)).dispose(),
      ],
      [
        'running the recorded model, tiny kernels included',
        'command',
        commands,
        () => {
          program.run();
          device.flushSync();
        },
      ],
      ['CharTokenizer.encode', 'character', text.length, () => characters.encode(text)],
      ['BpeTokenizer.encode', 'character', text.length, () => bpe.encode(text)],
    ];
    for (const [what, unit, count, work] of tasks) {
      if (!run.wants(what)) continue;
      const { stats } = await measure(what, work, run.options.quick ? 0.3 : 3);
      device.flushSync();
      const times = { [OURS]: summarize(stats.sample) };
      run.row(
        what,
        { times, ratios: {}, shares: {} },
        {
          [`ns a ${unit}`]: ((times[OURS]?.median as number) / count) * 1e9,
        },
      );
    }
    device.dispose();
  },
} satisfies Bench;

function measure(name: string, work: () => unknown, maxTime: number): Promise<Benchmark> {
  return new Promise((resolve, reject) => {
    const benchmark: Benchmark = new Benchmark(name, work, {
      maxTime,
      onComplete: () => (benchmark.error ? reject(benchmark.error) : resolve(benchmark)),
    });
    benchmark.run({ async: true });
  });
}
