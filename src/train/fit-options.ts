// The options and the result of `fit`.

import {
  checkKnown,
  checkNumber,
  checkOptions,
  describeValue,
  isCount,
  isInt32,
  type OptionRule,
} from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Learner } from './objective.js';
import type { Optimizer } from './optimizer.js';
import type { Schedule } from './schedule.js';
import type { LossSettings } from './trainable.js';
import { checkWorld, type WireFormat, type World } from './world.js';

/** The progress of a run after a step. */
export interface Progress {
  /** Steps taken, from 1. */
  readonly step: number;
  /** To take in all. */
  readonly steps: number;
  /** The pass over the data that the step began in, from 0. */
  readonly epoch: number;
  /** The loss of this step per label. */
  readonly loss: number;
  /** The learning rate of this step, from `schedule`. */
  readonly learningRate: number;
  /** Source and target tokens, and examples, seen since the run was started or resumed. */
  readonly tokens: number;
  readonly examples: number;
  /** Since the run was started or resumed. */
  readonly seconds: number;
}

/** A validation: the step it was made at and what it measured. */
export interface Validation {
  readonly step: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** Set where an average of weights was measured, at the end of a run: true if the model keeps it. */
  readonly averageIsKept?: boolean;
}

export interface FitOptions extends LossSettings {
  /** Steps to take; or `epochs`. Default: one epoch. */
  steps?: number | undefined;
  /** Passes over the data, fractions too. Default: 1, without `steps`. */
  epochs?: number | undefined;
  /**
   * Default: `AdamW` with the paper's β₁ 0.9, β₂ 0.98, ε 1e-9 and no weight decay, of all parameters whose
   * `requiresGrad` is true. Parameters that it does not own are left alone.
   */
  optimizer?: Optimizer | undefined;
  /** Default: inverse square root with a peak of 1e-3 after a tenth of the steps, 4000 at most. */
  schedule?: Schedule | undefined;
  /** Source and target tokens in a batch, where `data` are examples. Default: 4096. */
  batchTokens?: number | undefined;
  /** Examples in a batch, drawn without regard to their length, instead of `batchTokens`. */
  batchSize?: number | undefined;
  /** Examples of a stream that are held at a time, out of which batches are drawn. Default: 8192. */
  shuffleBuffer?: number | undefined;
  /** Batches whose gradients make one step, weighted by their labels; of each rank of a `world`. Default: 1. */
  gradientAccumulation?: number | undefined;
  /**
   * The processes that train together, what `mpi()` of simdformer/mpi gives: each computes `gradientAccumulation` batches
   * of a step. N ranks give the bits of one process that accumulates N times as many. All have the same data and options;
   * rank 0 reads and writes checkpoints and its weights are the first; callbacks are called on every rank, and what
   * `validate` measures is the mean over the ranks. Default: this process alone.
   */
  world?: World | undefined;
  /**
   * How gradients travel between ranks: in float16 or bfloat16 they take half the bytes and are rounded, so that the
   * bits are no longer those of one process. Default: float32.
   */
  wire?: WireFormat | undefined;
  /**
   * 1 shards the optimizer's state over the ranks of `world` (ZeRO stage 1, Rajbhandari et al. 2020), with the same bits:
   * each has that of its own parameters, changes these and sends them to the others, which is half as much again as
   * gradients are. An `optimizer` that is given gives the rest of its state up for good. Checkpoints are whole, and good for any
   * number of ranks. Default: 0.
   */
  zeroStage?: 0 | 1 | undefined;
  /** Largest global norm of the gradients; null leaves them as they are. Default: 1. */
  clipNorm?: number | null | undefined;
  /**
   * True skips steps whose loss or gradients are NaN or infinite, and counts them in `skipped`, instead of ending the run.
   * Each step is then awaited before it changes weights, which takes a little longer. Default: false.
   */
  skipNonFinite?: boolean | undefined;
  /**
   * Trains with a fraction of the memory for a third more work: see `Transformer.gradientCheckpointing`, which is put
   * back at the end. Default: as the model has it.
   */
  gradientCheckpointing?: boolean | undefined;
  /** Decides how examples are batched and what dropout drops. Default: 0. */
  seed?: number | undefined;
  /**
   * Measures the model, in evaluation mode and with the weights of the step, every `validateEvery` steps (default:
   * never) and at the end. With `averageLast` or `emaDecay` the average is measured, too, at the end. Its `loss`, or
   * without one its first number, then decides which weights are better: lower is better.
   */
  validate?: ((step: number) => Promise<Record<string, number>> | Record<string, number>) | undefined;
  /** Steps from one validation to the next. Default: only at the end. */
  validateEvery?: number | undefined;
  /**
   * Stops when `metric` has not become lower in `patience` validations, at least 1, and ends with the weights of the
   * best; NaN is worse than any number. Needs `validate`; not together with `averageLast` or `emaDecay`, which end
   * with other weights.
   */
  earlyStopping?: { metric: string; patience: number } | undefined;
  /**
   * Ends with the mean of the weights at the last `averageLast` validations, if `validate` finds it better than the
   * weights of the last step, else with these. Needs `validate`. Not together with `emaDecay`.
   */
  averageLast?: number | undefined;
  /**
   * Ends with the exponential moving average of the weights: at step t its decay is min(emaDecay, (t − 1)/(t + 9)). With
   * `validate` only if that finds it better than the weights of the last step.
   */
  emaDecay?: number | undefined;
  /**
   * A file that holds all that is needed to go on, written at the beginning, every `checkpointEvery` steps (default:
   * 500, or once a minute if that is more often) and at the end. A file that is there, if it is not resumed from, is
   * replaced only after the first of these steps. Weights that are not finite never take its place: they end the run.
   */
  checkpoint?: string | undefined;
  /** Steps from one checkpoint to the next. Default: see `checkpoint`. */
  checkpointEvery?: number | undefined;
  /**
   * Goes on from the checkpoint if there is one. Seed, data, batches and gradientAccumulation must be the same; steps,
   * rates and the like may be others. Default: false.
   */
  resume?: boolean | undefined;
  /**
   * Stops after the step under way; a checkpoint is written, and the weights are those of that step, whatever
   * `earlyStopping`, `averageLast` or `emaDecay` would end with.
   */
  signal?: AbortSignal | undefined;
  /**
   * Called after each step, once its loss is known; the next one may be under way. A promise is waited for. What it
   * throws ends the run.
   */
  onStep?: ((progress: Progress) => unknown) | undefined;
  /** Called after each validation, and waited for. What it throws ends the run. */
  onValidation?: ((validation: Validation) => unknown) | undefined;
}

/** Weights of a run: those of its last step, an average of several steps, or those of its best validation. */
export type WeightsKind = 'last' | 'average' | 'best';

export interface FitResult {
  /** Steps taken in all, those before a resumption included. */
  readonly step: number;
  /** Why it ended: all steps were taken, `signal` was aborted, or `earlyStopping` had waited long enough. */
  readonly reason: 'done' | 'aborted' | 'early';
  /** Loss per label of every step since the run was started or resumed. */
  readonly losses: readonly number[];
  /** Steps in all that `skipNonFinite` has left out; their losses are among `losses`. */
  readonly skipped: number;
  /** Validations of the weights of steps. */
  readonly validations: readonly Validation[];
  /**
   * The weights that the model has now: those of the last step, the average of several (`averageLast`, `emaDecay`), or
   * those of the best validation (`earlyStopping`).
   */
  readonly weights: WeightsKind;
  /** The metrics that `validate` measured of these weights; undefined if it did not measure them. */
  readonly metrics: Readonly<Record<string, number>> | undefined;
}

const share: OptionRule = {
  accepts: (value) => typeof value === 'number' && value >= 0 && value <= 1,
  expected: 'a number from 0 to 1',
};
const label: OptionRule = {
  accepts: (value) => value === null || (typeof value === 'number' && isInt32(value)),
  expected: 'a 32-bit integer or null',
};
const norm: OptionRule = {
  accepts: (value) => value === null || (typeof value === 'number' && value > 0),
  expected: 'a positive number or null',
};
const optimizer: OptionRule = {
  accepts: (value) => Array.isArray((value as Optimizer | null)?.params),
  expected: 'an optimizer',
};
const wire: OptionRule = {
  accepts: (value) => ['float32', 'float16', 'bfloat16'].includes(value as string),
  expected: 'float32, float16 or bfloat16',
};
const stage: OptionRule = { accepts: (value) => value === 0 || value === 1, expected: '0 or 1' };
const path: OptionRule = { accepts: (value) => typeof value === 'string', expected: 'the path of a file' };

const kinds = {
  ...({ steps: 'count', epochs: 'positive', batchTokens: 'count', gradientAccumulation: 'count' } as const),
  ...({ batchSize: 'count', shuffleBuffer: 'count' } as const),
  ...({ optimizer, schedule: 'function', clipNorm: norm, skipNonFinite: 'boolean' } as const),
  ...({ labelSmoothing: share, ignoreIndex: label, headDiversity: 'notNegative', rDrop: 'notNegative' } as const),
  ...({ gradientCheckpointing: 'boolean', seed: 'seed', validate: 'function', validateEvery: 'count' } as const),
  ...({ earlyStopping: 'any', averageLast: 'count', emaDecay: 'fraction' } as const), // the first: see checkStopping
  ...({ checkpoint: path, checkpointEvery: 'count', resume: 'boolean', signal: 'signal' } as const),
  ...({ onStep: 'function', onValidation: 'function', world: 'any', wire, zeroStage: stage } as const),
};

/** Throws ArgumentError for options of `fit` that make no sense, alone, together or with the model. */
export function checkSettings(options: FitOptions, model: Learner['model']): void {
  checkOptions('fit', options, kinds);
  if (options.world !== undefined) checkWorld(options.world);
  checkEither(options, 'steps', 'epochs');
  checkEither(options, 'batchSize', 'batchTokens');
  checkEither(options, 'averageLast', 'emaDecay');
  if (options.earlyStopping !== undefined) checkStopping(options.earlyStopping, options);
  if (options.averageLast !== undefined && options.validate === undefined) {
    throw new ArgumentError('fit: averageLast needs validate');
  }
  if (options.gradientCheckpointing !== undefined && model.gradientCheckpointing === undefined) {
    throw new ArgumentError('fit: gradientCheckpointing is given, but this model has no such property: leave it out');
  }
  if (options.headDiversity && (options.gradientCheckpointing ?? model.gradientCheckpointing)) {
    throw new ArgumentError('fit: headDiversity needs what gradientCheckpointing forgets; use one of them');
  }
  if (options.resume && options.checkpoint === undefined) {
    throw new ArgumentError('fit: resume needs the checkpoint to go on from');
  }
}

function checkEither(options: FitOptions, one: keyof FitOptions, other: keyof FitOptions): void {
  if (options[one] === undefined || options[other] === undefined) return;
  throw new ArgumentError(`fit: give ${one} or ${other}, not both`);
}

function checkStopping(stopping: NonNullable<FitOptions['earlyStopping']>, options: FitOptions): void {
  const { metric, patience } = checkKnown('fit: earlyStopping', stopping, ['metric', 'patience']);
  if (typeof metric !== 'string') {
    throw new ArgumentError(
      `fit: earlyStopping.metric is ${describeValue(metric)}, expected the name of what validate measures`,
    );
  }
  checkNumber('fit', 'earlyStopping.patience', patience, isCount, 'a positive integer');
  if (options.validate === undefined) {
    throw new ArgumentError('fit: earlyStopping watches what validate measures, but there is no validate');
  }
  checkNoAverage('fit', options);
}

/** Throws ArgumentError, beginning with `where`, if weights are averaged where early stopping chooses them. */
export function checkNoAverage(where: string, options: Pick<FitOptions, 'averageLast' | 'emaDecay'>): void {
  const average = (['averageLast', 'emaDecay'] as const).find((name) => options[name] !== undefined);
  if (average === undefined) return;
  throw new ArgumentError(
    `${where}: earlyStopping ends with the weights of the best validation, ${average} with others: use one of them`,
  );
}
