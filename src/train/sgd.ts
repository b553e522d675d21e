import { checkKnown, checkNumber, checkOptions, isNotNegative } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import type { Device } from '../core/device.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import type { Scalar } from '../core/operand.js';
import type { Tensor } from '../core/tensor.js';
import { clipFactor, gradsOf, gradsToClip } from './clip.js';
import {
  checkParameters,
  loadTensors,
  type Optimizer,
  type OptimizerState,
  ownEntries,
  settingsOf,
} from './optimizer.js';
import { groupsOf, type ParameterGroup } from './parameter-groups.js';

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

/** One parameter and its state. */
interface Entry {
  readonly param: Tensor;
  /** Index among the parameters. */
  readonly index: number;
  readonly v: Tensor;
  readonly group: ParameterGroup;
  /** True once `v` has a direction. */
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
export class SGD implements Optimizer {
  readonly params: readonly Tensor[];
  readonly settings: Readonly<Record<string, unknown>>;
  readonly #device: Device;
  #entries: readonly Entry[];
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
    const settings = checkOptions('SGD', options, kinds);
    const { lr = 1e-3, momentum = 0, dampening = 0, nesterov = false, weightDecay = 0 } = settings;
    checkNumber('SGD', 'dampening', dampening, Number.isFinite, 'a finite number');
    if (nesterov && (momentum === 0 || dampening !== 0))
      throw new ArgumentError('SGD: nesterov needs a momentum above 0 and a dampening of 0');
    this.#options = { lr, momentum, dampening, nesterov, weightDecay };
    const groups = groupsOf('SGD', params);
    this.params = groups.flatMap((group) => group.params);
    this.settings = settingsOf('SGD', this.#options, groups);
    const device = checkParameters('SGD', this.params);
    this.#device = device;
    this.#lr = device.scalar('lr', lr);
    let index = 0;
    this.#entries = groups.flatMap((group) =>
      group.params.map((param) => {
        const v = device.unscoped(() => device.zeros(param.shape));
        return { param, index: index++, v, group, isMoving: false };
      }),
    );
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
    if (this.#device.recording) gradsOf('SGD', this.params);
    const grads = maxNorm === undefined ? null : gradsToClip('SGD', this.params, maxNorm);
    this.#lr.value = lr;
    const { momentum, nesterov, weightDecay } = this.#options;
    const shared = { momentum, nesterov: Number(nesterov) };
    const norm = grads && this.#device.empty([]);
    const factor = norm && clipFactor(grads, maxNorm as number, norm);
    for (const entry of this.#entries) {
      const { param: p, v, group } = entry;
      const g = p.grad;
      if (g === null) continue;
      const groupOptions = { lr: group.lr ?? this.#lr, weightDecay: group.weightDecay ?? weightDecay, factor };
      const dampening = this.#dampeningOf(entry);
      this.#device.emit('sgd', { p, g, v, count: p.size, dampening, ...shared, ...groupOptions }, 6 * p.size);
    }
    factor?.dispose();
    norm?.dispose();
  }

  /** Returns the dampening of this step. It is 0 in a parameter's first step. */
  #dampeningOf(entry: Entry): number {
    const { momentum, dampening } = this.#options;
    if (momentum === 0) return 0; // PyTorch does the same
    if (entry.isMoving || dampening === 0) return dampening;
    if (this.#device.recording)
      throw new ArgumentError(
        'SGD: take a step before recording a program, because dampening does not apply to the first step',
      );
    entry.isMoving = true;
    return 0;
  }

  zeroGrad(): void {
    for (const param of this.params) param.zeroGrad();
  }

  /**
   * Returns the last direction of parameter i by PyTorch's name, `i.momentum_buffer`. With `dampening`, `i.moving` is 0
   * for parameters that have not taken a step yet.
   */
  state(): OptimizerState {
    const still = this.#entries.filter(({ isMoving }) => !isMoving && this.#options.dampening !== 0);
    return {
      tensors: new Map(this.#entries.map(({ v, index }) => [`${index}.momentum_buffer`, v])),
      numbers: Object.fromEntries(still.map(({ index }) => [`${index}.moving`, 0])),
    };
  }

  loadState({ tensors, numbers }: Parameters<Optimizer['loadState']>[0]): void {
    if (!Object.values(numbers).every((value) => value === 0))
      throw new FormatError('SGD: the state has unknown numbers');
    loadTensors('SGD', this.state().tensors, tensors);
    for (const entry of this.#entries) entry.isMoving = numbers[`${entry.index}.moving`] !== 0;
  }

  /** See `Optimizer.shard`. */
  shard(owned: ReadonlySet<Tensor>): void {
    this.#entries = ownEntries(this.#entries, owned, ({ v }) => v.dispose());
  }

  /** Frees the memory of the state, but not the parameters. */
  dispose(): void {
    for (const { v } of this.#entries) v.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
