import { checkKnown, checkNumber, isFraction, isNotNegative } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import type { Tensor } from '../core/tensor.js';
import { add, affineInto, mul, scale } from '../ops/binary.js';
import { sign } from '../ops/unary.js';
import { adopt, clipFactor, gradsToClip } from './clip.js';
import { BaseOptimizer, type OptimizerEntry } from './optimizer.js';
import type { ParameterGroup } from './parameter-groups.js';

export interface LionOptions {
  /** Learning rate of groups without their own. Default: 1e-4. */
  lr?: number | undefined;
  /** Weight of the running mean in the step; the gradient has the rest. Default: 0.9. */
  beta1?: number | undefined;
  /** Decay of the running mean. Default: 0.99. */
  beta2?: number | undefined;
  /** Weight decay of groups without their own. Default: 0. */
  weightDecay?: number | undefined;
}

interface Entry extends OptimizerEntry {
  readonly state: { readonly exp_avg: Tensor };
}

/**
 * Lion (Chen et al. 2023, arXiv 2302.06675): p −= lr·(sign(β₁·m + (1 − β₁)·g) + weightDecay·p), m = β₂·m + (1 − β₂)·g.
 * The state has half the size of AdamW's. Good rates are three to ten times lower than AdamW's.
 */
export class Lion extends BaseOptimizer<Entry> {
  readonly #options: Complete<LionOptions>;

  /** Takes the parameters of AdamW's constructor, and throws the same errors. */
  constructor(params: readonly Tensor[] | readonly ParameterGroup[], options: LionOptions = {}) {
    const names = ['lr', 'beta1', 'beta2', 'weightDecay'] as const;
    const { lr = 1e-4, beta1 = 0.9, beta2 = 0.99, weightDecay = 0 } = checkKnown('Lion', options, names);
    for (const [name, value] of Object.entries({ lr, weightDecay }))
      checkNumber('Lion', name, value, isNotNegative, 'a number, 0 or more');
    for (const [name, value] of Object.entries({ beta1, beta2 }))
      checkNumber('Lion', name, value, isFraction, 'a number from 0 to below 1');
    const settings = { lr, beta1, beta2, weightDecay };
    super('Lion', params, settings, ({ device, shape }) => ({ state: { exp_avg: device.zeros(shape) } }));
    this.#options = settings;
  }

  /**
   * One step; see `Optimizer.step`. With `maxNorm` a step whose gradients have no finite norm changes nothing. Throws
   * ArgumentError if `maxNorm` is given but no parameter has a gradient.
   */
  step(options: { lr?: number | undefined; maxNorm?: number | undefined } = {}): void {
    const { lr = this.#options.lr, maxNorm } = checkKnown('Lion.step', options, ['lr', 'maxNorm']);
    checkNumber('Lion', 'lr', lr, isNotNegative, 'a number, 0 or more');
    const { beta1, beta2, weightDecay } = this.#options;
    const grads = maxNorm === undefined ? null : gradsToClip('Lion', this.params, maxNorm);
    const { device } = this;
    device.noGrad(() =>
      device.scope(() => {
        const factor = grads && clipFactor(grads, maxNorm as number, device.empty([]));
        for (const { param, state, group } of this.entries) {
          if (param.grad === null) continue;
          const m = state.exp_avg;
          const g = factor ? mul(param.grad, factor) : param.grad;
          const rate = group.lr ?? lr;
          const direction = sign(add(scale(m, beta1), scale(g, 1 - beta1)));
          const next = scale(param, 1 - rate * (group.weightDecay ?? weightDecay));
          affineInto(direction, next, -rate, true);
          const mean = scale(m, beta2);
          affineInto(g, mean, 1 - beta2, true);
          adopt(next, param, factor);
          adopt(mean, m, factor);
        }
      }),
    );
  }
}
