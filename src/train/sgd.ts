import { checkKnown, checkNumber, checkOptions, isNotNegative } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import type { Scalar } from '../core/operand.js';
import type { Tensor } from '../core/tensor.js';
import { clipFactor, gradsOf, gradsToClip } from './clip.js';
import { BaseOptimizer, loadTensors, type Optimizer, type OptimizerEntry, type OptimizerState } from './optimizer.js';
import type { ParameterGroup } from './parameter-groups.js';

export interface SGDOptions {
  /** Learning rate of groups without their own. Default: 1e-3. */
  lr?: number | undefined;
  /** Factor of the previous direction in the next one, from 0 to below 1. Default: 0. */
  momentum?: number | undefined;
  /** With `momentum`, the gradient is multiplied by 1 − `dampening` after a parameter's first step. Default: 0. */
  dampening?: number | undefined;
  /** Nesterov momentum, which needs `momentum` above 0 and no `dampening`. Default: false. */
  nesterov?: boolean | undefined;
  /** Weight decay of groups without their own: the parameter times this value is added to its gradient. Default: 0. */
  weightDecay?: number | undefined;
}

interface Entry extends OptimizerEntry {
  readonly state: { readonly momentum_buffer: Tensor };
  /** True once the buffer has a direction. */
  isMoving: boolean;
}

/**
 * Stochastic gradient descent with PyTorch's momentum: d = g + weightDecay·p, v = momentum·v + (1 − dampening)·d, p = p
 * − lr·v. With `nesterov`, p = p − lr·(d + momentum·v). Without momentum, and in a parameter's first step, v = d.
 * Parameters without a gradient stay unchanged.
 *
 * In a recorded program, the rate is a scalar: `program.run({ lr })`. A run without it uses the rate of the latest step
 * or run.
 */
export class SGD extends BaseOptimizer<Entry> {
  readonly #options: Complete<SGDOptions>;
  readonly #lr: Scalar;

  /** Takes the parameters of AdamW's constructor, and throws the same errors. */
  constructor(params: readonly Tensor[] | readonly ParameterGroup[], options: SGDOptions = {}) {
    const kinds = {
      lr: 'notNegative',
      momentum: 'fraction',
      dampening: 'any',
      nesterov: 'boolean',
      weightDecay: 'notNegative' as const,
    } as const;
    const checked = checkOptions('SGD', options, kinds);
    const { lr = 1e-3, momentum = 0, dampening = 0, nesterov = false, weightDecay = 0 } = checked;
    checkNumber('SGD', 'dampening', dampening, Number.isFinite, 'a finite number');
    if (nesterov && (momentum === 0 || dampening !== 0))
      throw new ArgumentError('SGD: nesterov needs a momentum above 0 and a dampening of 0');
    const settings = { lr, momentum, dampening, nesterov, weightDecay };
    super('SGD', params, settings, ({ device, shape }) => {
      return { state: { momentum_buffer: device.zeros(shape) }, isMoving: false };
    });
    this.#options = settings;
    this.#lr = this.device.scalar('lr', lr);
  }

  /**
   * One step; `lr` is that of the options by default. With `maxNorm` the gradients are scaled down to that global norm,
   * and nothing changes if the norm is not finite. Throws ArgumentError if no parameter has a gradient, but `maxNorm`
   * is given or a program is being recorded. With `dampening` every parameter must have taken a step before a program
   * is recorded.
   */
  step(options: { lr?: number | undefined; maxNorm?: number | undefined } = {}): void {
    const { lr = this.#options.lr, maxNorm } = checkKnown('SGD.step', options, ['lr', 'maxNorm']);
    checkNumber('SGD', 'lr', lr, isNotNegative, 'a number, 0 or more');
    if (this.device.recording) gradsOf('SGD', this.params);
    const grads = maxNorm === undefined ? null : gradsToClip('SGD', this.params, maxNorm);
    this.#lr.value = lr;
    const { momentum, nesterov, weightDecay } = this.#options;
    const shared = { momentum, nesterov: Number(nesterov) };
    const norm = grads && this.device.empty([]);
    const factor = norm && clipFactor(grads, maxNorm as number, norm);
    for (const entry of this.entries) {
      const { param: p, state, group } = entry;
      const g = p.grad;
      if (g === null) continue;
      const settings = { lr: group.lr ?? this.#lr, weightDecay: group.weightDecay ?? weightDecay, factor };
      const dampening = this.#dampeningOf(entry);
      this.device.emit(
        'sgd',
        { p, g, v: state.momentum_buffer, count: p.size, dampening, ...shared, ...settings },
        6 * p.size,
      );
    }
    factor?.dispose();
    norm?.dispose();
  }

  /** Returns the dampening of this step. It is 0 in a parameter's first step. */
  #dampeningOf(entry: Entry): number {
    const { momentum, dampening } = this.#options;
    if (momentum === 0) return 0; // PyTorch does the same
    if (entry.isMoving || dampening === 0) return dampening;
    if (this.device.recording)
      throw new ArgumentError(
        'SGD: take a step before recording a program, because dampening does not apply to the first step',
      );
    entry.isMoving = true;
    return 0;
  }

  /**
   * Returns the last direction of parameter i by PyTorch's name, `i.momentum_buffer`. With `dampening`, `i.moving` is 0
   * for parameters that have not taken a step yet.
   */
  override state(): OptimizerState {
    const still = this.entries.filter(({ isMoving }) => !isMoving && this.#options.dampening !== 0);
    return {
      tensors: this.stateTensors(),
      numbers: Object.fromEntries(still.map(({ index }) => [`${index}.moving`, 0])),
    };
  }

  override loadState({ tensors, numbers }: Parameters<Optimizer['loadState']>[0]): void {
    if (!Object.values(numbers).every((value) => value === 0))
      throw new FormatError('SGD: the state has unknown numbers');
    loadTensors('SGD', this.stateTensors(), tensors);
    for (const entry of this.entries) entry.isMoving = numbers[`${entry.index}.moving`] !== 0;
  }
}
