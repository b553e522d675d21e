import { Command } from 'commander';
import { Random } from '../../core/random.js';
import { profile, renderProfile } from '../../inspect/profile.js';
import { Transformer } from '../../models/transformer.js';
import { integer } from '../parsers.js';
import { openDevice, printJson } from '../shared.js';

interface BenchOptions {
  dModel: number;
  heads: number;
  layers: number;
  batch: number;
  length: number;
  json?: boolean;
}

/** Time each of them long enough to be no accident. */
const SECONDS = 2;

export function benchCommand(): Command {
  return new Command('bench')
    .description(
      'time a forward pass of an encoder here, op by op (comparisons with other libraries: bench/ of the repository)',
    )
    .option('--d-model <n>', 'features', integer(1), 384)
    .option('--heads <n>', 'attention heads', integer(1), 12)
    .option('--layers <n>', 'layers', integer(1), 6)
    .option('--batch <n>', 'sequences', integer(1), 1)
    .option('--length <n>', 'tokens of each', integer(1), 128)
    .option('--json', 'print JSON')
    .action(async ({ dModel, heads, layers, batch, length, json }: BenchOptions, command: Command) => {
      using device = await openDevice(command);
      const sizes = { dModel, heads, encoderLayers: layers, decoderLayers: 0, maxLength: length };
      const model = new Transformer(device, { ...sizes, sourceVocab: 256 }).eval();
      const random = new Random(0);
      const tokens = Array.from({ length: batch }, () => Array.from({ length }, () => 1 + random.below(255)));
      const program = device.noGrad(() => device.record(() => model.forward(tokens)));
      const times: number[] = [];
      for (const end = performance.now() + 1000 * SECONDS; performance.now() < end; ) {
        const start = performance.now();
        program.run();
        device.flushSync();
        times.push(performance.now() - start);
      }
      times.sort((a, b) => a - b);
      const median = times[times.length >> 1] as number;
      const ops = profile(program);
      const result = {
        ...device.info,
        ...sizes,
        batch,
        milliseconds: median,
        fastest: times[0],
        gflopsPerSecond: program.flops / median / 1e6,
      };
      if (json) return printJson({ ...result, ops });
      console.log(
        `${layers} layers, d ${dModel}, ${batch} × ${length} tokens, ${device.info.isa}, ${device.info.threads} threads`,
      );
      console.log(
        `median ${median.toFixed(2)} ms, fastest ${times[0]?.toFixed(2)} ms, ${result.gflopsPerSecond.toFixed(0)} GFLOP/s\n`,
      );
      console.log(renderProfile(ops));
    });
}
