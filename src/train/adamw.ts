import { checkNumber, checkOptions } from '../core/check.js';
import type { Device } from '../core/device.js';
import { FormatError } from '../core/errors.js';
import type { Scalar } from '../core/queue.js';
import type { Tensor } from '../core/tensor.js';
import { clipFactor, gradsOf } from './clip.js';
import { checkParameters, loadTensors, type Optimizer, type OptimizerState } from './optimizer.js';

export interface AdamWOptions {
  /** Learning rate of groups without their own. Default: 1e-3. */
  lr?: number;
  /** Decay of the gradient's running mean. Default: 0.9. */
  beta1?: number;
  /** Decay of the squared gradient's running mean. Default: 0.999. */
  beta2?: number;
  /** Default: 1e-8. */
  eps?: number;
  /** Of groups without their own. Default: 0.01. */
  weightDecay?: number;
}

/** Parameters with settings of their own: usually biases and norms without weight decay. */
export interface ParameterGroup {
  params: readonly Tensor[];
  /** A fixed rate; `step({ lr })` is then for the other groups. */
  lr?: number;
  weightDecay?: number;
}

/** One parameter and its state. */
interface Entry {
  readonly param: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  readonly lr: number | Scalar;
  readonly weightDecay: number;
}

/**
 * Adam with decoupled weight decay (Loshchilov & Hutter, 2019), with PyTorch's arithmetic: one fused pass over each
 * parameter. Parameters without a gradient are left alone.
 *
 * In a recorded program use `apply` and give each run what `advance` returns:
 *
 * ```ts
 * const program = device.record(() => { loss().backward(); adamw.apply({ maxNorm: 1 }); adamw.zeroGrad() });
 * program.run(adamw.advance({ lr: schedule(step) }));
 * ```
 */
export class AdamW implements Optimizer {
  readonly params: readonly Tensor[];
  /** The global norm of the gradients before clipping, at the latest step with `maxNorm`. A scalar tensor. */
  readonly gradNorm: Tensor;
  /** Steps taken. */
  steps = 0;
  readonly #device: Device;
  readonly #entries: readonly Entry[];
  readonly #options: Required<AdamWOptions>;
  readonly #lr: Scalar;
  readonly #correction1: Scalar;
  readonly #correction2: Scalar;

  constructor(params: readonly Tensor[] | readonly ParameterGroup[], options: AdamWOptions = {}) {
    const { lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0.01 } = checkOptions('AdamW', options);
    this.#options = { lr, beta1, beta2, eps, weightDecay };
    checkValues(this.#options);
    const groups = isGroups(params) ? params : [{ params }];
    this.params = groups.flatMap((group) => group.params);
    this.#device = checkParameters('AdamW', this.params);
    const device = this.#device;
    this.#lr = device.scalar('lr', this.#options.lr);
    this.#correction1 = device.scalar('correction1', 1);
    this.#correction2 = device.scalar('correction2', 1);
    this.gradNorm = device.unscoped(() => device.zeros([]));
    this.#entries = groups.flatMap(({ params, lr, weightDecay = this.#options.weightDecay }) => {
      checkValues({ ...this.#options, lr: lr ?? 0, weightDecay });
      return params.map((param) => {
        const [m, v] = device.unscoped(() => [device.zeros(param.shape), device.zeros(param.shape)] as const);
        return { param, m, v, lr: lr ?? this.#lr, weightDecay };
      });
    });
  }

  /**
   * One step: `advance`, then `apply`.
   *
   * With `maxNorm` the gradients count as scaled down to that global norm. If that norm is not finite nothing changes, and
   * `gradNorm` tells; without `maxNorm` such gradients reach the parameters, as in PyTorch.
   */
  step(options: { lr?: number; maxNorm?: number } = {}): void {
    const { lr, maxNorm } = checkOptions('AdamW.step', options);
    this.advance({ lr });
    this.apply({ maxNorm });
  }

  /** Counts a step and returns the scalars that a recorded `apply` needs for it. */
  advance(options: { lr?: number } = {}): { lr: number; correction1: number; correction2: number } {
    const { lr = this.#options.lr } = checkOptions('AdamW.advance', options);
    checkNumber('AdamW', 'lr', lr, (value) => value >= 0 && Number.isFinite(value), 'a number, 0 or more');
    this.steps++;
    this.#lr.value = lr;
    this.#correction1.value = 1 - this.#options.beta1 ** this.steps;
    this.#correction2.value = 1 - this.#options.beta2 ** this.steps;
    return { lr, correction1: this.#correction1.value, correction2: this.#correction2.value };
  }

  /** Queues the update of every parameter that has a gradient. */
  apply(options: { maxNorm?: number } = {}): void {
    const { maxNorm } = checkOptions('AdamW.apply', options);
    const { beta1, beta2, eps } = this.#options;
    const factor = maxNorm === undefined ? null : clipFactor('AdamW', gradsOf(this.params), maxNorm, this.gradNorm);
    const shared = { factor, correction1: this.#correction1, correction2: this.#correction2, eps };
    const rates = { rate1: 1 - beta1, rate2: 1 - beta2 };
    for (const { param, m, v, lr, weightDecay } of this.#entries) {
      const g = param.grad;
      if (g === null) continue;
      this.#device.emit(
        'adamw',
        { p: param, g, m, v, count: param.size, lr, weightDecay, ...rates, ...shared },
        14 * param.size,
      );
    }
    factor?.dispose();
  }

  /** Forgets the gradients. */
  zeroGrad(): void {
    for (const param of this.params) param.zeroGrad();
  }

  /** The running means of parameter i as `i.m` and `i.v`, and the number of steps. */
  state(): OptimizerState {
    const tensors = this.#entries.flatMap(({ m, v }, i) => [[`${i}.m`, m] as const, [`${i}.v`, v] as const]);
    return { tensors: new Map(tensors), numbers: { steps: this.steps } };
  }

  /** Throws FormatError, and changes nothing, unless the state is of an AdamW with parameters of the same sizes. */
  loadState({ tensors, numbers }: Parameters<Optimizer['loadState']>[0]): void {
    if (!Number.isInteger(numbers.steps)) throw new FormatError('AdamW: the state has no number of steps');
    loadTensors('AdamW', this.state().tensors, tensors);
    this.steps = numbers.steps as number;
  }

  /** Gives the memory of the state back. The parameters stay. */
  dispose(): void {
    this.gradNorm.dispose();
    for (const { m, v } of this.#entries) {
      m.dispose();
      v.dispose();
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function isGroups(params: readonly Tensor[] | readonly ParameterGroup[]): params is readonly ParameterGroup[] {
  return Array.isArray(params) && params.length > 0 && params.every((each) => Array.isArray(each?.params));
}

function checkValues({ lr, beta1, beta2, eps, weightDecay }: Required<AdamWOptions>): void {
  const isPart = (value: number) => value >= 0 && value < 1;
  const notNegative = (value: number) => value >= 0 && Number.isFinite(value);
  checkNumber('AdamW', 'lr', lr, notNegative, 'a number, 0 or more');
  checkNumber('AdamW', 'beta1', beta1, isPart, 'a number from 0 to below 1');
  checkNumber('AdamW', 'beta2', beta2, isPart, 'a number from 0 to below 1');
  checkNumber('AdamW', 'eps', eps, notNegative, 'a number, 0 or more');
  checkNumber('AdamW', 'weightDecay', weightDecay, notNegative, 'a number, 0 or more');
}
