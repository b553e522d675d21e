// The options and the result of `fit`.

import {
  checkKnown,
  checkNumber,
  checkOptions,
  describeValue,
  isCount,
  numberThat,
  type OptionRule,
  orNull,
} from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Learner } from './objective.js';
import type { Optimizer } from './optimizer.js';
import type { Schedule } from './schedule.js';
import type { LossSettings } from './trainable.js';
import { checkWorld, WIRE_FORMATS, type WireFormat, type World } from './world.js';

/** The progress of a run after a step. */
export interface Progress {
  /** Number of steps taken, from 1. */
  readonly step: number;
  /** Total number of steps. */
  readonly steps: number;
  /** Index of the pass over the data in which the step began, from 0. */
  readonly epoch: number;
  /** Mean loss of this step over its labels. */
  readonly loss: number;
  /** The learning rate of this step, from `schedule`. */
  readonly learningRate: number;
  /** Numbers of tokens (of sources and targets) and of examples since the run was started or resumed. */
  readonly tokens: number;
  readonly examples: number;
  /** Seconds since the run was started or resumed. */
  readonly seconds: number;
}

/** A validation: the step after which it was made, and its metrics. */
export interface Validation {
  readonly step: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** Present if an average of weights was measured at the end of a run. True if the model keeps the average. */
  readonly averageIsKept?: boolean;
}

export interface FitOptions extends LossSettings {
  /** Total number of steps, as an alternative to `epochs`. Default: one epoch. */
  steps?: number | undefined;
  /** Number of passes over the data; fractions are allowed. Default: 1, unless `steps` is given. */
  epochs?: number | undefined;
  /**
   * The optimizer. Parameters that it does not own are not changed. Default: `AdamW` with the paper's β₁ 0.9, β₂ 0.98,
   * ε 1e-9 and no weight decay, for all parameters whose `requiresGrad` is true.
   */
  optimizer?: Optimizer | undefined;
  /**
   * Learning rate per step. Default: inverse square root with a peak of 1e-3 after a tenth of the steps, at most 4000.
   */
  schedule?: Schedule | undefined;
  /** Maximum number of source and target tokens in a batch, if `data` are examples. Default: 4096. */
  batchTokens?: number | undefined;
  /**
   * Number of examples in a batch, as an alternative to `batchTokens`. Examples are drawn regardless of their length.
   */
  batchSize?: number | undefined;
  /** Number of examples of a stream that are held in memory, and from which batches are drawn. Default: 8192. */
  shuffleBuffer?: number | undefined;
  /**
   * Number of batches per step (of each rank of a `world`). Their gradients are averaged, weighted by their numbers of
   * labels. Default: 1.
   */
  gradientAccumulation?: number | undefined;
  /**
   * The processes that train together: the result of `mpi()` of simdformer/mpi. Each computes `gradientAccumulation`
   * batches of a step. N ranks give the bits of one process that accumulates N times as many batches. All ranks need
   * equal data and options. Rank 0 reads and writes checkpoints, and all ranks begin with its weights. Callbacks are
   * called on every rank. Results of `validate` are averaged over the ranks. Default: this process alone.
   */
  world?: World | undefined;
  /**
   * Format of gradients between ranks. float16 and bfloat16 halve the traffic, but round. The bits then differ from
   * those of one process. Default: float32.
   */
  wire?: WireFormat | undefined;
  /**
   * 1 shards the optimizer's state over the ranks of `world` (ZeRO stage 1, Rajbhandari et al. 2020), with the same
   * bits. Each rank keeps the state of its own parameters, updates them and sends them to the others. This adds half of
   * the traffic of gradients. A given `optimizer` discards the rest of its state for good. Checkpoints contain the
   * whole state and suit any number of ranks. Default: 0.
   */
  zeroStage?: 0 | 1 | undefined;
  /** Maximum global norm of the gradients; null does not clip. Default: 1. */
  clipNorm?: number | null | undefined;
  /**
   * True skips steps whose loss or gradients are NaN or infinite, and counts them in `skipped`, instead of ending the
   * run. Each step is then awaited before it changes weights, which takes a little longer. Default: false.
   */
  skipNonFinite?: boolean | undefined;
  /**
   * True recomputes layers in the backward pass. This needs a fraction of the memory and a third more computation; see
   * `Transformer.gradientCheckpointing`. The model's setting is restored at the end. Default: the model's setting.
   */
  gradientCheckpointing?: boolean | undefined;
  /** Seed of batches and dropout. Default: 0. */
  seed?: number | undefined;
  /**
   * Measures the model in evaluation mode, every `validateEvery` steps (default: never) and at the end. With
   * `averageLast` or `emaDecay`, it also measures the average at the end. The result's `loss`, or else its first
   * number, decides which weights are better: lower is better.
   */
  validate?: ((step: number) => Promise<Record<string, number>> | Record<string, number>) | undefined;
  /** Number of steps between validations. Default: one validation at the end. */
  validateEvery?: number | undefined;
  /**
   * Stops when `metric` has not improved for `patience` validations, at least 1, and ends with the best weights. Lower
   * is better, and NaN is worse than any number. Needs `validate`. Not allowed with `averageLast` or `emaDecay`, which
   * end with other weights.
   */
  earlyStopping?: { metric: string; patience: number } | undefined;
  /**
   * Averages the weights at the last `averageLast` validations. The run ends with the average if `validate` finds it
   * better than the last weights. Needs `validate`. Not allowed with `emaDecay`.
   */
  averageLast?: number | undefined;
  /**
   * Exponential moving average of the weights, with decay min(emaDecay, (t − 1)/(t + 9)) at step t. The run ends with
   * the average. With `validate` it does so only if the average is better than the last weights.
   */
  emaDecay?: number | undefined;
  /**
   * Path of the checkpoint, which holds everything that a resumed run needs. It is written at the beginning, every
   * `checkpointEvery` steps and at the end. An existing file is replaced only after the first of these intervals,
   * unless the run resumes from it. Weights that are not finite are never saved; they end the run.
   */
  checkpoint?: string | undefined;
  /** Number of steps between checkpoints. Default: 500, or the number of steps in a minute if that is less. */
  checkpointEvery?: number | undefined;
  /**
   * True continues from the checkpoint if there is one. Seed, data, batches and gradientAccumulation must be equal;
   * other options, such as steps and rates, may differ. Default: false.
   */
  resume?: boolean | undefined;
  /**
   * Stops after the current step when aborted. A checkpoint is written. The weights are those of that step, regardless
   * of `earlyStopping`, `averageLast` and `emaDecay`.
   */
  signal?: AbortSignal | undefined;
  /**
   * Called after each step, when its loss is known. The next step may be running already. A returned promise is
   * awaited. An error that it throws ends the run.
   */
  onStep?: ((progress: Progress) => unknown) | undefined;
  /** Called after each validation. A returned promise is awaited. An error that it throws ends the run. */
  onValidation?: ((validation: Validation) => unknown) | undefined;
}

/** Weights of a run: those of its last step, an average of several steps, or those of its best validation. */
export type WeightsKind = 'last' | 'average' | 'best';

export interface FitResult {
  /** Total number of steps, including those before a resumption. */
  readonly step: number;
  /** Reason for the end: all steps were taken, `signal` was aborted, or `earlyStopping` ran out of patience. */
  readonly reason: 'done' | 'aborted' | 'early';
  /** Mean loss over the labels of each step since the run was started or resumed. */
  readonly losses: readonly number[];
  /** Number of steps that `skipNonFinite` has skipped. `losses` includes their losses. */
  readonly skipped: number;
  /** All validations, in order. */
  readonly validations: readonly Validation[];
  /**
   * The weights that the model has now: those of the last step, the average of several (`averageLast`, `emaDecay`), or
   * those of the best validation (`earlyStopping`).
   */
  readonly weights: WeightsKind;
  /** The metrics that `validate` measured of these weights; undefined if it did not measure them. */
  readonly metrics: Readonly<Record<string, number>> | undefined;
}

const optimizer: OptionRule = {
  accepts: (value) => Array.isArray((value as Optimizer | null)?.params),
  expected: 'an optimizer',
};

const path: OptionRule = { accepts: (value) => typeof value === 'string', expected: 'the path of a file' };

const kinds = {
  steps: 'count',
  epochs: 'positive',
  batchTokens: 'count',
  gradientAccumulation: 'count',
  batchSize: 'count',
  shuffleBuffer: 'count',
  optimizer,
  schedule: 'function',
  clipNorm: orNull(numberThat((norm) => norm > 0, 'a positive number')),
  skipNonFinite: 'boolean',
  labelSmoothing: 'share',
  ignoreIndex: orNull('int32'),
  headDiversity: 'notNegative',
  rDrop: 'notNegative',
  gradientCheckpointing: 'boolean',
  seed: 'seed',
  validate: 'function',
  validateEvery: 'count',
  earlyStopping: 'any', // checkStopping checks it
  averageLast: 'count',
  emaDecay: 'fraction',
  checkpoint: path,
  checkpointEvery: 'count',
  resume: 'boolean',
  signal: 'signal',
  onStep: 'function',
  onValidation: 'function',
  world: 'any',
  wire: WIRE_FORMATS,
  zeroStage: [0, 1],
} as const;

/** Throws ArgumentError for invalid options of `fit`, and for options that contradict each other or the model. */
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
    throw new ArgumentError(
      'fit: headDiversity needs the outputs of heads, which gradientCheckpointing drops; use one of them',
    );
  }
  if (options.resume && options.checkpoint === undefined) {
    throw new ArgumentError('fit: resume needs checkpoint, the file to continue from');
  }
}

function checkEither(options: FitOptions, name: keyof FitOptions, other: keyof FitOptions): void {
  if (options[name] === undefined || options[other] === undefined) return;
  throw new ArgumentError(`fit: give ${name} or ${other}, not both`);
}

function checkStopping(stopping: NonNullable<FitOptions['earlyStopping']>, options: FitOptions): void {
  const { metric, patience } = checkKnown('fit: earlyStopping', stopping, ['metric', 'patience']);
  if (typeof metric !== 'string') {
    throw new ArgumentError(
      `fit: earlyStopping.metric is ${describeValue(metric)}, expected the name of a metric that validate returns`,
    );
  }
  checkNumber('fit', 'earlyStopping.patience', patience, isCount, 'a positive integer');
  if (options.validate === undefined) {
    throw new ArgumentError('fit: earlyStopping needs validate, whose metrics it watches');
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
