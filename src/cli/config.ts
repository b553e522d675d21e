// Configuration of `simdformer train`: options of the command override JSON files, and these override the built-in
// tasks.

import { ArgumentError } from '../core/errors.js';
import { resolveConfig, type TransformerOptions } from '../models/config.js';
import { checkNoAverage } from '../train/fit-options.js';
import { readJson } from './data.js';
import { FIT_SETTINGS, type FitSettings, type TaskConfig } from './task-config.js';
import { parseTask } from './task-schema.js';

export type { TaskConfig } from './task-config.js';

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
      positions: 'shaw', // the sound of a letter depends on its neighbours
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
  // fairseq's smallest Transformer with twice the hidden features, for some ten thousand sentences. More dropout (0.3
  // everywhere) was no better on new sentences and learned the known ones worse.
  translation: {
    task: 'translation',
    model: {
      dModel: 128,
      heads: 4,
      encoderLayers: 4,
      decoderLayers: 4,
      dFF: 512,
      norm: 'pre',
      positions: 'rotary', // needs three quarters of the steps of sinusoidal positions
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

/** Options of a model that are null if its vocabulary has no such token. */
const SPECIAL_IDS: readonly string[] = ['padId', 'bosId', 'eosId'];

/** Default number of warm-up steps. Short trials use fewer. */
export const WARMUP: Record<TaskConfig['task'], number> = { pronunciation: 1000, translation: 1000, characters: 100 };

export const TASKS = Object.keys(BUILT_IN);

/** The default of a setting for help texts: one value, or one for each task that has the setting. */
export function defaultOfTasks(read: (config: TaskConfig) => number | undefined): string {
  const defaults = Object.values(BUILT_IN).flatMap((config) => {
    const value = read(config);
    return value === undefined ? [] : [{ task: config.task, value }];
  });
  const [first, ...rest] = defaults.map(({ value }) => value);
  if (defaults.length === TASKS.length && rest.every((value) => value === first)) return `${first}`;
  return defaults.map(({ task, value }) => `${value} for ${task}`).join(', ');
}

/**
 * A built-in task by name, or a task in a JSON file, with `overrides`. Throws ArgumentError, naming file and setting,
 * for unknown settings and wrong values.
 */
export async function readTask(nameOrPath: string, overrides: Partial<TaskConfig> = {}): Promise<TaskConfig> {
  const taskConfig = Object.hasOwn(BUILT_IN, nameOrPath)
    ? { task: nameOrPath as TaskConfig['task'] }
    : await readConfig(nameOrPath);
  const base = BUILT_IN[taskConfig.task];
  // `steps` replaces `epochs` of a source with lower priority, and the reverse.
  const ends = [overrides, taskConfig, base].find(({ steps, epochs }) => steps !== undefined || epochs !== undefined);
  const init = overrides.init ?? taskConfig.init;
  const model = { ...(init === undefined ? base.model : {}), ...taskConfig.model, ...overrides.model };
  if (taskConfig.task === 'characters' && model.encoderLayers === model.decoderLayers) model.encoderLayers = 0; // --layers
  for (const name of ['validationData', 'vocabSize', 'bpeDropout', 'lowerCase'] as const) {
    if (taskConfig.task === 'translation' || (overrides[name] ?? taskConfig[name]) === undefined) continue;
    throw new ArgumentError(`${nameOrPath}: ${name} is a setting of translation only, not of ${taskConfig.task}`);
  }
  checkModel(nameOrPath, taskConfig.task, model, init);
  return {
    ...base,
    ...taskConfig,
    ...overrides,
    steps: ends?.steps,
    epochs: ends?.epochs,
    model,
    schedule: { ...base.schedule, ...taskConfig.schedule },
    optimizer: { ...base.optimizer, ...taskConfig.optimizer },
  };
}

/** The settings of a task for `fit`. */
export function fitSettings(config: TaskConfig): FitSettings {
  return Object.fromEntries(FIT_SETTINGS.map((name) => [name, config[name]]));
}

async function readConfig(path: string): Promise<TaskConfig> {
  if (!path.endsWith('.json')) {
    throw new ArgumentError(`'${path}' is neither a task (${TASKS.join(', ')}) nor a .json file`);
  }
  const config = parseTask(path, await readJson(path));
  checkTogether(path, config);
  return config;
}

/** Throws ArgumentError, naming the file, for settings that exclude each other. */
function checkTogether(path: string, config: TaskConfig): void {
  const pairs = [
    ['steps', 'epochs'],
    ['averageLast', 'emaDecay'],
  ] as const;
  for (const [first, other] of pairs)
    if (config[first] !== undefined && config[other] !== undefined)
      throw new ArgumentError(`${path}: ${first} and ${other} are both given, expected one of them`);
  if (config.earlyStopping !== undefined) checkNoAverage(path, config);
}

/**
 * Checks the options of a model that the model does not check itself. Vocabularies come from the data. Options of a
 * saved model are not known yet.
 */
function checkModel(path: string, task: TaskConfig['task'], model: TransformerOptions, init: string | undefined): void {
  const vocabularies = { sourceVocab: 1, targetVocab: 1 };
  const defaults = new Map<string, unknown>(Object.entries(resolveConfig(vocabularies)));
  for (const [name, value] of Object.entries(model) as [string, unknown][]) {
    if (!defaults.has(name)) {
      throw new ArgumentError(`${path}: model: there is no option ${name} of a model`);
    }
    // Vocabularies, and options of a model to continue from, are not checked by the model.
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

/** Reason why a model with these layers cannot learn a task; undefined if it can. */
export function taskProblem(
  task: TaskConfig['task'],
  { encoderLayers, decoderLayers }: { encoderLayers: number; decoderLayers: number },
): string | undefined {
  const reads = task !== 'characters';
  if (decoderLayers > 0 && encoderLayers > 0 === reads) return undefined;
  const needs = reads ? 'encoder and decoder layers' : 'decoder layers alone';
  return `it has ${encoderLayers} encoder and ${decoderLayers} decoder layers, but ${task} needs ${needs}`;
}
