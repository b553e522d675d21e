import { checkNumber, checkOptions } from '../core/check.js';
import type { Scalar } from '../core/queue.js';
import type { Tensor } from '../core/tensor.js';
import { clipGradNorm } from './clip.js';
import { checkParameters, loadTensors, type Optimizer, type OptimizerState, scaleInto } from './optimizer.js';

export interface SGDOptions {
  /** Learning rate. Default: 1e-3. */
  lr?: number;
  /** The share of the previous direction in the next. Default: 0. */
  momentum?: number;
  /** Times the parameter, added to its gradient. Default: 0. */
  weightDecay?: number;
}

/**
 * Stochastic gradient descent with momentum, PyTorch's form: d = g + weightDecay·p, v = momentum·v + d, p = p − lr·v.
 * Parameters without a gradient are left alone.
 */
export class SGD implements Optimizer {
  readonly #velocities: readonly Tensor[];
  readonly #options: Required<SGDOptions>;
  /** −lr. */
  readonly #rate: Scalar;

  constructor(
    readonly params: readonly Tensor[],
    options: SGDOptions = {},
  ) {
    const { lr = 1e-3, momentum = 0, weightDecay = 0 } = checkOptions('SGD', options);
    this.#options = { lr, momentum, weightDecay };
    checkNumber('SGD', 'lr', lr, (value) => value >= 0 && Number.isFinite(value), 'a number, 0 or more');
    checkNumber('SGD', 'momentum', momentum, (value) => value >= 0 && value < 1, 'a number from 0 to below 1');
    checkNumber('SGD', 'weightDecay', weightDecay, (value) => value >= 0, 'a number, 0 or more');
    const device = checkParameters('SGD', params);
    this.#rate = device.scalar('negativeLr', -lr);
    this.#velocities = params.map(({ shape }) => device.unscoped(() => device.zeros(shape)));
  }

  step(options: { lr?: number; maxNorm?: number } = {}): void {
    const { lr = this.#options.lr, maxNorm } = checkOptions('SGD.step', options);
    checkNumber('SGD', 'lr', lr, (value) => value >= 0 && Number.isFinite(value), 'a number, 0 or more');
    const { momentum, weightDecay } = this.#options;
    this.#rate.value = -lr;
    if (maxNorm !== undefined) clipGradNorm(this.params, maxNorm).dispose();
    this.params.forEach((param, i) => {
      const velocity = this.#velocities[i] as Tensor;
      if (param.grad === null) return;
      scaleInto(velocity, velocity, momentum, false);
      scaleInto(param.grad, velocity, 1, true);
      if (weightDecay > 0) scaleInto(param, velocity, weightDecay, true);
      scaleInto(velocity, param, this.#rate, true);
    });
  }

  zeroGrad(): void {
    for (const param of this.params) param.zeroGrad();
  }

  state(): OptimizerState {
    return { tensors: new Map(this.#velocities.map((velocity, i) => [`${i}.v`, velocity])), numbers: {} };
  }

  loadState({ tensors }: Parameters<Optimizer['loadState']>[0]): void {
    loadTensors('SGD', this.state().tensors, tensors);
  }

  /** Gives the memory of the state back. The parameters stay. */
  dispose(): void {
    for (const velocity of this.#velocities) velocity.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
