// Generation with the key–value cache, beside the limits of the machine's memory and multiply-adds: 32 tokens from 32.

import { createDevice, type Device, type GenerateOptions, Transformer } from '../src/index.js';
import { Random } from '../src/nn/index.js';
import type { Bench } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { BenchError } from './harness/error.js';
import { LIMIT, type Work } from './harness/limits.js';
import { describeDevice } from './harness/machine.js';
import { OURS } from './harness/ours.js';

const LENGTH = 32;
const KERNELS = 'kernels alone';
const VOCABULARY = { large: 32000, small: 50 };

const models = {
  '6+6 layers, d 512': { dModel: 512, heads: 8, layers: 6, dFF: 2048, vocabulary: VOCABULARY.large },
  '4+4 layers, d 128': { dModel: 128, heads: 4, layers: 4, dFF: 512, vocabulary: VOCABULARY.small },
} as const;

interface Task {
  readonly model: keyof typeof models;
  readonly beams: number;
  readonly batch: number;
  /**
   * Milliseconds of CTranslate2 in float32, measured on another machine, because npm and Debian do not have it. `limit`
   * is that of the other machine: two AVX-512 cores with 267 GFLOP/s, and 53 GB/s from memory.
   */
  readonly ctranslate2: number;
  readonly itsLimit: number;
}

const tasks: readonly Task[] = [
  { model: '6+6 layers, d 512', beams: 1, batch: 1, ctranslate2: 125, itsLimit: 101 },
  { model: '6+6 layers, d 512', beams: 1, batch: 16, ctranslate2: 693, itsLimit: 115 },
  { model: '6+6 layers, d 512', beams: 1, batch: 32, ctranslate2: 859, itsLimit: 180 },
  { model: '6+6 layers, d 512', beams: 4, batch: 1, ctranslate2: 205, itsLimit: 106 },
  { model: '6+6 layers, d 512', beams: 4, batch: 16, ctranslate2: 1036, itsLimit: 330 },
  { model: '4+4 layers, d 128', beams: 1, batch: 1, ctranslate2: 2.5, itsLimit: 0.7 },
  { model: '4+4 layers, d 128', beams: 1, batch: 32, ctranslate2: 24, itsLimit: 3 },
];

const nameOf = ({ model, beams, batch }: Task) => `${model}, ${beams > 1 ? `beam ${beams}` : 'greedy'}, batch ${batch}`;

export default {
  question: 'How fast is generation, beside what reading the weights and multiplying takes?',
  async run(run) {
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    run.note(
      'CTranslate2 is NOT measured, npm and Debian do not have it: compared by the share of the limit it reached',
    );
    for (const [name, sizes] of Object.entries(models)) {
      const wanted = tasks.filter((task) => task.model === name && run.wants(nameOf(task)));
      if (wanted.length === 0) continue;
      const { dModel, heads, layers, dFF, vocabulary } = sizes;
      const model = new Transformer(device, {
        dModel,
        heads,
        dFF,
        encoderLayers: layers,
        decoderLayers: layers,
        sourceVocab: vocabulary,
        targetVocab: vocabulary,
        maxLength: 64,
      }).eval();
      for (const task of wanted) {
        const sources = sourcesOf(task.batch, vocabulary);
        const options: GenerateOptions = { maxNewTokens: LENGTH, minNewTokens: LENGTH, numBeams: task.beams };
        await check(model, sources, options);
        const take = async (repeats: number) => {
          const start = performance.now();
          for (let i = 0; i < repeats; i++) await model.generate(sources, options);
          return { seconds: (performance.now() - start) / 1e3 / repeats };
        };
        const contestants: Contestant[] = [{ name: OURS, take }];
        const kernels =
          task.beams === 1 && vocabulary === VOCABULARY.small ? kernelsAlone(device, model, sources) : null;
        if (kernels) contestants.push(kernels);
        contestants.push(run.limits.contestant(workOf(model, task), run.threads));
        const outcome = await contest(contestants, {
          rounds: run.rounds(9),
          seconds: 4,
          warming: 2,
        });
        kernels?.dispose();
        const seconds = outcome.times[OURS]?.median as number;
        const inKernels = outcome.shares[KERNELS];
        run.row(nameOf(task), outcome, {
          'tokens/s': (task.batch * LENGTH) / seconds,
          ...(inKernels ? { 'µs a step outside kernels': ((seconds * (1 - inKernels)) / LENGTH) * 1e6 } : {}),
          'beside CTranslate2, by the limits': (task.ctranslate2 / task.itsLimit) * (outcome.shares[LIMIT] as number),
        });
      }
      model.dispose();
    }
    device.dispose();
  },
} satisfies Bench;

function sourcesOf(batch: number, vocabulary: number): number[][] {
  const random = new Random(1);
  return Array.from({ length: batch }, () => Array.from({ length: LENGTH }, () => 3 + random.below(vocabulary - 3)));
}

/** Throws unless a pass over the finished sequences, without a cache, gives every token the same log-probability. */
async function check(model: Transformer, sources: number[][], options: GenerateOptions): Promise<void> {
  const { sequences, logProbabilities } = await model.generate(sources, options);
  const targets = sequences.map((tokens) => [model.startId as number, ...tokens]);
  const scores = await model.score(sources, targets);
  for (const [i, expected] of scores.logProbabilities.entries()) {
    const given = logProbabilities[i] as number[];
    const worst = Math.max(...expected.map((value, at) => Math.abs(value - (given[at] as number))));
    if (given.length !== LENGTH || !(worst < 1e-3))
      throw new BenchError(`sequence ${i} of ${given.length} tokens is off by ${worst}`);
  }
}

/**
 * Runs only the encoder and the recorded steps, queued at once: without choosing tokens, copies, and returns to
 * JavaScript.
 */
function kernelsAlone(device: Device, model: Transformer, sources: number[][]): Contestant & { dispose(): void } {
  const batch = model.batch(sources);
  return device.noGrad(() => {
    const encoding = device.record(() => model.encode(batch).hidden);
    const memory = { hidden: encoding.result, batch };
    const state = model.startDecoding({ memory, maxLength: LENGTH });
    const step = device.record(() => model.step(state));
    const take = async (repeats: number) => {
      let milliseconds = 0;
      for (let i = 0; i < repeats; i++) {
        model.restartDecoding(state, memory);
        device.flushSync();
        const start = performance.now();
        encoding.run();
        for (let token = 0; token < LENGTH; token++) step.run();
        device.flushSync();
        milliseconds += performance.now() - start;
      }
      return { seconds: milliseconds / 1e3 / repeats };
    };
    const dispose = () => {
      step.dispose();
      state.dispose();
      encoding.dispose();
    };
    return { name: KERNELS, isReference: true, take, dispose };
  });
}

/**
 * Counts the work: weights are read once for the encoder's pass and once for every step; each token multiplies all of
 * them.
 */
function workOf({ config }: Transformer, { batch, beams }: Task): Work {
  const { dModel, dFF, encoderLayers, decoderLayers, targetVocab } = config;
  const square = dModel * dModel;
  // Keys and values of the encoder's output are made once, too.
  const reading = encoderLayers * (4 * square + 2 * dModel * dFF) + decoderLayers * 2 * square;
  const step = decoderLayers * (6 * square + 2 * dModel * dFF) + dModel * targetVocab;
  const work = (weights: number, tokens: number) => ({ flops: 2 * weights * tokens, bytes: 4 * weights });
  const steps = [
    [1, work(reading, batch * LENGTH)],
    [LENGTH, work(step, batch * beams)],
  ] as const;
  return { steps };
}
