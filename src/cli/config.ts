// What `simdformer train` is told: the built-in tasks, JSON files on top of them, options of the command on top of
// these.

import { isCount, isFraction, isInt32, isObject, isSeed, isWhole, SEED } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { resolveConfig, type TransformerOptions } from '../models/config.js';
import type { FitOptions } from '../train/fit.js';
import { checkNoAverage } from '../train/fit-options.js';
import { readJson } from './data.js';

/** A task as a JSON file gives it; what is left out is taken from the built-in task named by `task`. */
export interface TaskConfig extends FitSettings {
  /**
   * `pronunciation`: pairs, letters to phonemes. `translation`: pairs, sentences of two languages. `characters`: a text,
   * character by character.
   */
  task: 'pronunciation' | 'translation' | 'characters';
  /** A file; for `pronunciation` the npm dictionary if it is left out. */
  data?: string;
  /** For `translation` a file of pairs that are held out. */
  validationData?: string;
  /** A saved model to begin from: its options, weights and tokenizers. `model` may then change dropout and seed. */
  init?: string;
  /** Its `seed` counts where the task has none; vocabularies and special ids come from the data. */
  model?: TransformerOptions;
  /** Steps to take; or `epochs`. */
  steps?: number | undefined;
  epochs?: number | undefined;
  /** Tokens in a batch; for `characters` windows in a batch. */
  batch?: number;
  /** Steps of `warmup`; by default a number for each task, or a quarter of all steps if that is less. */
  schedule?: { kind?: (typeof SCHEDULES)[number]; peak?: number; warmup?: number };
  optimizer?: { beta1?: number; beta2?: number; eps?: number; weightDecay?: number };
  /** Pairs, or the share of a text, held out for validation. */
  validation?: number;
  /** For `translation`: tokens of both languages together, at most. */
  vocabSize?: number;
  /** For `translation`: the share of merges that are left out at random whenever a word is read or written in training. */
  bpeDropout?: number;
  /** For `translation`: whether all is small letters, as results on tokenized text are reported. */
  lowerCase?: boolean;
}

/** Settings in a file that are passed to `fit` unchanged. */
type FitSettings = Pick<FitOptions, (typeof FIT_SETTINGS)[number]>;

const FIT_SETTINGS = [
  ...(['labelSmoothing', 'ignoreIndex', 'headDiversity', 'rDrop', 'clipNorm', 'skipNonFinite'] as const),
  ...(['gradientAccumulation', 'gradientCheckpointing', 'averageLast', 'emaDecay', 'earlyStopping'] as const),
  ...(['validateEvery', 'checkpointEvery', 'seed'] as const),
];

const SCHEDULES = ['constant', 'cosine', 'linear', 'inverseSquareRoot'] as const;

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
      positions: 'shaw', // what a letter sounds like depends on its neighbours, wherever they stand
      dropout: 0.07,
      maxLength: 64,
    },
    epochs: 47,
    batch: 2048,
    schedule: { kind: 'linear', peak: 1.5e-3 },
    optimizer: { beta2: 0.98, eps: 1e-9, weightDecay: 0 },
    labelSmoothing: 0.1,
    validation: 1500,
    validateEvery: 2000,
  },
  // fairseq's smallest Transformer with twice the hidden features, for some ten thousands of sentences. More dropout kept
  // it from learning: with 0.3 everywhere it translated what it had learnt no better than what it had not.
  translation: {
    task: 'translation',
    model: {
      dModel: 128,
      heads: 4,
      encoderLayers: 4,
      decoderLayers: 4,
      dFF: 512,
      norm: 'pre',
      positions: 'rotary', // learns in three quarters of the steps what it does with sinusoidal ones
      dropout: 0.2,
      activationDropout: 0,
      maxLength: 256,
      tieEmbeddings: 'all',
    },
    epochs: 110,
    batch: 8192,
    vocabSize: 6000,
    bpeDropout: 0.05,
    lowerCase: true,
    schedule: { kind: 'linear', peak: 4e-3 },
    optimizer: { beta2: 0.98, eps: 1e-9, weightDecay: 0 },
    labelSmoothing: 0.1,
    averageLast: 5,
    validation: 500,
    validateEvery: 250,
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
    schedule: { kind: 'cosine', peak: 1e-3 },
    optimizer: { beta2: 0.99, eps: 1e-8, weightDecay: 0.1 },
    validation: 0.1,
    validateEvery: 250,
  },
};

/** Options of a model that may be null: its vocabulary has no such token. */
const SPECIAL_IDS: readonly string[] = ['padId', 'bosId', 'eosId'];

/** Steps of warm-up where a task does not say; those of a short trial are cut. */
export const WARMUP: Record<TaskConfig['task'], number> = { pronunciation: 1000, translation: 1000, characters: 100 };

/** The metrics of each task's validation. */
const METRICS: Record<TaskConfig['task'], readonly string[]> = {
  pronunciation: ['wordError', 'tokenError'],
  translation: ['loss'],
  characters: ['loss'],
};

export const TASKS = Object.keys(BUILT_IN);

/**
 * A built-in task by name, or one from a JSON file, with `overrides` on top. Throws ArgumentError, naming the file and
 * the setting, for what it does not know or cannot be.
 */
export async function readTask(nameOrPath: string, overrides: Partial<TaskConfig> = {}): Promise<TaskConfig> {
  const given = Object.hasOwn(BUILT_IN, nameOrPath)
    ? { task: nameOrPath as TaskConfig['task'] }
    : await readConfig(nameOrPath);
  const base = BUILT_IN[given.task];
  // Steps of one replace epochs of another.
  const ends = [overrides, given, base].find(({ steps, epochs }) => steps !== undefined || epochs !== undefined);
  const init = overrides.init ?? given.init;
  const model = { ...(init === undefined ? base.model : {}), ...given.model, ...overrides.model };
  if (given.task === 'characters' && model.encoderLayers === model.decoderLayers) model.encoderLayers = 0; // --layers
  for (const name of ['validationData', 'vocabSize', 'bpeDropout', 'lowerCase'] as const) {
    if (given.task === 'translation' || (overrides[name] ?? given[name]) === undefined) continue;
    throw new ArgumentError(`${nameOrPath}: ${name} is a setting of translation alone, not of ${given.task}`);
  }
  checkModel(nameOrPath, given.task, model, init);
  return {
    ...base,
    ...given,
    ...overrides,
    steps: ends?.steps,
    epochs: ends?.epochs,
    model,
    schedule: { ...base.schedule, ...given.schedule },
    optimizer: { ...base.optimizer, ...given.optimizer },
  };
}

/** The part of a task that is for `fit`. */
export function fitSettings(config: TaskConfig): FitSettings {
  return Object.fromEntries(FIT_SETTINGS.map((name) => [name, config[name]]));
}

async function readConfig(path: string): Promise<TaskConfig> {
  if (!path.endsWith('.json')) {
    throw new ArgumentError(`'${path}' is neither a task (${TASKS.join(', ')}) nor a .json file`);
  }
  const value = await readJson(path);
  checkConfig(path, value);
  return value;
}

type Check = readonly [accepts: (value: unknown) => boolean, expected: string];

const numberThat = (accepts: (value: number) => boolean, expected: string): Check => [
  (value) => typeof value === 'number' && Number.isFinite(value) && accepts(value),
  expected,
];
const oneOf = (names: readonly string[]): Check => [(value) => names.includes(value as string), names.join(' or ')];
const flag: Check = [(value) => typeof value === 'boolean', 'true or false'];
const object: Check = [isObject, 'an object'];
const count = numberThat(isCount, 'a positive integer');
const countOrZero = numberThat(isWhole, 'an integer, 0 or more');
const positive = numberThat((n) => n > 0, 'a positive number');
const notNegative = numberThat((n) => n >= 0, 'a number, 0 or more');
const share = numberThat(isFraction, 'a number from 0 to below 1');

const CHECKS: Record<keyof TaskConfig, Check> = {
  task: oneOf(TASKS),
  data: [(value) => typeof value === 'string', 'the path of a file'],
  validationData: [(value) => typeof value === 'string', 'the path of a file'],
  init: [(value) => typeof value === 'string', 'the folder or name of a model'],
  model: object,
  steps: count,
  epochs: positive,
  batch: count,
  schedule: object,
  optimizer: object,
  labelSmoothing: share,
  ignoreIndex: [(value) => value === null || numberThat(isInt32, '')[0](value), 'a 32-bit integer or null'],
  headDiversity: notNegative,
  rDrop: notNegative,
  gradientAccumulation: count,
  skipNonFinite: flag,
  gradientCheckpointing: flag,
  earlyStopping: object,
  checkpointEvery: count,
  clipNorm: [(value) => value === null || positive[0](value), 'a positive number or null'],
  averageLast: count,
  emaDecay: share,
  validation: notNegative,
  vocabSize: count,
  bpeDropout: share,
  lowerCase: flag,
  validateEvery: count,
  seed: numberThat(isSeed, SEED),
};
const SCHEDULE_CHECKS: Record<keyof NonNullable<TaskConfig['schedule']>, Check> = {
  kind: oneOf(SCHEDULES),
  peak: positive,
  warmup: countOrZero,
};
const OPTIMIZER_CHECKS: Record<keyof NonNullable<TaskConfig['optimizer']>, Check> = {
  beta1: share,
  beta2: share,
  eps: notNegative,
  weightDecay: notNegative,
};

function checkConfig(path: string, value: unknown): asserts value is TaskConfig {
  if (!object[0](value)) throw new ArgumentError(`${path} is not a JSON object`);
  const config = value as TaskConfig;
  checkEach(path, '', Object.assign({ task: undefined }, config), CHECKS);
  checkEach(path, 'schedule.', config.schedule, SCHEDULE_CHECKS);
  checkEach(path, 'optimizer.', config.optimizer, OPTIMIZER_CHECKS);
  if (config.steps !== undefined && config.epochs !== undefined) {
    throw new ArgumentError(`${path}: there are steps and epochs, expected one of them`);
  }
  if (config.averageLast !== undefined && config.emaDecay !== undefined) {
    throw new ArgumentError(`${path}: there are averageLast and emaDecay, expected one of them`);
  }
  checkStopping(path, config);
  if (config.validation !== undefined) {
    const [accepts, expected] = config.task === 'characters' ? share : countOrZero;
    if (!accepts(config.validation))
      throw new ArgumentError(`${path}: validation is ${config.validation}, expected ${expected}`);
  }
}

function checkStopping(path: string, config: TaskConfig): void {
  const { task, earlyStopping } = config;
  if (earlyStopping === undefined) return;
  const checks = { metric: oneOf(METRICS[task]), patience: count };
  checkEach(path, 'earlyStopping.', Object.assign({ metric: undefined, patience: undefined }, earlyStopping), checks);
  checkNoAverage(path, config);
}

function checkEach(path: string, prefix: string, given: object = {}, checks: Readonly<Record<string, Check>>): void {
  for (const [name, value] of Object.entries(given)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (check === undefined) {
      throw new ArgumentError(`${path}: there is no setting ${prefix}${name}, only ${Object.keys(checks).join(', ')}`);
    }
    const [accepts, expected] = check;
    if (!accepts(value)) {
      throw new ArgumentError(`${path}: ${prefix}${name} is ${JSON.stringify(value)}, expected ${expected}`);
    }
  }
}

/**
 * Vocabularies come from the data; what a saved model says is not known yet; all else is as the model checks it itself.
 */
function checkModel(path: string, task: TaskConfig['task'], model: TransformerOptions, init: string | undefined): void {
  const vocabularies = { sourceVocab: 1, targetVocab: 1 };
  const defaults = new Map<string, unknown>(Object.entries(resolveConfig(vocabularies)));
  for (const [name, value] of Object.entries(model) as [string, unknown][]) {
    if (!defaults.has(name)) {
      throw new ArgumentError(`${path}: model: there is no such option of a model: ${name}`);
    }
    // Vocabularies, and all options of a model to go on from, reach no check of the model's own.
    if (typeof defaults.get(name) !== 'number' || typeof value === 'number' || value === undefined) continue;
    if (name === 'embeddingScale' || (value === null && SPECIAL_IDS.includes(name))) continue;
    throw new ArgumentError(`${path}: model: ${name} is ${JSON.stringify(value)}, expected a number`);
  }
  if (init !== undefined) return;
  try {
    const problem = taskProblem(task, resolveConfig({ ...model, ...vocabularies }));
    if (problem !== undefined) throw new ArgumentError(problem);
  } catch (cause) {
    throw new ArgumentError(`${path}: model: ${(cause as Error).message}`, { cause });
  }
}

/** Why a model of these layers cannot learn a task, if it cannot. */
export function taskProblem(
  task: TaskConfig['task'],
  { encoderLayers, decoderLayers }: { encoderLayers: number; decoderLayers: number },
): string | undefined {
  const reads = task !== 'characters';
  if (decoderLayers > 0 && encoderLayers > 0 === reads) return undefined;
  const needs = reads ? 'encoder and decoder layers' : 'decoder layers alone';
  return `it has ${encoderLayers} encoder and ${decoderLayers} decoder layers, but ${task} needs ${needs}`;
}
