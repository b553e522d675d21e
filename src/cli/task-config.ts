// The settings of a task of `simdformer train`.

import type { TransformerOptions } from '../models/config.js';
import type { FitOptions } from '../train/fit.js';

export const SCHEDULES = ['constant', 'cosine', 'linear', 'inverseSquareRoot'] as const;

/** The settings of a task in a JSON file. Missing settings have the values of the built-in task named by `task`. */
export interface TaskConfig extends FitSettings {
  /**
   * `pronunciation`: pairs of letters and phonemes. `translation`: pairs of sentences in two languages. `characters`: a
   * text, character by character.
   */
  task: 'pronunciation' | 'translation' | 'characters';
  /** The data file. Default for `pronunciation`: the dictionary of an npm package. */
  data?: string;
  /** For `translation`: a file of pairs for validation. */
  validationData?: string;
  /** A saved model to start from: its options, weights and tokenizers. `model` may then change dropout and seed. */
  init?: string;
  /** Options of the model. Its `seed` applies if the task has none; vocabularies and special ids come from the data. */
  model?: TransformerOptions;
  /** Number of steps; or `epochs`. */
  steps?: number | undefined;
  epochs?: number | undefined;
  /** Tokens per batch; for `characters`, windows per batch. */
  batch?: number;
  /**
   * Schedule of the learning rate. `warmup` is in steps. Default: a number for each task, at most a quarter of all
   * steps.
   */
  schedule?: { kind?: (typeof SCHEDULES)[number]; peak?: number; warmup?: number };
  optimizer?: { beta1?: number; beta2?: number; eps?: number; weightDecay?: number };
  /** Number of pairs, or share of a text, held out for validation. */
  validation?: number;
  /** For `translation`: maximum size of the common vocabulary of both languages. */
  vocabSize?: number;
  /** For `translation`: BPE dropout, the share of merges that are omitted at random in training. */
  bpeDropout?: number;
  /** For `translation`: true converts all text to lower case. */
  lowerCase?: boolean;
}

/** Settings in a file that are passed to `fit` unchanged. */
export type FitSettings = Pick<FitOptions, (typeof FIT_SETTINGS)[number]>;

export const FIT_SETTINGS = [
  'labelSmoothing',
  'ignoreIndex',
  'headDiversity',
  'rDrop',
  'clipNorm',
  'skipNonFinite',
  'gradientAccumulation',
  'gradientCheckpointing',
  'averageLast',
  'emaDecay',
  'earlyStopping',
  'validateEvery',
  'checkpointEvery',
  'seed',
] as const;
