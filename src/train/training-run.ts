// What `fit` does. It is loaded when that is first called: pages that do not train need not download it.

import { checkNumber, checkOptions, isCount, isNotNegative } from '../core/check.js';
import { ArgumentError, NonFiniteError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { AdamW } from './adamw.js';
import { type Batches, type Example, lengthBatches, type Row } from './batches.js';
import { canStay, loadCheckpoint, removeUnfinished, saveCheckpoint } from './checkpoint.js';
import { globalNorm } from './clip.js';
import { type FinalWeights, finalWeightsOf } from './final-weights.js';
import { fingerprintOf } from './fingerprint.js';
import { checkSettings, type FitOptions, type FitResult, type Progress, type Validation } from './fit-options.js';
import type { Optimizer } from './optimizer.js';
import { Pending } from './pending.js';
import type { RunState } from './run-state.js';
import { inverseSquareRoot, type Schedule } from './schedule.js';
import {
  checkLoss,
  checkTrainable,
  countLabels,
  type LossSettings,
  namedTensorsOf,
  type Sides,
  sidesOf,
  type Trainable,
} from './trainable.js';

/** A batch of a step. */
interface PreparedBatch {
  readonly n: number;
  readonly sides: Sides;
  /** Of the step's labels. */
  readonly share: number;
}

/** A step that runs, or has run. */
interface QueuedStep extends Pick<Progress, 'step' | 'learningRate' | 'tokens' | 'examples'> {
  /** Of each batch, and how much it counts. */
  readonly losses: Pending<number[]>;
  readonly shares: readonly number[];
}

/** Milliseconds of work that a run may lose. */
const SAVE_AFTER = 60_000;

/** Models that a run is training: two would take each other's gradients. */
const training = new WeakSet<Trainable<Row, Row>>();

/** One call of `fit`. */
export class TrainingRun {
  readonly #batches: Batches<Row, Row>;
  readonly #steps: number;
  readonly #accumulation: number;
  readonly #schedule: Schedule;
  readonly #optimizer: Optimizer;
  /** Of the model and the optimizer, whoever owns them. */
  readonly #parameters: ReadonlySet<Tensor>;
  readonly #finalWeights: FinalWeights;
  readonly #state: RunState;
  /** Whether the model had gradient checkpointing before. */
  readonly #recomputed: boolean | undefined;
  readonly #losses: number[] = [];
  #tokens = 0;
  #examples = 0;
  readonly #start = performance.now();
  #saved = performance.now();

  constructor(
    private readonly model: Trainable<Row, Row>,
    data: readonly Example<Row, Row>[] | Batches<Row, Row>,
    private readonly options: FitOptions,
  ) {
    checkTrainable(model);
    checkSettings(options, model);
    if (training.has(model)) {
      throw new ArgumentError('fit: another call trains this model; wait for the promise that it returned first');
    }
    const { batchTokens = 4096, gradientAccumulation = 1, seed = 0, steps, epochs = 1 } = options;
    this.#batches = isBatches(data) ? data : lengthBatches(data, { tokens: batchTokens, seed });
    this.#accumulation = gradientAccumulation;
    this.#steps = steps ?? Math.ceil((epochs * this.#batches.perEpoch) / gradientAccumulation);
    checkNumber('fit', 'the number of steps', this.#steps, isCount, 'a positive integer');
    const warmup = Math.min(4000, Math.ceil(this.#steps / 10));
    this.#schedule = options.schedule ?? inverseSquareRoot(1e-3, { warmup });
    this.#state = {
      step: 0,
      seed,
      gradientAccumulation,
      data: options.checkpoint === undefined ? undefined : this.#batches.fingerprint, // which reads all of it
      firstBatch: fingerprintOf(this.#batches.batch(0)),
      skipped: 0,
      validations: [],
    };
    this.#recomputed = model.gradientCheckpointing;
    const params = namedTensorsOf(model).map(([, param]) => param);
    const trained = params.filter((param) => param.requiresGrad);
    if (trained.length === 0) throw new ArgumentError('fit: the model has no parameter that requires gradients');
    // What others wrote, and may throw, was called before: nobody would give this memory back.
    const { optimizer = new AdamW(trained, { beta2: 0.98, eps: 1e-9, weightDecay: 0 }) } = options;
    if (!trained.some((param) => optimizer.params.includes(param))) {
      throw new ArgumentError('fit: the optimizer has none of the parameters that require gradients');
    }
    this.#optimizer = optimizer;
    this.#parameters = new Set([...params, ...optimizer.params]);
    this.#finalWeights = finalWeightsOf(trained, options);
    training.add(model);
  }

  async go(): Promise<FitResult> {
    const resumed = await this.#begin();
    // A run that had stopped early, and has no more patience now, does not go on.
    const reason = resumed && this.#hasWaited() ? 'early' : await this.#takeSteps();
    const { step, skipped, validations } = this.#state;
    if (reason === 'done' && validations.at(-1)?.step !== step) await this.#validate();
    if (step > 0) await this.#save(); // else there is no more than a beginning
    if (reason !== 'aborted') this.#finalWeights.finish(validations.length);
    await this.model.device.flush();
    return { step, reason, losses: this.#losses, skipped, validations };
  }

  /** Makes the model and the file ready; returns whether the run goes on from a checkpoint. */
  async #begin(): Promise<boolean> {
    const { checkpoint, resume = false, gradientCheckpointing } = this.options;
    if (checkpoint !== undefined) await removeUnfinished(checkpoint);
    const resumed = resume && (await this.#resume());
    // What another run has left stays until there is more than a beginning to take its place.
    if (checkpoint !== undefined && !resumed && !(await canStay(checkpoint))) await this.#save();
    this.model.train();
    if (gradientCheckpointing !== undefined) this.model.gradientCheckpointing = gradientCheckpointing;
    this.#zeroGrad(); // what was computed before is none of this run's
    return resumed;
  }

  /** Takes the steps that are left, with the validations and checkpoints between them; returns what ended that. */
  async #takeSteps(): Promise<FitResult['reason']> {
    const { signal, validateEvery, checkpointEvery = 500 } = this.options;
    // One step is prepared while the one before it runs.
    let report = new Pending(Promise.resolve());
    while (this.#state.step < this.#steps && !signal?.aborted) {
      const step = ++this.#state.step;
      if (this.#accumulation > 1) await report.value(); // which calls onStep, where gradients are nobody's
      const queued = new Pending(this.#queue(step));
      await report.value(); // if the step before has failed, that is the error
      report = new Pending(this.#report(await queued.value()));
      if (validateEvery !== undefined && step % validateEvery === 0) {
        await report.value();
        if (await this.#validate()) return 'early';
      }
      if (step % checkpointEvery === 0 || this.#isLate()) {
        await report.value();
        await this.#save();
      }
    }
    await report.value();
    return this.#state.step < this.#steps ? 'aborted' : 'done';
  }

  close(): void {
    training.delete(this.model);
    if (this.options.gradientCheckpointing !== undefined) this.model.gradientCheckpointing = this.#recomputed;
    this.model.eval();
    this.#finalWeights.dispose();
    this.#zeroGrad();
    if (this.options.optimizer === undefined) (this.#optimizer as AdamW).dispose();
  }

  /**
   * Queues a step and starts it; resolves once the next one may be queued. None of it is left in the queue meanwhile,
   * where others would run it, and hear of its errors.
   */
  async #queue(step: number): Promise<QueuedStep> {
    const { batches, learningRate } = this.#prepare(step);
    this.#zeroGrad(); // those that callbacks may have left are none of this step's
    const losses = await this.#computeGradients(batches);
    let values: Pending<number[]>;
    try {
      if (this.options.skipNonFinite) {
        values = readAll(losses);
        await this.#updateIfFinite(step, learningRate, await values.value());
      } else {
        this.#update(step, learningRate);
        values = readAll(losses);
      }
    } finally {
      disposeAll(losses);
    }
    for (const { sides } of batches) this.#count(sides);
    const seen = { tokens: this.#tokens, examples: this.#examples }; // before another step is queued
    return { step, learningRate, losses: values, shares: batches.map(({ share }) => share), ...seen };
  }

  /** What step number `step` learns from, and how fast. */
  #prepare(step: number): { batches: readonly PreparedBatch[]; learningRate: number } {
    const first = (step - 1) * this.#accumulation;
    const numbers = Array.from({ length: this.#accumulation }, (_, i) => first + i);
    const sides = numbers.map((n) => sidesOf(this.#batches.batch(n), n));
    const counts = sides.map((each, i) => countLabels(this.model, each, this.#lossSettings, first + i));
    const total = counts.reduce((sum, count) => sum + count, 0);
    const learningRate = this.#schedule(step);
    checkNumber('fit', `what schedule returned for step ${step}`, learningRate, isNotNegative, 'a number, 0 or more');
    const batches = sides.map((each, i) => ({ n: first + i, sides: each, share: (counts[i] as number) / total }));
    return { batches, learningRate };
  }

  /**
   * Adds up the gradients of all batches of a step and returns their losses. Each batch runs while the next one is
   * queued: all together would fill the queue, and hold up the event loop. The last one is left in the queue, for the
   * update to run with it; all before it have run then, as the update would not know that one has failed.
   */
  async #computeGradients(batches: readonly PreparedBatch[]): Promise<Tensor[]> {
    const losses: Tensor[] = [];
    const runs: Pending<void>[] = [];
    try {
      for (const [i, batch] of batches.entries()) {
        losses.push(this.#addGradients(batch));
        if (i + 1 === batches.length) break;
        runs.push(new Pending(this.model.device.flush()));
        await runs[i - 1]?.value();
        if (i + 2 === batches.length) await runs[i]?.value();
      }
      return losses;
    } catch (error) {
      disposeAll(losses);
      for (const run of runs) await run.end(); // nothing runs on once this is over
      throw error;
    }
  }

  /** Queues a batch, whose gradients count for its share of the step's; returns its loss. */
  #addGradients({ n, sides: { source, target }, share }: PreparedBatch): Tensor {
    return this.model.device.scope(() => {
      this.model.seedDropout?.(mix(this.#state.seed, n));
      const loss = checkLoss(this.model.loss(source, target, this.#lossSettings));
      loss.backward(new Float32Array([share]));
      return loss;
    });
  }

  /** Queues what the optimizer makes of the gradients. */
  #update(step: number, lr: number): void {
    const { clipNorm = 1 } = this.options;
    this.model.device.scope(() => {
      this.#optimizer.step({ lr, maxNorm: clipNorm ?? undefined });
      this.#zeroGrad();
      this.#finalWeights.update(step);
    });
  }

  /** The same, but a step whose losses or gradients are not finite is skipped, and counted. */
  async #updateIfFinite(step: number, lr: number, losses: readonly number[]): Promise<void> {
    if (losses.every(Number.isFinite) && (await areFinite(this.#optimizer.params))) {
      this.#update(step, lr);
      await this.model.device.flush();
    } else {
      this.#state.skipped++;
      this.#zeroGrad();
    }
  }

  #count({ source, target }: Sides): void {
    const lengths = [...(source ?? []), ...target].map(({ length }) => length);
    this.#tokens += lengths.reduce((sum, length) => sum + length, 0);
    this.#examples += target.length;
  }

  /** Tells of a step once its loss is known. Throws NonFiniteError if that is no finite number, unless that is skipped. */
  async #report({ step, losses, shares, ...progress }: QueuedStep): Promise<void> {
    const { skipNonFinite = false, onStep } = this.options;
    const loss = (await losses.value()).reduce((sum, value, i) => sum + value * (shares[i] as number), 0);
    if (!(Number.isFinite(loss) || skipNonFinite)) throw diverged(step, loss);
    this.#losses.push(loss);
    const epoch = Math.floor(((step - 1) * this.#accumulation) / this.#batches.perEpoch);
    const seconds = (performance.now() - this.#start) / 1000;
    await onStep?.({ step, steps: this.#steps, epoch, loss, ...progress, seconds });
  }

  get #lossSettings(): LossSettings {
    const { labelSmoothing, ignoreIndex, headDiversity, rDrop } = this.options;
    return { labelSmoothing, ignoreIndex, headDiversity, rDrop };
  }

  /** Whether much would be lost by now; where the user has said when checkpoints are written, that is known. */
  #isLate(): boolean {
    const { checkpoint, checkpointEvery } = this.options;
    return checkpoint !== undefined && checkpointEvery === undefined && performance.now() - this.#saved > SAVE_AFTER;
  }

  /** Returns whether it is time to stop. */
  async #validate(): Promise<boolean> {
    const { validate, onValidation, earlyStopping } = this.options;
    if (validate === undefined) return false;
    this.model.eval();
    const metrics = checkMetrics(await validate(this.#state.step), earlyStopping?.metric);
    const validation = { step: this.#state.step, metrics };
    this.#state.validations.push(validation);
    await onValidation?.(validation);
    this.model.train();
    const { validations } = this.#state;
    const best = earlyStopping === undefined || validationsSinceBest(validations, earlyStopping.metric) === 0;
    this.#finalWeights.validated(validations.length, best);
    return this.#hasWaited();
  }

  /** Whether validations have been no better for as long as early stopping is patient. */
  #hasWaited(): boolean {
    const { earlyStopping } = this.options;
    if (earlyStopping === undefined) return false;
    return validationsSinceBest(this.#state.validations, earlyStopping.metric) >= earlyStopping.patience;
  }

  #zeroGrad(): void {
    for (const param of this.#parameters) param.zeroGrad();
  }

  async #save(): Promise<void> {
    const { checkpoint } = this.options;
    if (checkpoint === undefined) return;
    await saveCheckpoint(checkpoint, this.#tensors(), this.#optimizer, this.#state);
    this.#saved = performance.now();
  }

  /** Returns whether there was a checkpoint. */
  async #resume(): Promise<boolean> {
    const { checkpoint } = this.options;
    if (checkpoint === undefined) return false;
    const state = await loadCheckpoint(checkpoint, this.#tensors(), this.#optimizer, this.#state);
    if (state === null) return false;
    Object.assign(this.#state, state);
    return true;
  }

  /** Everything that a checkpoint holds beside the optimiser's state. */
  #tensors(): Map<string, Tensor> {
    const model = namedTensorsOf(this.model).map(([name, tensor]) => [`model.${name}`, tensor] as const);
    return new Map([...model, ...this.#finalWeights.tensors()]);
  }
}

/** What `validate` returned, once it is numbers by name, `watched` among them. */
function checkMetrics(given: Readonly<Record<string, number>>, watched: string | undefined) {
  const metrics = checkOptions('fit: what validate returned', given);
  for (const [name, value] of Object.entries(metrics)) {
    checkNumber('fit: what validate returned', name, value, () => true, 'a number');
  }
  if (watched === undefined || Object.hasOwn(metrics, watched)) return metrics;
  const names = Object.keys(metrics).join(', ') || 'nothing';
  throw new ArgumentError(`fit: earlyStopping watches '${watched}', but validate measured ${names}`);
}

/** How many validations ago `metric` was lowest. Where it was not measured, or NaN, it was worse than any number. */
function validationsSinceBest(validations: readonly Validation[], metric: string): number {
  const history = validations.map(({ metrics: { [metric]: value = Number.NaN } }) =>
    Number.isNaN(value) ? Infinity : value,
  );
  return history.length - 1 - history.indexOf(Math.min(...history));
}

function readAll(losses: readonly Tensor[]): Pending<number[]> {
  return new Pending(Promise.all(losses.map((loss) => loss.item())));
}

function disposeAll(tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
}

/** Whether all gradients of `params` are, as their global norm then is. */
async function areFinite(params: readonly Tensor[]): Promise<boolean> {
  const grads = params.map(({ grad }) => grad).filter((grad) => grad !== null);
  if (grads.length === 0) return true; // the optimizer says so
  const norm = globalNorm(grads);
  try {
    return Number.isFinite(await norm.item());
  } finally {
    norm.dispose();
  }
}

function diverged(step: number, loss: number): NonFiniteError {
  return new NonFiniteError(
    `fit: the loss of step ${step} is ${loss}, which no step can learn from: lower the learning rate, ` +
      'warm up longer, check the data, or skip such steps with skipNonFinite',
    step,
  );
}

/** A seed for batch `n` of a run. */
function mix(seed: number, n: number): number {
  return (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(n + 1, 0xc2b2ae35)) >>> 0;
}

function isBatches(data: readonly Example<Row, Row>[] | Batches<Row, Row>): data is Batches<Row, Row> {
  return 'batch' in Object(data);
}
