// What `simdformer train` can train: data, tokenizers, a model's options and how to fit it, with a measure of success.

import { readFile } from 'node:fs/promises';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import { Random } from '../core/random.js';
import type { TransformerOptions } from '../models/config.js';
import { Transformer } from '../models/transformer.js';
import { CharTokenizer } from '../tokenizers/char.js';
import type { Tokenizer } from '../tokenizers/tokenizer.js';
import { WordTokenizer } from '../tokenizers/word.js';
import { AdamW } from '../train/adamw.js';
import { type Batches, type Example, lengthBatches, windowBatches } from '../train/batches.js';
import { constant, cosine, inverseSquareRoot, linearDecay, type Schedule } from '../train/schedule.js';
import { type Pair, readDictionary, readPairs } from './data.js';
import { errorRates } from './metrics.js';

/** A task as a JSON file gives it; what is left out is taken from the built-in task named by `task`. */
export interface TaskConfig {
  /** `pronunciation`: pairs, letters to phonemes. `characters`: a text, character by character. */
  task: 'pronunciation' | 'characters';
  /** A file; for `pronunciation` the npm dictionary if it is left out. */
  data?: string;
  model?: TransformerOptions;
  steps?: number;
  epochs?: number;
  /** Tokens in a batch; for `characters` windows in a batch. */
  batch?: number;
  schedule?: { kind: 'constant' | 'cosine' | 'linear' | 'inverseSquareRoot'; peak: number; warmup?: number };
  optimizer?: { beta1?: number; beta2?: number; eps?: number; weightDecay?: number };
  labelSmoothing?: number;
  clipNorm?: number | null;
  averageLast?: number;
  emaDecay?: number;
  /** Pairs, or the share of a text, held out for validation. */
  validation?: number;
  validateEvery?: number;
  seed?: number;
}

/** Ready to be trained. */
export interface PreparedTask {
  readonly config: Required<Pick<TaskConfig, 'seed'>> & TaskConfig;
  readonly model: Transformer;
  readonly batches: Batches;
  readonly steps: number;
  readonly schedule: Schedule;
  readonly optimizer: AdamW;
  /** What the validation measures; lower is better. */
  validate(): Promise<Record<string, number>>;
}

const BUILT_IN: Record<TaskConfig['task'], TaskConfig> = {
  pronunciation: {
    task: 'pronunciation',
    model: {
      dModel: 128,
      heads: 4,
      encoderLayers: 4,
      decoderLayers: 4,
      dFF: 512,
      norm: 'pre',
      dropout: 0.1,
      maxLength: 64,
    },
    epochs: 30,
    batch: 4096,
    schedule: { kind: 'linear', peak: 2e-3, warmup: 1000 },
    optimizer: { beta2: 0.98, eps: 1e-9, weightDecay: 0 },
    labelSmoothing: 0.1,
    validation: 1500,
    validateEvery: 1000,
  },
  // nanoGPT's configuration for CPUs: config/train_shakespeare_char.py with the arguments of its README.
  characters: {
    task: 'characters',
    model: {
      dModel: 128,
      heads: 4,
      encoderLayers: 0,
      decoderLayers: 4,
      dFF: 512,
      activation: 'gelu',
      norm: 'pre',
      dropout: 0,
      maxLength: 64,
      positions: 'learned',
      embeddingScale: false,
      tieEmbeddings: true,
    },
    steps: 2000,
    batch: 12,
    schedule: { kind: 'cosine', peak: 1e-3, warmup: 100 },
    optimizer: { beta2: 0.99, eps: 1e-8, weightDecay: 0.1 },
    validation: 0.1,
    validateEvery: 250,
  },
};

export const TASKS = Object.keys(BUILT_IN);

/** A built-in task by name, or one from a JSON file, with `overrides` on top. */
export async function readTask(nameOrPath: string, overrides: Partial<TaskConfig>): Promise<TaskConfig> {
  let given: TaskConfig;
  if (Object.hasOwn(BUILT_IN, nameOrPath)) given = { task: nameOrPath as TaskConfig['task'] };
  else if (nameOrPath.endsWith('.json')) {
    const text = await readFile(nameOrPath, 'utf8');
    try {
      given = JSON.parse(text) as TaskConfig;
    } catch (cause) {
      throw new ArgumentError(`${nameOrPath} is no JSON: ${(cause as Error).message}`, { cause });
    }
  } else throw new ArgumentError(`'${nameOrPath}' is neither a task (${TASKS.join(', ')}) nor a .json file`);
  const base = BUILT_IN[given.task];
  if (base === undefined)
    throw new ArgumentError(`${nameOrPath}: task is '${given.task}', expected one of ${TASKS.join(', ')}`);
  const merged = { ...base, ...given, ...overrides, model: { ...base.model, ...given.model, ...overrides.model } };
  if (given.epochs !== undefined || overrides.epochs !== undefined) merged.steps = overrides.steps;
  if (given.steps !== undefined || overrides.steps !== undefined) merged.epochs = overrides.epochs;
  return merged;
}

/** Reads the data of a task and makes its model. */
export async function prepareTask(device: Device, config: TaskConfig): Promise<PreparedTask> {
  return config.task === 'pronunciation' ? preparePairs(device, config) : prepareText(device, config);
}

const SPECIAL = { pad: '<pad>', bos: '<s>', eos: '</s>' };

async function preparePairs(device: Device, config: TaskConfig): Promise<PreparedTask> {
  const { data, seed = 0, validation = 0, batch, model: options } = config;
  const pairs = data === undefined ? await readDictionary() : await readPairs(data, { lowerCase: true });
  if (validation >= pairs.length)
    throw new ArgumentError(`validation is ${validation}, but there are ${pairs.length} pairs only`);
  new Random(seed, 1).shuffle(pairs);
  const source = CharTokenizer.train(
    pairs.map((pair) => pair.source),
    { special: SPECIAL },
  );
  const target = WordTokenizer.train(
    pairs.flatMap((pair) => pair.targets),
    { special: SPECIAL, split: 'whitespace' },
  );
  const examples: Example[] = pairs.slice(validation).flatMap((pair) =>
    pair.targets.map((text) => ({
      source: source.encode(pair.source),
      target: target.encode(text, { addSpecial: true }),
    })),
  );
  const vocabularies = { sourceVocab: source.vocabSize, targetVocab: target.vocabSize };
  const model = new Transformer(device, { ...options, ...vocabularies, ...specialIds(target), seed });
  model.tokenizers = { source, target };
  const heldOut = pairs.slice(0, validation);
  return finish(config, model, lengthBatches(examples, { tokens: batch, seed }), async () => {
    const { wordError, tokenError } = await evaluatePairs(model, heldOut);
    return { wordError, tokenError };
  });
}

/** Error rates of a model on pairs, greedily or by beam search. */
export async function evaluatePairs(model: Transformer, pairs: readonly Pair[], { beams = 1, batch = 256 } = {}) {
  const { source, target } = tokenizersOf(model);
  const outputs: string[][] = [];
  // Sequences of like length end together.
  const order = pairs
    .map((_, i) => i)
    .sort((a, b) => (pairs[a] as Pair).source.length - (pairs[b] as Pair).source.length);
  for (let at = 0; at < order.length; at += batch) {
    const part = order.slice(at, at + batch);
    const inputs = part.map((i) => source.encode((pairs[i] as Pair).source));
    const { sequences } = await model.generate(inputs, { numBeams: beams });
    part.forEach((i, n) => {
      outputs[i] = words(target.decode(sequences[n] as number[]));
    });
  }
  return {
    ...errorRates(
      outputs,
      pairs.map(({ targets }) => targets.map(words)),
    ),
    outputs,
  };
}

function words(text: string): string[] {
  return text.split(' ').filter((word) => word !== '');
}

async function prepareText(device: Device, config: TaskConfig): Promise<PreparedTask> {
  const { data, seed = 0, validation = 0.1, batch = 12, model: options } = config;
  if (data === undefined) throw new ArgumentError('the task reads a text: give the file with --data');
  const text = await readFile(data, 'utf8');
  const tokenizer = CharTokenizer.train(text);
  const ids = Int32Array.from(tokenizer.encode(text));
  const cut = Math.floor(ids.length * (1 - validation));
  const model = new Transformer(device, { ...options, targetVocab: tokenizer.vocabSize, seed });
  model.tokenizers = { target: tokenizer };
  const blockSize = model.config.maxLength;
  const train = windowBatches(ids.subarray(0, cut), { blockSize, batchSize: batch, seed });
  const heldOut = ids.subarray(cut);
  return finish(config, model, train, async () => ({ loss: await textLoss(model, heldOut) }));
}

/** Mean loss per token over a text, cut into windows of the model's maxLength that do not overlap. */
export async function textLoss(model: Transformer, ids: Int32Array, batch = 64): Promise<number> {
  const { maxLength } = model.config;
  const windows: number[][] = [];
  for (let at = 0; at + 1 < ids.length; at += maxLength) windows.push(Array.from(ids.subarray(at, at + maxLength + 1)));
  let sum = 0;
  let count = 0;
  for (let at = 0; at < windows.length; at += batch) {
    const part = windows.slice(at, at + batch).filter((window) => window.length > 1);
    const tokens = part.reduce((total, window) => total + window.length - 1, 0);
    const loss = model.device.noGrad(() => model.loss(null, part));
    sum += tokens * (await loss.item());
    count += tokens;
    loss.dispose();
  }
  return sum / count;
}

function finish(
  config: TaskConfig,
  model: Transformer,
  batches: Batches,
  validate: PreparedTask['validate'],
): PreparedTask {
  const { seed = 0, steps = Math.ceil((config.epochs ?? 1) * batches.perEpoch), optimizer = {} } = config;
  const decayed = model.parameters().filter(({ shape }) => shape.length > 1);
  const others = model.parameters().filter(({ shape }) => shape.length <= 1);
  const groups = [{ params: decayed }, { params: others, weightDecay: 0 }];
  return {
    config: { ...config, seed },
    model,
    batches,
    steps,
    schedule: scheduleOf(config.schedule, steps),
    optimizer: new AdamW(groups, { beta1: 0.9, ...optimizer }),
    validate,
  };
}

function scheduleOf(
  { kind, peak, warmup = 0 }: NonNullable<TaskConfig['schedule']> = { kind: 'constant', peak: 1e-3 },
  steps: number,
): Schedule {
  const warm = Math.min(warmup, Math.floor(steps / 4)); // a short trial still comes down
  switch (kind) {
    case 'constant':
      return constant(peak, { warmup: warm });
    case 'cosine':
      return cosine(peak, { steps, warmup: warm, final: peak / 10 });
    case 'linear':
      return linearDecay(peak, { steps, warmup: warm });
    case 'inverseSquareRoot':
      return inverseSquareRoot(peak, { warmup: warm });
    default:
      throw new ArgumentError(`schedule.kind is '${kind}', expected constant, cosine, linear or inverseSquareRoot`);
  }
}

function specialIds(tokenizer: Tokenizer) {
  const { padId, bosId, eosId } = tokenizer;
  return { padId, bosId, eosId };
}

/** The tokenizers that a model was saved with. */
export function tokenizersOf(model: Transformer): { source: Tokenizer; target: Tokenizer } {
  const { source, target } = model.tokenizers;
  const output = target ?? source;
  const input = source ?? target;
  if (input === undefined || output === undefined) throw new ArgumentError('the model was saved without its tokenizer');
  return { source: input, target: output };
}
