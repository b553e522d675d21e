// What `fit` does. It is loaded when it is first called: pages that do not train need not download it.

import { checkNumber, checkOptions, isCount, isNotNegative } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { AdamW } from './adamw.js';
import { type Batches, type Example, lengthBatches, type Row } from './batches.js';
import { canStay, loadCheckpoint, removeUnfinished, saveCheckpoint } from './checkpoint.js';
import { type FinalWeights, finalWeightsOf } from './final-weights.js';
import { fingerprintOf } from './fingerprint.js';
import { checkSettings, type FitOptions, type FitResult, type Validation } from './fit-options.js';
import type { Optimizer } from './optimizer.js';
import type { RunState } from './run-state.js';
import { inverseSquareRoot, type Schedule } from './schedule.js';
import {
  checkLoss,
  checkTrainable,
  countLabels,
  type LossSettings,
  type Sides,
  sidesOf,
  type Trainable,
} from './trainable.js';

/** Milliseconds of work that a run may lose. */
const SAVE_AFTER = 60_000;

/** Models that a run is training: two would take each other's gradients. */
const training = new WeakSet<Trainable<Row, Row>>();

/** One call of `fit`. */
export class Run {
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
      validations: [],
    };
    this.#recomputed = model.gradientCheckpointing;
    const params = model.namedParameters().map(([, param]) => param);
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
    const { step, validations } = this.#state;
    if (reason === 'done' && validations.at(-1)?.step !== step) await this.#validate();
    if (step > 0) await this.#save(); // else there is no more than a beginning
    if (reason !== 'aborted') this.#finalWeights.finish(validations.length);
    await this.model.device.flush();
    return { step, reason, losses: this.#losses, validations };
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
    let before: Promise<void> = Promise.resolve();
    while (this.#state.step < this.#steps && !signal?.aborted) {
      const step = ++this.#state.step;
      if (this.#accumulation > 1) await before; // which calls onStep, where gradients are nobody's
      const queued = this.#queue(step);
      queued.catch(() => {}); // reported when it is awaited, unless the step before has failed first
      await before;
      const { report } = await queued;
      before = report();
      before.catch(() => {});
      if (validateEvery !== undefined && step % validateEvery === 0) {
        await before;
        if (await this.#validate()) return 'early';
      }
      if (step % checkpointEvery === 0 || this.#isLate()) {
        await before;
        await this.#save();
      }
    }
    await before;
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
   * Queues a step and starts it; resolves once the next one may be queued. `report` resolves when its loss is known. Of
   * several batches each runs while the next one is queued: all together would fill the queue, and hold up the event
   * loop. None is left in the queue meanwhile, where others would run it, and hear of its errors.
   */
  async #queue(step: number): Promise<{ report: () => Promise<void> }> {
    const { clipNorm = 1, onStep } = this.options;
    const first = (step - 1) * this.#accumulation;
    const batches = Array.from({ length: this.#accumulation }, (_, i) => this.#batches.batch(first + i));
    const sides = batches.map((batch, i) => sidesOf(batch, first + i));
    const counts = sides.map((each, i) => countLabels(this.model, each, this.#lossSettings, first + i));
    const total = counts.reduce((sum, count) => sum + count, 0);
    const shares = counts.map((count) => count / total);
    const learningRate = this.#schedule(step);
    checkNumber('fit', `what schedule returned for step ${step}`, learningRate, isNotNegative, 'a number, 0 or more');
    const { device } = this.model;
    this.#zeroGrad(); // those that callbacks may have left are none of this step's
    const parts: Tensor[] = [];
    const running: Promise<void>[] = [];
    let values: Promise<number>[];
    try {
      for (const [i, each] of sides.entries()) {
        parts.push(this.#addGradients(each, first + i, shares[i] as number));
        if (i + 1 === batches.length) break;
        const run = device.flush();
        run.catch(() => {}); // reported when it is awaited
        running.push(run);
        // All before the optimizer's run, which would not know that one has failed.
        await (i + 2 === batches.length ? Promise.all(running) : running[i - 1]);
      }
      device.scope(() => {
        this.#optimizer.step({ lr: learningRate, maxNorm: clipNorm ?? undefined });
        this.#zeroGrad();
        this.#finalWeights.update(step);
      });
      values = parts.map((loss) => loss.item());
    } finally {
      for (const loss of parts) loss.dispose();
      await Promise.allSettled(running); // nothing runs on once this is over
    }
    await Promise.all(running);
    this.#tokens += batches.flat().reduce((sum, { source, target }) => sum + (source?.length ?? 0) + target.length, 0);
    this.#examples += batches.flat().length;
    const [tokens, examples] = [this.#tokens, this.#examples]; // before another step is queued
    const known = Promise.all(values);
    known.catch(() => {}); // if the step before has failed, nobody asks
    const report = async () => {
      const losses = await known;
      const loss = losses.reduce((sum, value, i) => sum + value * (shares[i] as number), 0);
      this.#losses.push(loss);
      const epoch = Math.floor(first / this.#batches.perEpoch);
      const seconds = (performance.now() - this.#start) / 1000;
      await onStep?.({ step, steps: this.#steps, epoch, loss, learningRate, tokens, examples, seconds });
    };
    return { report };
  }

  /** Queues a batch, whose gradients count for this share of the step's; returns its loss. */
  #addGradients({ source, target }: Sides, n: number, share: number): Tensor {
    return this.model.device.scope(() => {
      this.model.seedDropout?.(mix(this.#state.seed, n));
      const loss = checkLoss(this.model.loss(source, target, this.#lossSettings));
      loss.backward(new Float32Array([share]));
      return loss;
    });
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
    const model = this.model.namedParameters().map(([name, tensor]) => [`model.${name}`, tensor] as const);
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

/** A seed for batch `n` of a run. */
function mix(seed: number, n: number): number {
  return (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(n + 1, 0xc2b2ae35)) >>> 0;
}

function isBatches(data: readonly Example<Row, Row>[] | Batches<Row, Row>): data is Batches<Row, Row> {
  return 'batch' in Object(data);
}
