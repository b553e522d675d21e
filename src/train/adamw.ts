import { checkKnown, checkNumber, checkOneOf, isFraction, isNotNegative } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { FormatError, SimdformerError } from '../core/errors.js';
import { Scalar } from '../core/operand.js';
import type { Tensor } from '../core/tensor.js';
import { clipFactor, gradsOf, gradsToClip } from './clip.js';
import { BaseOptimizer, loadTensors, type Optimizer, type OptimizerEntry, type OptimizerState } from './optimizer.js';
import type { ParameterGroup } from './parameter-groups.js';

export interface AdamWOptions {
  /** Learning rate of groups without their own. Default: 1e-3. */
  lr?: number | undefined;
  /** Decay of the gradient's running mean. Default: 0.9. */
  beta1?: number | undefined;
  /** Decay of the squared gradient's running mean. Default: 0.999. */
  beta2?: number | undefined;
  /** Term added to the denominator. Default: 1e-8. */
  eps?: number | undefined;
  /** Weight decay of groups without their own. Default: 0.01. */
  weightDecay?: number | undefined;
  /**
   * True divides by the greatest running mean of squared gradients so far, not by the current one (AMSGrad, Reddi et
   * al. 2018). The state then takes 1.5 times the memory. Default: false.
   */
  amsgrad?: boolean | undefined;
}

/** The bias corrections of running means that begin at zero: 1 − βᵢ^steps. */
type Corrections<Value extends number | Scalar> = { readonly correction1: Value; readonly correction2: Value };

interface Entry extends OptimizerEntry {
  readonly state: {
    readonly exp_avg: Tensor;
    readonly exp_avg_sq: Tensor;
    /** The greatest values of `exp_avg_sq` so far, for AMSGrad. */
    readonly max_exp_avg_sq?: Tensor;
  };
  /** Number of steps in which the parameter had a gradient. */
  steps: number;
  /** The latest step of the optimizer that `steps` includes. */
  counted: number;
}

/**
 * Adam with decoupled weight decay (Loshchilov & Hutter, 2019), with PyTorch's arithmetic: one fused pass over each
 * parameter. A step does not change, or count for, parameters without a gradient. The bias correction therefore begins
 * at the first gradient of each parameter.
 *
 * In a recorded program use `apply`, and give each run the result of `advance`:
 *
 * ```ts
 * const program = device.record(() => { loss().backward(); adamw.apply({ maxNorm: 1 }); adamw.zeroGrad() });
 * program.run(adamw.advance({ lr: schedule(step) }));
 * ```
 */
export class AdamW extends BaseOptimizer<Entry> {
  /** The global norm of the gradients before clipping, at the latest step with `maxNorm`: float32 []. */
  readonly gradNorm: Tensor;
  /** Number of steps taken. */
  steps = 0;
  readonly #options: Complete<AdamWOptions>;
  readonly #lr: Scalar;

  /**
   * `params` are leaves of float32, each given once. Throws ArgumentError for invalid options, and for values that are
   * not parameters. Throws DTypeError, AutogradError for views and results of ops, and SimdformerError while a program
   * is recorded.
   */
  constructor(params: readonly Tensor[] | readonly ParameterGroup[], options: AdamWOptions = {}) {
    const {
      lr = 1e-3,
      beta1 = 0.9,
      beta2 = 0.999,
      eps = 1e-8,
      weightDecay = 0.01,
      amsgrad = false,
    } = checkKnown('AdamW', options, ['lr', 'beta1', 'beta2', 'eps', 'weightDecay', 'amsgrad']);
    const settings = { lr, beta1, beta2, eps, weightDecay, amsgrad };
    checkValues(settings);
    super('AdamW', params, settings, (param) => {
      const zeros = () => param.device.zeros(param.shape);
      const means = { exp_avg: zeros(), exp_avg_sq: zeros() };
      return { state: amsgrad ? { ...means, max_exp_avg_sq: zeros() } : means, steps: 0, counted: 0 };
    });
    this.#options = settings;
    this.#lr = this.device.scalar('lr', lr);
    this.gradNorm = this.device.unscoped(() => this.device.zeros([]));
  }

  /**
   * One step: `advance`, then `apply`. The default of `lr` is the rate in the options. Throws ArgumentError if
   * `maxNorm` is given but no parameter has a gradient, and SimdformerError while a program is recorded.
   *
   * With `maxNorm`, the gradients are scaled down to that global norm. If the norm is not finite, parameters and
   * running means stay unchanged, and `gradNorm` shows the norm. The step still counts in the bias correction, because
   * only the device knows the norm. Early skipped steps therefore make later updates smaller. Without `maxNorm`,
   * gradients that are not finite reach the parameters, as in PyTorch.
   */
  step(options: { lr?: number | undefined; maxNorm?: number | undefined } = {}): void {
    const { lr, maxNorm } = checkKnown('AdamW.step', options, ['lr', 'maxNorm']);
    if (maxNorm !== undefined) gradsToClip('AdamW', this.params, maxNorm);
    this.#begin(lr);
    this.apply({ maxNorm });
  }

  /**
   * Counts a step, and sets the rate of the next runs of programs. Pass the result to `run`. It names no scalar,
   * because another optimizer in the program may have a rate of its own.
   */
  advance(options: { lr?: number | undefined } = {}): Record<string, number> {
    this.#begin(checkKnown('AdamW.advance', options, ['lr']).lr);
    return {};
  }

  #begin(lr = this.#options.lr): void {
    if (this.device.recording) {
      throw new SimdformerError('AdamW: record apply(), and give each run of the program what advance() returns');
    }
    checkNumber('AdamW', 'lr', lr, isNotNegative, 'a number, 0 or more');
    this.steps++;
    this.#lr.value = lr;
  }

  /** Counts the optimizer's latest step as a step of the parameter, but only once. Returns the corrections. */
  #count(entry: Entry): Corrections<number> {
    if (entry.counted !== this.steps) {
      entry.counted = this.steps;
      entry.steps++;
    }
    const { steps } = entry;
    const { beta1, beta2 } = this.#options;
    return steps === 0
      ? { correction1: 1, correction2: 1 }
      : { correction1: 1 - beta1 ** steps, correction2: 1 - beta2 ** steps };
  }

  /** Returns the corrections in a recorded program, in which each run counts as a step. */
  #countInRuns(entry: Entry): Corrections<Scalar> {
    const scalar = (name: keyof Corrections<Scalar>) =>
      new Scalar(`${name}.${entry.index}`, 1, () => this.#count(entry)[name], this.device.arena);
    return { correction1: scalar('correction1'), correction2: scalar('correction2') };
  }

  /**
   * Queues the update of every parameter that has a gradient. Call `advance` before, which counts the step for the bias
   * correction. Throws ArgumentError if no parameter has a gradient and `maxNorm` is given or a program is recorded, in
   * which `backward()` must come first.
   */
  apply(options: { maxNorm?: number | undefined } = {}): void {
    const { maxNorm } = checkKnown('AdamW.apply', options, ['maxNorm']);
    const { beta1, beta2, eps, weightDecay } = this.#options;
    const records = this.device.recording;
    if (records) gradsOf('AdamW', this.params);
    const factor =
      maxNorm === undefined ? null : clipFactor(gradsToClip('AdamW', this.params, maxNorm), maxNorm, this.gradNorm);
    const shared = { factor, eps, rate1: 1 - beta1, rate2: 1 - beta2 };
    for (const entry of this.entries) {
      const { param: p, group, state } = entry;
      const g = p.grad;
      if (g === null) continue;
      const { exp_avg: m, exp_avg_sq: v, max_exp_avg_sq: greatest = null } = state;
      const settings = { lr: group.lr ?? this.#lr, weightDecay: group.weightDecay ?? weightDecay };
      const corrections = records ? this.#countInRuns(entry) : this.#count(entry);
      const operands = { p, g, m, v, greatest, count: p.size, ...settings, ...corrections, ...shared };
      this.device.emit('adamw', operands, 14 * p.size);
    }
    factor?.dispose();
  }

  /**
   * Returns the running means of parameter i by PyTorch's names: `i.exp_avg`, `i.exp_avg_sq` and, with `amsgrad`,
   * `i.max_exp_avg_sq`. The number of steps is `step`. A parameter that has taken fewer steps has its own number,
   * `i.step`.
   */
  override state(): OptimizerState {
    const missed = this.entries.filter(({ steps }) => steps < this.steps);
    const numbers = Object.fromEntries(missed.map(({ steps, index }) => [`${index}.step`, steps]));
    return { tensors: this.stateTensors(), numbers: { step: this.steps, ...numbers } };
  }

  /**
   * Throws FormatError, and changes nothing, unless the state belongs to an AdamW with parameters of the same sizes.
   */
  override loadState({ tensors, numbers }: Parameters<Optimizer['loadState']>[0]): void {
    const { step: steps = Number.NaN } = numbers;
    const stepCounts = this.entries.map(({ index: i }) => numbers[`${i}.step`] ?? steps);
    if (![steps, ...stepCounts].every((count) => Number.isSafeInteger(count) && count >= 0 && count <= steps)) {
      throw new FormatError('AdamW: the state lacks a valid number of steps');
    }
    loadTensors('AdamW', this.stateTensors(), tensors);
    this.steps = steps;
    for (const [i, entry] of this.entries.entries()) {
      entry.steps = stepCounts[i] as number;
      entry.counted = steps;
    }
  }

  override dispose(): void {
    this.gradNorm.dispose();
    super.dispose();
  }
}

function checkValues({ lr, beta1, beta2, eps, weightDecay, amsgrad }: Complete<AdamWOptions>): void {
  checkOneOf('AdamW', 'amsgrad', amsgrad, [true, false]);
  checkNumber('AdamW', 'lr', lr, isNotNegative, 'a number, 0 or more');
  checkNumber('AdamW', 'beta1', beta1, isFraction, 'a number from 0 to below 1');
  checkNumber('AdamW', 'beta2', beta2, isFraction, 'a number from 0 to below 1');
  checkNumber('AdamW', 'eps', eps, isNotNegative, 'a number, 0 or more');
  checkNumber('AdamW', 'weightDecay', weightDecay, isNotNegative, 'a number, 0 or more');
}
