// The training loop of `fit`. It is loaded at the first call, so pages that do not train need not download it.

import { checkNumber, isNotNegative } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { yieldToEventLoop } from '../core/yield-to-event-loop.js';
import { AdamW } from './adamw.js';
import { isReplaceable, loadCheckpoint, removeUnfinished, saveCheckpoint } from './checkpoint.js';
import { type FinalWeights, finalWeightsOf } from './final-weights.js';
import { fingerprintOfText } from './fingerprint.js';
import { checkSettings, type FitOptions, type FitResult, type Progress } from './fit-options.js';
import { type GradientSum, LocalSum, WorldSum } from './gradient-sum.js';
import { areFinite, diverged } from './non-finite.js';
import type { Data, Learner } from './objective.js';
import type { Optimizer } from './optimizer.js';
import { Pending } from './pending.js';
import { Ranks, type Step } from './ranks.js';
import { type Reader, readerOf } from './reader.js';
import type { RunState } from './run-state.js';
import { Shards } from './shards.js';
import { shareState } from './share-state.js';
import { type PreparedBatch, StepGradients } from './step-gradients.js';
import { planOf, UNPLANNED } from './step-plan.js';
import { type LossSettings, namedTensorsOf } from './trainable.js';
import { Validator } from './validator.js';
import { checkAgreement } from './world.js';

/** A step that is running or has run. */
interface QueuedStep extends Pick<Progress, 'step' | 'learningRate'> {
  readonly computed: Pending<Step>;
  /** Weights of the batches of all ranks, by their numbers of labels. */
  readonly shares: readonly number[];
}

/** Maximum milliseconds between two checkpoints, if `checkpointEvery` is not given. */
const SAVE_AFTER = 60_000;

/** Models in training. Two runs of one model would mix their gradients. */
const training = new WeakSet<Learner['model']>();

/** One call of `fit`. */
export class TrainingRun {
  readonly #model: Learner['model'];
  readonly #data: Reader;
  readonly #accumulation: number;
  #plan = UNPLANNED;
  readonly #optimizer: Optimizer;
  /** The parameters of the model and of the optimizer. */
  readonly #parameters: ReadonlySet<Tensor>;
  readonly #finalWeights: FinalWeights;
  readonly #validator: Validator;
  readonly #ranks: Ranks;
  /** Sums gradients if a step has several batches. */
  readonly #sum: GradientSum | null;
  /** The optimizer's state, if it is sharded over ranks. */
  readonly #shards: Shards | null;
  readonly #gradients: StepGradients;
  readonly #state: RunState;
  /** The model's gradient checkpointing before the run. */
  readonly #recomputed: boolean | undefined;
  readonly #losses: number[] = [];
  #tokens = 0;
  #examples = 0;
  /** The latest step that was begun. Ends when its update is queued. */
  #queued: Pending<unknown> = new Pending(Promise.resolve());
  #isAborted = false;
  #isLate = false;
  readonly #start = performance.now();
  #saved = performance.now();

  constructor(
    private readonly learner: Learner,
    data: Data,
    private readonly options: FitOptions,
  ) {
    const { model } = learner;
    this.#model = model;
    checkSettings(options, model);
    assertIdle(model);
    const { gradientAccumulation = 1, seed = 0, wire = 'float32', zeroStage = 0 } = options;
    const world = options.world && options.world.size > 1 ? options.world : undefined;
    this.#ranks = new Ranks(world);
    this.#accumulation = gradientAccumulation;
    this.#data = readerOf(data, learner, options);
    const { perEpoch } = this.#data;
    if (perEpoch !== null) this.#plan = planOf(options, perEpoch, this.#batchesOfStep);
    this.#state = {
      step: 0,
      seed,
      gradientAccumulation: this.#batchesOfStep,
      data: options.checkpoint === undefined ? undefined : this.#data.fingerprint, // this reads all data
      firstBatch: perEpoch === null ? 0 : learner.fingerprintOf(this.#data.batch(0) as readonly unknown[]),
      skipped: 0,
      validations: [],
    };
    this.#recomputed = model.gradientCheckpointing;
    const params = namedTensorsOf(model).map(([, param]) => param);
    const trained = params.filter((param) => param.requiresGrad);
    if (trained.length === 0) throw new ArgumentError('fit: the model has no parameter that requires gradients');
    // No caller's code, which may throw, runs below. Memory that is taken from here on therefore cannot leak.
    const optimizer = optimizerFor(trained, options);
    this.#optimizer = optimizer;
    this.#parameters = new Set([...params, ...optimizer.params]);
    const finalWeights = finalWeightsOf(trained, options);
    this.#finalWeights = finalWeights;
    this.#validator = new Validator({ model, trained, finalWeights, ranks: this.#ranks, state: this.#state, options });
    this.#sum = null;
    if (world !== undefined) this.#sum = new WorldSum(world, optimizer.params, wire);
    else if (gradientAccumulation > 1) this.#sum = new LocalSum(optimizer.params);
    this.#shards = world !== undefined && zeroStage === 1 ? new Shards(world, optimizer) : null;
    this.#gradients = new StepGradients(learner, this.#sum, this.#lossSettings);
    training.add(model);
  }

  /** Plans the steps of a stream. Without `steps`, it reads the stream once to count them. */
  async #planStream(): Promise<void> {
    const perEpoch = this.options.steps === undefined ? await this.#data.count() : Number.POSITIVE_INFINITY;
    this.#plan = planOf(this.options, perEpoch, this.#batchesOfStep);
    this.#state.firstBatch = this.learner.fingerprintOf(await this.#data.batch(0));
  }

  async go(): Promise<FitResult> {
    await yieldToEventLoop(); // the first use of this code takes long
    if (this.#data.perEpoch === null) await this.#planStream();
    const resumed = await this.#begin();
    await yieldToEventLoop();
    // A resumed run does not continue if early stopping had ended it and the patience is not greater now.
    const reason = resumed && this.#validator.hasWaited ? 'early' : await this.#takeSteps();
    const { step, skipped, validations } = this.#state;
    if (reason === 'done' && validations.at(-1)?.step !== step) await this.#validator.validate();
    if (step > 0) await this.#save(); // otherwise there is no progress to save
    const final = reason === 'aborted' ? this.#validator.leave() : await this.#validator.finish();
    await this.#model.device.flush();
    return { step, reason, losses: this.#losses, skipped, validations, ...final };
  }

  /** Prepares the model and the checkpoint; returns true if the run resumes. */
  async #begin(): Promise<boolean> {
    const { checkpoint, gradientCheckpointing } = this.options;
    await this.#agree();
    await this.#shards?.begin();
    if (checkpoint !== undefined && this.#ranks.isFirst) await removeUnfinished(checkpoint);
    const resumed = await this.#resume();
    // The checkpoint of another run stays until this run has made progress.
    const isNew = checkpoint !== undefined && this.#ranks.isFirst && !resumed && !(await isReplaceable(checkpoint));
    if (await this.#ranks.any(isNew)) await this.#save();
    this.#isAborted = await this.#ranks.any(this.options.signal?.aborted ?? false);
    this.#model.train();
    if (gradientCheckpointing !== undefined) this.#model.gradientCheckpointing = gradientCheckpointing;
    this.#zeroGrad(); // earlier gradients do not belong to this run
    return resumed;
  }

  /** Takes the remaining steps, with validations and checkpoints. Returns the reason for the end. */
  async #takeSteps(): Promise<FitResult['reason']> {
    const { validateEvery, checkpointEvery = 500, skipNonFinite = false } = this.options;
    // Each step is prepared while the previous one runs.
    let report = new Pending(Promise.resolve());
    while (this.#state.step < this.#plan.steps && !this.#isStopped()) {
      const step = ++this.#state.step;
      if (this.#sum !== null || skipNonFinite) await report.value(); // there, a step is queued only after its gradients ran
      const queued = new Pending(this.#queue(step));
      this.#queued = queued;
      await report.value(); // throws the error of the previous step, if it failed
      report = new Pending(this.#report(await queued.value()));
      if (validateEvery !== undefined && step % validateEvery === 0) {
        await report.value();
        if (await this.#validator.validate()) return 'early';
      }
      if (step % checkpointEvery === 0 || (this.#ranks.size > 1 ? this.#isLate : this.#isOverdue())) {
        await report.value();
        await this.#save();
      }
    }
    await report.value();
    return this.#state.step < this.#plan.steps ? 'aborted' : 'done';
  }

  /** True if the run was asked to stop: by `signal` or, with several ranks, as agreed at the last step. */
  #isStopped(): boolean {
    return this.#ranks.size > 1 ? this.#isAborted : (this.options.signal?.aborted ?? false);
  }

  /** Tells the other ranks why this one failed, so that they do not wait for it. */
  fail(error: unknown): void {
    this.#ranks.fail(error);
  }

  async close(): Promise<void> {
    training.delete(this.#model);
    this.#sum?.dispose();
    if (this.options.gradientCheckpointing !== undefined) this.#model.gradientCheckpointing = this.#recomputed;
    this.#model.eval();
    this.#finalWeights.dispose();
    this.#zeroGrad();
    if (this.options.optimizer === undefined) (this.#optimizer as AdamW).dispose();
    await this.#data.close();
  }

  /**
   * Queues a step and starts it. Resolves once the next one may be queued. None of its commands remain in the queue,
   * because other code would run them and get their errors.
   */
  async #queue(step: number): Promise<QueuedStep> {
    const { batches, shares, learningRate } = await this.#prepare(step);
    this.#zeroGrad(); // callbacks may have left gradients
    const isSure = this.#ranks.size === 1 && !this.options.skipNonFinite;
    let computed = await this.#gradients.compute(batches, this.#state.seed, (losses) => {
      if (isSure) this.#update(step, learningRate);
      return this.#computed(batches, losses);
    });
    if (!isSure) {
      computed = await this.#share(computed);
      await this.#updateIfFinite(step, learningRate, (await computed.value()).losses);
    }
    return { step, learningRate, computed, shares };
  }

  /** Combines the results of a step over all ranks. They also tell if any rank was asked to stop. */
  async #share(local: Pending<Step>): Promise<Pending<Step>> {
    const computed = new Pending(this.#ranks.step(await local.value()));
    ({ isAborted: this.#isAborted, isLate: this.#isLate } = await computed.value());
    return computed;
  }

  /** Reads the results of this rank's part of a step, once it has run. */
  #computed(batches: readonly PreparedBatch[], losses: readonly Tensor[]): Pending<Step> {
    const items = batches.flatMap((batch) => batch.items);
    const tokens = items.reduce<number>((sum, item) => sum + this.learner.tokensOf(item), 0);
    const examples = items.length;
    const isAborted = this.options.signal?.aborted ?? false;
    const isLate = this.#isOverdue();
    const read = Promise.all(losses.map((loss) => loss.item()));
    return new Pending(read.then((values) => ({ losses: values, tokens, examples, isAborted, isLate })));
  }

  /** The batches of step number `step`, their weights, and its learning rate. */
  async #prepare(step: number) {
    const numbers = this.#ranks.batches(step, this.#accumulation);
    const items: (readonly unknown[])[] = [];
    for (const n of numbers) {
      const batch = await this.#data.batch(n);
      items.push(batch);
      // An objective encodes an example at its first use.
      for (const item of this.learner.isPaired ? [] : batch) {
        this.learner.tokensOf(item);
        await yieldToEventLoop();
      }
    }
    const weights = items.map((batch, i) => this.learner.weightOf(batch, this.#lossSettings, numbers[i] as number));
    const counts = await this.#ranks.all(weights);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const learningRate = this.#plan.schedule(step);
    checkNumber('fit', `what schedule returned for step ${step}`, learningRate, isNotNegative, 'a number, 0 or more');
    const batches = items.map((batch, i): PreparedBatch => {
      return { n: numbers[i] as number, items: batch, share: (weights[i] as number) / total };
    });
    return { batches, shares: counts.map((count) => count / total), learningRate };
  }

  /** Queues the update of the weights, and of what follows them. */
  #update(step: number, lr: number): void {
    this.#step(lr);
    this.#finalWeights.update(step);
  }

  /** Queues the optimizer's step. */
  #step(lr: number): void {
    const { clipNorm = 1 } = this.options;
    this.#model.device.scope(() => this.#optimizer.step({ lr, maxNorm: clipNorm ?? undefined }));
    this.#zeroGrad();
  }

  /**
   * Updates the weights. With `skipNonFinite` a step whose losses or gradients are not finite is skipped and counted.
   */
  async #updateIfFinite(step: number, lr: number, losses: readonly number[]): Promise<void> {
    const { skipNonFinite = false } = this.options;
    if (!skipNonFinite || (losses.every(Number.isFinite) && (await areFinite(this.#optimizer.params)))) {
      if (this.#shards === null) this.#update(step, lr);
      else {
        this.#step(lr);
        await this.#shards.share();
        this.#finalWeights.update(step);
      }
      await this.#model.device.flush();
    } else {
      this.#state.skipped++;
      this.#zeroGrad();
    }
  }

  /**
   * Reports a step once its loss is known. Throws NonFiniteError if the loss is not finite, unless such steps are
   * skipped.
   */
  async #report({ step, computed, shares, learningRate }: QueuedStep): Promise<void> {
    const { skipNonFinite = false, onStep } = this.options;
    const { losses, tokens, examples } = await computed.value();
    const loss = losses.reduce((sum, value, i) => sum + value * (shares[i] as number), 0);
    if (!(Number.isFinite(loss) || skipNonFinite)) throw diverged(step, loss);
    await this.#queued.end(); // onStep may change gradients, which the next step must not see
    this.#losses.push(loss);
    this.#tokens += tokens;
    this.#examples += examples;
    const seen = { tokens: this.#tokens, examples: this.#examples };
    const epoch = Math.floor(((step - 1) * this.#batchesOfStep) / this.#plan.perEpoch);
    const seconds = (performance.now() - this.#start) / 1000;
    await onStep?.({ step, steps: this.#plan.steps, epoch, loss, learningRate, ...seen, seconds });
  }

  /** Batches of a step over all ranks. */
  get #batchesOfStep(): number {
    return this.#accumulation * this.#ranks.size;
  }

  get #lossSettings(): LossSettings {
    const { labelSmoothing, ignoreIndex, headDiversity, rDrop } = this.options;
    return { labelSmoothing, ignoreIndex, headDiversity, rDrop };
  }

  /** True if the latest checkpoint is too old. Always false if `checkpointEvery` is given. */
  #isOverdue(): boolean {
    const { checkpoint, checkpointEvery } = this.options;
    return checkpoint !== undefined && checkpointEvery === undefined && performance.now() - this.#saved > SAVE_AFTER;
  }

  #zeroGrad(): void {
    for (const param of this.#parameters) param.zeroGrad();
  }

  async #save(): Promise<void> {
    const { checkpoint } = this.options;
    if (!(await this.#ranks.any(checkpoint !== undefined))) return;
    const optimizer = this.#shards === null ? this.#optimizer.state() : await this.#shards.gather();
    if (checkpoint !== undefined && this.#ranks.isFirst)
      await saveCheckpoint(checkpoint, this.#tensors(), optimizer, this.#state);
    this.#saved = performance.now();
  }

  /** Returns true if the run resumes from a checkpoint. All ranks begin with the weights and the state of rank 0. */
  async #resume(): Promise<boolean> {
    const { checkpoint, resume = false, world } = this.options;
    const optimizer = this.#shards ?? this.#optimizer;
    let state: RunState | null = null;
    if (checkpoint !== undefined && resume && this.#ranks.isFirst)
      state = await loadCheckpoint(checkpoint, this.#tensors(), optimizer, this.#state);
    if (world !== undefined && this.#ranks.size > 1)
      state = await shareState(world, state, this.#tensors(), optimizer, this.#state);
    if (state === null) return false;
    Object.assign(this.#state, state);
    return true;
  }

  /** Throws ArgumentError, on all ranks, if one of them has other data or options. */
  async #agree(): Promise<void> {
    const { world, ...options } = this.options;
    if (world === undefined || this.#ranks.size === 1) return;
    const sizes = namedTensorsOf(this.#model).map(([name, { shape }]) => `${name} ${shape.join('×')}`);
    await checkAgreement(world, {
      ...options,
      // These may differ between ranks.
      checkpoint: undefined,
      signal: undefined,
      onStep: undefined,
      onValidation: undefined,
      ...this.#state,
      step: undefined,
      skipped: undefined,
      validations: undefined, // only rank 0 has them, from its checkpoint
      version: this.#model.device.info.version,
      data: this.#data.fingerprint,
      steps: this.#plan.steps,
      schedule: [1, Math.ceil(this.#plan.steps / 2), this.#plan.steps].map((step) => this.#plan.schedule(step)),
      parameters: fingerprintOfText(sizes.join()),
      optimizer: this.#optimizer.settings ?? null,
    });
  }

  /** Returns the tensors of a checkpoint, without the optimizer's state. */
  #tensors(): Map<string, Tensor> {
    const model = namedTensorsOf(this.#model).map(([name, tensor]) => [`model.${name}`, tensor] as const);
    return new Map([...model, ...this.#finalWeights.tensors()]);
  }
}

/** Throws ArgumentError if another run trains the model. */
function assertIdle(model: Learner['model']): void {
  if (training.has(model))
    throw new ArgumentError('fit: another call trains this model; wait for the promise that it returned first');
}

/** Returns the optimizer of the options, or AdamW. Throws ArgumentError if it has none of the trained parameters. */
function optimizerFor(trained: readonly Tensor[], options: FitOptions): Optimizer {
  const { optimizer = new AdamW(trained, { beta2: 0.98, eps: 1e-9, weightDecay: 0 }) } = options;
  if (trained.some((param) => optimizer.params.includes(param))) return optimizer;
  throw new ArgumentError(
    'fit: the optimizer has none of the parameters that require gradients: give it model.parameters()',
  );
}
