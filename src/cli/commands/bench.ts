import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { Command } from 'commander';
import type { Device } from '../../core/device.js';
import { ArgumentError } from '../../core/errors.js';
import { Random } from '../../core/random.js';
import { profile, renderProfile } from '../../inspect/profile.js';
import { Transformer } from '../../models/families/transformer.js';
import type { LoadModelOptions } from '../../pretrained/index.js';
import { AdamW } from '../../train/adamw.js';
import { benchModel } from '../bench-model.js';
import { openDevice, printJson } from '../common.js';
import { example } from '../help.js';
import { integer } from '../parsers.js';
import { exiting } from '../stopping.js';
import { weightsOption } from '../weights-option.js';

interface BenchOptions {
  dModel: number;
  heads: number;
  layers: number;
  batch: number;
  length: number;
  tokens: number;
  weights?: LoadModelOptions['weights'];
  train?: boolean;
  json?: boolean;
}

/** Seconds per measurement, long enough to average out disturbances. */
const SECONDS = 2;

/** Approximate bytes that V8 needs for a row of a batch, besides its tokens. */
const BYTES_OF_ROW = 256;

const MIB = 2 ** 20;

export function benchCommand(): Command {
  return new Command('bench')
    .description('measure the speed of an encoder, op by op, or how fast a pretrained model reads and writes')
    .argument('[model]', 'GGUF file or folder of a pretrained model (default: an encoder of the sizes below)')
    .option('--d-model <n>', 'features of each token', integer(1), 384)
    .option('--heads <n>', 'attention heads of each layer', integer(1), 12)
    .option('--layers <n>', 'number of layers', integer(1), 6)
    .option('--batch <n>', 'number of sequences', integer(1), 1)
    .option('--length <n>', 'tokens of each sequence', integer(1), 128)
    .option('--tokens <n>', 'number of tokens that a pretrained model generates', integer(1), 64)
    .addOption(weightsOption())
    .option('--train', 'measure a training step: its time, and its memory without and with gradient checkpointing')
    .option('--json', 'print JSON')
    .addHelpText('after', example('bench model.gguf --tokens 32'))
    .action(async (name: string | undefined, options: BenchOptions, command: Command) => {
      const { dModel, heads, layers, batch, length, train, json } = options;
      checkBatch(dModel, batch, length);
      using device = await openDevice(command);
      if (name !== undefined) return await printSpeed(device, name, options);
      const sizes = { dModel, heads, encoderLayers: layers, decoderLayers: 0, maxLength: length };
      // Drawing the weights does not let the event loop run. Until then, a signal ends the program without a listener.
      const model = new Transformer(device, { ...sizes, sourceVocab: 256 });
      using _exiting = exiting();
      const random = new Random(0);
      const tokens = Array.from({ length: batch }, () => Array.from({ length }, () => 1 + random.below(255)));
      const title = `${layers} layers, d ${dModel}, ${batch} × ${length} tokens, ${device.info.isa}, ${device.info.threads} threads`;
      if (train) {
        const steps = await trainingSteps(model, tokens);
        if (json) return printJson({ ...device.info, ...sizes, batch, ...steps });
        console.log(`${title}: a training step`);
        console.log(describeStep('plain', steps.plain));
        console.log(describeStep('gradient checkpointing', steps.checkpointed));
        return;
      }
      model.eval();
      const program = device.noGrad(() => device.record(() => model.forward(tokens)));
      const [median, fastest] = await timesOf(() => {
        program.run();
        return device.flush();
      });
      const ops = profile(program);
      const result = {
        ...device.info,
        ...sizes,
        batch,
        milliseconds: median,
        fastest,
        gflopsPerSecond: program.flops / median / 1e6,
      };
      if (json) return printJson({ ...result, ops });
      console.log(title);
      console.log(
        `median ${median.toFixed(2)} ms, fastest ${fastest.toFixed(2)} ms, ${result.gflopsPerSecond.toFixed(0)} GFLOP/s\n`,
      );
      console.log(renderProfile(ops));
    });
}

async function printSpeed(device: Device, name: string, options: BenchOptions): Promise<void> {
  using _exiting = exiting();
  const { batch, length, tokens, json, weights } = options;
  const speed = await benchModel(device, name, { batch, length, tokens, weights });
  if (json) return printJson({ ...device.info, batch, length, tokens, ...speed });
  const perSecond = (rate: number) => `${rate.toFixed(1).padStart(8)} tokens/s`;
  console.log(`${name}: ${device.info.isa}, ${device.info.threads} threads`);
  console.log(
    `loaded in        ${speed.loadMilliseconds.toFixed(0).padStart(8)} ms, ${(speed.bytes / MIB).toFixed(1)} MiB`,
  );
  console.log(`reads            ${perSecond(speed.read)}, ${batch} × ${length}`);
  if (speed.written !== null) console.log(`writes           ${perSecond(speed.written)}, ${batch} × ${tokens}`);
}

/** Throws ArgumentError for a batch that exceeds this machine's memory. V8 would end the program. */
function checkBatch(dModel: number, batch: number, length: number): void {
  const tokens = batch * length;
  const isHeld = 4 * dModel * tokens <= totalmem(); // output of one layer
  const isMade = BYTES_OF_ROW * batch + 8 * tokens <= getHeapStatistics().heap_size_limit;
  if (isHeld && isMade) return;
  throw new ArgumentError(
    `${batch} × ${length} tokens of ${dModel} features need more memory than this machine has: give smaller sizes`,
  );
}

/** Times of `run` in milliseconds. The event loop runs meanwhile, which Ctrl-C needs. */
async function timesOf(run: () => Promise<void>): Promise<[median: number, fastest: number]> {
  const times: number[] = [];
  for (const end = performance.now() + 1000 * SECONDS; performance.now() < end; ) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return [times[times.length >> 1] as number, times[0] as number];
}

interface TrainingStep {
  readonly milliseconds: number;
  /** Maximum number of bytes in use, besides parameters and the optimizer's state. */
  readonly bytes: number;
}

/** A step of AdamW on the loss of predicting each token, with and without activation checkpointing. */
async function trainingSteps(
  model: Transformer,
  tokens: number[][],
): Promise<Record<'plain' | 'checkpointed', TrainingStep>> {
  const { device } = model;
  const adamw = new AdamW(model.parameters());
  const source = model.batch(tokens);
  const measure = async (gradientCheckpointing: boolean): Promise<TrainingStep> => {
    model.gradientCheckpointing = gradientCheckpointing;
    const step = () => {
      device.scope(() => {
        model.loss(source, tokens).backward();
        adamw.step({ maxNorm: 1 });
        adamw.zeroGrad();
      });
      return device.flush();
    };
    await step();
    const { used } = device.memory();
    device.resetPeak();
    const [milliseconds] = await timesOf(step);
    return { milliseconds, bytes: device.memory().peak - used };
  };
  return { plain: await measure(false), checkpointed: await measure(true) };
}

function describeStep(name: string, { milliseconds, bytes }: TrainingStep): string {
  return `${name.padEnd(23)} ${milliseconds.toFixed(1).padStart(8)} ms ${(bytes / MIB).toFixed(1).padStart(9)} MiB`;
}
