import { checkNumber } from '../core/check.js';
import type { Device } from '../core/device.js';
import type { Scalar } from '../core/queue.js';
import type { Tensor } from '../core/tensor.js';
import { clipFactor, gradsOf } from './clip.js';
import { checkParameters, loadTensors, type Optimizer, type OptimizerState, scaleInto } from './optimizer.js';
import { checkKnown } from './options.js';

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
  readonly #device: Device;
  readonly #velocities: readonly Tensor[];
  readonly #options: Required<SGDOptions>;
  /** −lr. */
  readonly #rate: Scalar;

  constructor(
    readonly params: readonly Tensor[],
    options: SGDOptions = {},
  ) {
    const { lr = 1e-3, momentum = 0, weightDecay = 0 } = checkKnown('SGD', options, ['lr', 'momentum', 'weightDecay']);
    this.#options = { lr, momentum, weightDecay };
    checkNumber('SGD', 'lr', lr, (value) => value >= 0 && Number.isFinite(value), 'a number, 0 or more');
    checkNumber('SGD', 'momentum', momentum, (value) => value >= 0 && value < 1, 'a number from 0 to below 1');
    checkNumber(
      'SGD',
      'weightDecay',
      weightDecay,
      (value) => value >= 0 && Number.isFinite(value),
      'a number, 0 or more',
    );
    const device = checkParameters('SGD', params);
    this.#device = device;
    this.#rate = device.scalar('negativeLr', -lr);
    this.#velocities = params.map(({ shape }) => device.unscoped(() => device.zeros(shape)));
  }

  /** One step. With `maxNorm` nothing changes if the global norm of the gradients is not finite, as with AdamW. */
  step(options: { lr?: number; maxNorm?: number } = {}): void {
    const { lr = this.#options.lr, maxNorm } = checkKnown('SGD.step', options, ['lr', 'maxNorm']);
    checkNumber('SGD', 'lr', lr, (value) => value >= 0 && Number.isFinite(value), 'a number, 0 or more');
    this.#rate.value = -lr;
    if (maxNorm === undefined) this.#apply(null, null);
    else {
      this.#device.scope(() => {
        const clip = clipFactor('SGD', gradsOf(this.params), maxNorm, this.#device.empty([]));
        const one = this.#device.empty([]); // but NaN, which forbids, where `clip` is
        scaleInto(clip, one, 0, false, 1);
        this.#apply(clip, one);
      });
    }
  }

  /** Queues the updates. The factors are for gradients and for all else; see `addScaled`. */
  #apply(clip: Tensor | null, one: Tensor | null): void {
    const { momentum, weightDecay } = this.#options;
    this.params.forEach((param, i) => {
      const velocity = this.#velocities[i] as Tensor;
      if (param.grad === null) return;
      addScaled(param.grad, velocity, 1, clip, momentum);
      if (weightDecay > 0) addScaled(param, velocity, weightDecay, one);
      addScaled(velocity, param, this.#rate, one);
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

/**
 * y = keep·y + scale·factor·x, or y as it was if `factor` is not finite. AdamW's pass does that, as it is with means
 * that begin at zero and forget at once, nothing to divide by, and the decay of weights for `keep`.
 */
function addScaled(x: Tensor, y: Tensor, scale: number | Scalar, factor: Tensor | null, keep = 1): void {
  if (factor === null) {
    if (keep !== 1) scaleInto(y, y, keep, false);
    scaleInto(x, y, scale, true);
    return;
  }
  const { device } = x;
  device.scope(() => {
    const [m, v] = [device.zeros(x.shape), device.zeros(x.shape)];
    const identity = { rate1: 1, rate2: 0, correction1: -1, correction2: 1, eps: 1 }; // lr / −1 is added
    const weightDecay = 1 - keep;
    device.emit('adamw', { p: y, g: x, m, v, factor, count: x.size, lr: scale, ...identity, weightDecay });
  });
}
