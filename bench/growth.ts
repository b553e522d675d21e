// How time and memory grow with sequence length, batch, parameters, vocabulary and requests. Each axis is measured at
// several sizes. A line through the logarithms of size and time gives an exponent, and a line through size and
// theoretical work another one. The first must not exceed the second by more than 10 %. Draws bench/results/growth.svg.
//
//     npm run bench -- growth

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ContinuousBatching } from '../src/generate/index.js';
import { createDevice, type Device, Transformer } from '../src/index.js';
import { PackedWeight } from '../src/nn/index.js';
import { crossEntropy, linear } from '../src/ops/index.js';
import { type Bench, type Run, resultsFolder } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { type EncoderSizes, encoderWork, makeEncoder, recordEncoder } from './harness/encoders.js';
import { exponentOf, type Growth, growthChart, type Point } from './harness/growth.js';
import { LIMIT, type Work } from './harness/limits.js';
import { describeDevice } from './harness/machine.js';
import { OURS, patterned } from './harness/ours.js';
import { randomBlocks } from './real/random-gguf.js';

/** The work of one size, prepared. `run` does it once. */
interface Prepared {
  run(): void | Promise<void>;
  dispose(): void | Promise<void>;
}

interface Axis {
  readonly what: string;
  /** Name of the size, for the figure. */
  readonly unit: string;
  readonly sizes: readonly number[];
  /**
   * Work in theory: a number in any unit, or work whose time is measured as the machine's limit. Choose the second if
   * reading memory bounds the time, because caches hold the data of small sizes and read them faster.
   */
  theory(size: number): number | Work;
  prepare(device: Device, size: number): Prepared;
  /** Memory in theory, in any unit. Memory is measured only if this is given. */
  memory?(size: number): number;
}

/** Largest ratio of an exponent to that of theory. */
const MAX_RATIO = 1.1;

const doubled = (from: number, to: number) => Array.from({ length: Math.log2(to / from) + 1 }, (_, i) => from * 2 ** i);

const narrow: EncoderSizes = { layers: 2, dModel: 64, heads: 2, dFF: 256 };
const VOCABULARY = 512;
/** Number of steps that are timed together after a long text. */
const STEPS = 16;

function encode(device: Device, batch: number, tokens: number): Prepared {
  const model = makeEncoder(device, narrow);
  const { program, dispose } = recordEncoder(device, model, [batch, tokens]);
  return {
    run: () => {
      program.run();
      device.flushSync();
    },
    dispose: () => {
      dispose();
      model.dispose();
    },
  };
}

function languageModel(device: Device, maxLength: number): Transformer {
  const { layers, dModel, heads, dFF } = narrow;
  const sizes = { dModel, heads, dFF, encoderLayers: 0, decoderLayers: layers, targetVocab: VOCABULARY, maxLength };
  return new Transformer(device, { ...sizes, norm: 'pre', positions: 'rotary', dropout: 0 });
}

const textOf = (length: number, seed = 0) =>
  Array.from({ length }, (_, i) => 3 + ((i * 7919 + seed * 104729) % (VOCABULARY - 3)));

/** Operations of a forward pass of `languageModel` over `tokens` tokens. */
const decoderFlops = (tokens: number) =>
  encoderWork(narrow, [1, tokens]).flops + 2 * tokens * narrow.dModel * VOCABULARY;

const axes: readonly Axis[] = [
  {
    what: 'an encoder over one sequence',
    unit: 'tokens',
    sizes: doubled(256, 32768),
    theory: (tokens) => encoderWork(narrow, [1, tokens]).flops,
    memory: (tokens) => tokens,
    prepare: (device, tokens) => encode(device, 1, tokens),
  },
  {
    what: 'a training step of one sequence',
    unit: 'tokens',
    sizes: doubled(256, 8192),
    theory: decoderFlops,
    memory: (tokens) => tokens,
    prepare: (device, tokens) => {
      const model = languageModel(device, tokens + 1);
      const text = textOf(tokens);
      return {
        run: () => {
          device.scope(() => model.loss(null, [text]).backward());
          device.flushSync();
          for (const parameter of model.parameters()) parameter.grad?.dispose();
        },
        dispose: () => model.dispose(),
      };
    },
  },
  {
    what: 'a token after a long text',
    unit: 'tokens before it',
    sizes: doubled(512, 32768),
    // Keys and values are read, besides the weights.
    theory: (context) => {
      const keysAndValues = 2 * narrow.layers * narrow.dModel * context;
      const { bytes } = encoderWork(narrow, [1, 1]);
      return { steps: [[STEPS, { flops: 2 * keysAndValues, bytes: 4 * keysAndValues + bytes }]] };
    },
    memory: (context) => context,
    prepare: (device, context) => {
      const model = languageModel(device, context + 1).eval();
      const state = model.startDecoding({ sequences: 1, maxLength: context + 1 });
      model.extend(state, [textOf(context)], { logits: 'none' });
      state.tokens.write(Int32Array.of(5));
      const program = device.record(() => model.step(state));
      return {
        run: () => {
          for (let step = 0; step < STEPS; step++) {
            state.setLengths(Int32Array.of(context));
            program.run();
          }
          device.flushSync();
        },
        dispose: () => {
          program.dispose();
          state.dispose();
          model.dispose();
        },
      };
    },
  },
  {
    what: 'an encoder over a batch of 64 tokens each',
    unit: 'sequences',
    sizes: doubled(1, 512),
    theory: (batch) => batch,
    memory: (batch) => batch,
    prepare: (device, batch) => encode(device, batch, 64),
  },
  {
    what: 'a token through int4 weights',
    unit: 'parameters',
    sizes: doubled(2 ** 27, 2 ** 32),
    theory: (parameters) => ({ flops: 2 * parameters, bytes: (18 / 32) * parameters }), // 18 bytes hold 32 weights
    memory: (parameters) => parameters,
    prepare: (device, parameters) => {
      const side = 4096;
      const blocks = randomBlocks('Q4_0', side, side);
      const count = parameters / side ** 2;
      const weights = Array.from({ length: count }, () =>
        PackedWeight.fromBlocks(device, 'q4_0', [side, side], blocks),
      );
      const x = patterned(device, [1, side], 1021);
      const program = device.noGrad(() => device.record(() => weights.map((weight) => weight.linear(x, null)).at(-1)));
      return {
        run: () => {
          program.run();
          device.flushSync();
        },
        dispose: () => {
          program.dispose();
          x.dispose();
          for (const weight of weights) weight.dispose();
        },
      };
    },
  },
  {
    what: 'logits, loss and gradients of 64 tokens',
    unit: 'words in the vocabulary',
    sizes: doubled(1024, 262144),
    theory: (vocabulary) => vocabulary,
    memory: (vocabulary) => vocabulary,
    prepare: (device, vocabulary) => {
      const [x, w] = [patterned(device, [64, 64], 1021), patterned(device, [64, vocabulary], 1019)];
      for (const each of [x, w]) each.requiresGrad = true;
      const targets = device.tensor(
        Int32Array.from({ length: 64 }, (_, i) => (i * 131) % vocabulary),
        [64],
      );
      return {
        run: () => {
          device.scope(() => crossEntropy(linear(x, w), targets).backward());
          device.flushSync();
          for (const each of [x, w]) each.grad?.dispose();
        },
        dispose: () => {
          for (const each of [x, w, targets]) each.dispose();
        },
      };
    },
  },
  {
    what: 'requests that generate 16 tokens at the same time',
    unit: 'requests',
    sizes: doubled(1, 128),
    theory: (requests) => requests,
    prepare: (device, requests) => {
      const model = languageModel(device, 64).eval();
      const batching = new ContinuousBatching(model, { parallel: 16, maxWaiting: 128 });
      const ask = async (request: number) => {
        const options = { maxNewTokens: 16, stopTokens: [], prefixScope: `${request}` };
        for await (const _ of batching.stream(textOf(16, request), options));
      };
      return {
        run: async () => void (await Promise.all(Array.from({ length: requests }, (_, i) => ask(i)))),
        dispose: async () => {
          await batching.dispose();
          model.dispose();
        },
      };
    },
  },
];

export default {
  question: 'How do time and memory grow with the size of the work?',
  async run(run) {
    const growths: Growth[] = [];
    for (const axis of axes) if (run.wants(axis.what)) growths.push(...(await measure(run, axis)));
    for (const { what, measured, theory } of growths) {
      const ratio = exponentOf(measured) / exponentOf(theory);
      run.summary[`${what}: exponent relative to theory`] = ratio;
      if (ratio > MAX_RATIO) run.note(`${what} grows faster than theory: ${ratio.toFixed(2)}`);
    }
    if (!run.options.quick && run.options.only === null)
      writeFileSync(join(resultsFolder, 'growth.svg'), growthChart(growths));
  },
} satisfies Bench;

/** Measures all sizes of an axis in turn. */
async function measure(run: Run, { what, unit, sizes, theory, memory, prepare }: Axis): Promise<Growth[]> {
  const device = await createDevice({ threads: run.threads });
  run.version(OURS, describeDevice(device));
  const times: Point[] = [];
  const bytes: Point[] = [];
  const expected: Point[] = [];
  for (const size of sizes) {
    const before = device.memory().used;
    device.resetPeak();
    const prepared = prepare(device, size);
    const contestant: Contestant = {
      name: OURS,
      take: async (repeats) => {
        const start = performance.now();
        for (let i = 0; i < repeats; i++) await prepared.run();
        return { seconds: (performance.now() - start) / 1e3 / repeats };
      },
    };
    const work = theory(size);
    const limit = typeof work === 'number' ? [] : [run.limits.contestant(work, run.threads)];
    const outcome = await contest([contestant, ...limit], { rounds: run.rounds(9), seconds: 5 });
    const grown = device.memory().peak - before;
    await prepared.dispose();
    times.push([size, outcome.times[OURS]?.median as number]);
    expected.push([size, typeof work === 'number' ? work : (outcome.times[LIMIT]?.median as number)]);
    bytes.push([size, grown]);
    run.row(`${what}, ${size} ${unit}`, outcome, memory ? { MB: grown / 1e6 } : {});
  }
  device.dispose();
  const time: Growth = { what: `time of ${what}`, unit, measured: times, theory: expected };
  if (!memory) return [time];
  const inTheory = sizes.map((size): Point => [size, memory(size)]);
  return [time, { what: `memory of ${what}`, unit, measured: bytes, theory: inTheory }];
}
