// The settings of a task of `simdformer train`.

import type { TransformerOptions } from '../models/config.js';
import type { FitOptions } from '../train/fit.js';

export const SCHEDULES = ['constant', 'cosine', 'linear', 'inverseSquareRoot'] as const;

/** The settings of a task in a JSON file. The built-in task named by `task` has the values of missing settings. */
export interface TaskConfig extends FitSettings {
  /**
   * `pronunciation`: pairs, letters to phonemes. `translation`: pairs, sentences of two languages. `characters`: a text,
   * character by character.
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
  /** For `translation`: size of the vocabulary of both languages at most. */
  vocabSize?: number;
  /** For `translation`: BPE dropout, the share of merges that are left out at random in training. */
  bpeDropout?: number;
  /** For `translation`: true converts all text to lower case. */
  lowerCase?: boolean;
}

/** Settings in a file that are passed to `fit` unchanged. */
export type FitSettings = Pick<FitOptions, (typeof FIT_SETTINGS)[number]>;

export const FIT_SETTINGS = [
  ...(['labelSmoothing', 'ignoreIndex', 'headDiversity', 'rDrop', 'clipNorm', 'skipNonFinite'] as const),
  ...(['gradientAccumulation', 'gradientCheckpointing', 'averageLast', 'emaDecay', 'earlyStopping'] as const),
  ...(['validateEvery', 'checkpointEvery', 'seed'] as const),
];
