import { checkKnown, checkNumber, isFraction, isNotNegative } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import type { Device } from '../core/device.js';
import type { Scalar } from '../core/operand.js';
import type { Tensor } from '../core/tensor.js';
import { clipFactor, gradsOf, gradsToClip } from './clip.js';
import {
  checkParameters,
  keepOwn,
  loadTensors,
  type Optimizer,
  type OptimizerState,
  renamed,
  settingsOf,
} from './optimizer.js';
import { groupsOf, type ParameterGroup } from './parameter-groups.js';

export interface SGDOptions {
  /** Learning rate of groups without their own. Default: 1e-3. */
  lr?: number | undefined;
  /** The share of the previous direction in the next. Default: 0. */
  momentum?: number | undefined;
  /** Times the parameter, added to its gradient; of groups without their own. Default: 0. */
  weightDecay?: number | undefined;
}

/** One parameter and its state. */
interface Entry {
  readonly param: Tensor;
  /** Among the parameters. */
  readonly index: number;
  readonly v: Tensor;
  readonly group: ParameterGroup;
}

/**
 * Stochastic gradient descent with momentum, PyTorch's form: d = g + weightDecay·p, v = momentum·v + d, p = p − lr·v.
 * Parameters without a gradient are left alone.
 *
 * In a recorded program `step` leaves a scalar for the rate: `program.run({ lr })`. Without it a run has the rate that was
 * set last, by whichever step or run.
 */
export class SGD implements Optimizer {
  readonly params: readonly Tensor[];
  readonly settings: Readonly<Record<string, unknown>>;
  readonly #device: Device;
  #entries: readonly Entry[];
  readonly #options: Complete<SGDOptions>;
  readonly #lr: Scalar;

  /** `params`, and what it throws: as AdamW's. */
  constructor(params: readonly Tensor[] | readonly ParameterGroup[], options: SGDOptions = {}) {
    const { lr = 1e-3, momentum = 0, weightDecay = 0 } = checkKnown('SGD', options, ['lr', 'momentum', 'weightDecay']);
    this.#options = { lr, momentum, weightDecay };
    checkNumber('SGD', 'lr', lr, isNotNegative, 'a number, 0 or more');
    checkNumber('SGD', 'momentum', momentum, isFraction, 'a number from 0 to below 1');
    checkNumber('SGD', 'weightDecay', weightDecay, isNotNegative, 'a number, 0 or more');
    const groups = groupsOf('SGD', params);
    this.params = groups.flatMap((group) => group.params);
    this.settings = settingsOf(this.#options, groups);
    const device = checkParameters('SGD', this.params);
    this.#device = device;
    this.#lr = device.scalar('lr', lr);
    let index = 0;
    this.#entries = groups.flatMap((group) =>
      group.params.map((param) => {
        const v = device.unscoped(() => device.zeros(param.shape));
        return { param, index: index++, v, group };
      }),
    );
  }

  /**
   * One step; `lr` is that of the options by default. With `maxNorm` the gradients count as scaled down to that global
   * norm, and nothing changes if it is not finite. Throws ArgumentError if no gradient is there and `maxNorm` is given or a
   * program is being recorded.
   */
  step(options: { lr?: number | undefined; maxNorm?: number | undefined } = {}): void {
    const { lr = this.#options.lr, maxNorm } = checkKnown('SGD.step', options, ['lr', 'maxNorm']);
    checkNumber('SGD', 'lr', lr, isNotNegative, 'a number, 0 or more');
    if (this.#device.recording) gradsOf('SGD', this.params);
    const grads = maxNorm === undefined ? null : gradsToClip('SGD', this.params, maxNorm);
    this.#lr.value = lr;
    const { momentum, weightDecay } = this.#options;
    const norm = grads && this.#device.empty([]);
    const factor = norm && clipFactor(grads, maxNorm as number, norm);
    for (const { param: p, v, group } of this.#entries) {
      const g = p.grad;
      if (g === null) continue;
      const own = { lr: group.lr ?? this.#lr, momentum, weightDecay: group.weightDecay ?? weightDecay, factor };
      this.#device.emit('sgd', { p, g, v, count: p.size, ...own }, 6 * p.size);
    }
    factor?.dispose();
    norm?.dispose();
  }

  zeroGrad(): void {
    for (const param of this.params) param.zeroGrad();
  }

  /** The last direction of parameter i as `i.momentum_buffer`, which is PyTorch's name. */
  state(): OptimizerState {
    return { tensors: new Map(this.#entries.map(({ v, index }) => [`${index}.momentum_buffer`, v])), numbers: {} };
  }

  loadState(state: Parameters<Optimizer['loadState']>[0]): void {
    const { tensors } = renamed(state, { v: 'momentum_buffer' }); // as version 0.1.0 called it
    loadTensors('SGD', this.state().tensors, tensors);
  }

  /** See `Optimizer.shard`. */
  shard(own: ReadonlySet<Tensor>): void {
    this.#entries = keepOwn(this.#entries, own, ({ v }) => v.dispose());
  }

  /** Gives the memory of the state back. The parameters stay. */
  dispose(): void {
    for (const { v } of this.#entries) v.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
