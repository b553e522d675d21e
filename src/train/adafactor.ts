import { checkNumber, checkOptions, isNotNegative, orNull } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { add, affineInto, div, maximum, mul, scale } from '../ops/binary.js';
import { mean } from '../ops/reduce.js';
import { rsqrt, sqrt } from '../ops/unary.js';
import { adopt, clipFactor, gradsToClip } from './clip.js';
import { BaseOptimizer, loadTensors, type Optimizer, type OptimizerEntry, type OptimizerState } from './optimizer.js';
import type { ParameterGroup } from './parameter-groups.js';

export interface AdafactorOptions {
  /** Fixed learning rate. Default: none, with `relativeStep`. */
  lr?: number | undefined;
  /** Two numbers: a term added to squared gradients, and the minimum scale of parameters. Default: [1e-30, 1e-3]. */
  eps?: readonly [squares: number, scale: number] | undefined;
  /** Upper limit of the root mean square of an update. Default: 1. */
  clipThreshold?: number | undefined;
  /** Exponent of the decay of running means, which grows with the steps. Default: -0.8. */
  decayRate?: number | undefined;
  /** Decay of a running mean of updates, or null for no running mean, which needs no memory. Default: null. */
  beta1?: number | null | undefined;
  /** Weight decay of groups without their own. Default: 0. */
  weightDecay?: number | undefined;
  /** True multiplies the rate of a parameter by its root mean square. Default: true. */
  scaleParameter?: boolean | undefined;
  /** True sets the rate to 1/√step, at most 0.01, and ignores schedules. Default: true, unless `lr` is given. */
  relativeStep?: boolean | undefined;
  /** True lets the rate of `relativeStep` rise from 1e-6 in the first steps. Default: false. */
  warmupInit?: boolean | undefined;
}

/** Options with defaults. `lr` is null if `relativeStep` determines the rate. */
type Settings = Complete<Omit<AdafactorOptions, 'lr'>> & { readonly lr: number | null };

interface Entry extends OptimizerEntry {
  steps: number;
}

/**
 * Adafactor (Shazeer & Stern 2018, arXiv 1804.04235), with transformers' arithmetic. For a matrix it keeps one mean of
 * squares for each row and each column, so its state is small.
 */
export class Adafactor extends BaseOptimizer<Entry> {
  readonly #options: Settings;

  /** Takes the parameters of AdamW's constructor, and throws the same errors. */
  constructor(params: readonly Tensor[] | readonly ParameterGroup[], options: AdafactorOptions = {}) {
    const isPair = (value: unknown) => Array.isArray(value) && value.length === 2 && value.every((n) => n >= 0);
    const kinds = {
      lr: 'notNegative',
      clipThreshold: 'positive',
      decayRate: 'number',
      eps: { accepts: isPair, expected: 'two numbers, 0 or more' },
      beta1: orNull('fraction'),
      weightDecay: 'notNegative' as const,
      scaleParameter: 'boolean',
      relativeStep: 'boolean',
      warmupInit: 'boolean',
    } as const;
    const { lr = null, beta1 = null, ...others } = checkOptions('Adafactor', options, kinds);
    const { eps = [1e-30, 1e-3], clipThreshold = 1, decayRate = -0.8, weightDecay = 0, scaleParameter = true } = others;
    const { relativeStep = lr === null, warmupInit = false } = others;
    if (lr !== null && relativeStep) throw new ArgumentError('Adafactor: give lr or relativeStep, not both');
    if (warmupInit && !relativeStep) throw new ArgumentError('Adafactor: warmupInit needs relativeStep');
    const settings = {
      lr,
      eps,
      clipThreshold,
      decayRate,
      beta1,
      weightDecay,
      scaleParameter,
      relativeStep,
      warmupInit,
    };
    super('Adafactor', params, settings, (param) => ({ state: statesOf(param, beta1 !== null), steps: 0 }));
    this.#options = settings;
  }

  /**
   * One step; `lr` is ignored with `relativeStep`. With `maxNorm` a step whose gradients have no finite norm changes
   * nothing, but it counts as a step in the rates. Throws ArgumentError if `maxNorm` is given but no parameter has a
   * gradient.
   */
  step(options: { lr?: number | undefined; maxNorm?: number | undefined } = {}): void {
    const { lr, maxNorm } = checkOptions('Adafactor.step', options, { lr: 'notNegative', maxNorm: 'any' });
    const grads = maxNorm === undefined ? null : gradsToClip('Adafactor', this.params, maxNorm);
    const { device } = this;
    device.noGrad(() =>
      device.scope(() => {
        const factor = grads && clipFactor(grads, maxNorm as number, device.empty([]));
        for (const entry of this.entries) {
          const { grad } = entry.param;
          if (grad === null) continue;
          entry.steps++;
          device.scope(() => this.#update(entry, factor ? mul(grad, factor) : grad, factor, lr));
        }
      }),
    );
  }

  #update(
    { param, group, state: means, steps }: Entry,
    g: Tensor,
    factor: Tensor | null,
    currentRate: number | undefined,
  ): void {
    const { lr, eps, clipThreshold, decayRate, beta1, relativeStep, warmupInit, scaleParameter, weightDecay } =
      this.#options;
    const relative = Math.min(warmupInit ? 1e-6 * steps : 1e-2, 1 / Math.sqrt(steps));
    const rate = relativeStep ? relative : (group.lr ?? currentRate ?? lr);
    if (rate === null) throw new ArgumentError('Adafactor: there is no learning rate, expected lr or relativeStep');
    checkNumber('Adafactor', 'lr', rate, isNotNegative, 'a number, 0 or more');
    const size = scaleParameter
      ? scale(maximum(rootMeanSquare(param), eps[1]), rate)
      : param.device.tensor([rate]).reshape();
    const rest = steps ** decayRate; // 1 − β₂ of this step
    const squares = add(mul(g, g), eps[0]);
    /** Updates the running mean `name` with `value`, whose weight is `rate`. */
    const blend = (name: string, value: Tensor, rate = rest) => {
      const state = means[name] as Tensor;
      const mean = scale(state, 1 - rate);
      affineInto(value, mean, rate, true);
      adopt(mean, state, factor);
      return mean;
    };
    let update: Tensor;
    if (param.shape.length < 2) update = mul(rsqrt(blend('exp_avg_sq', squares)), g);
    else {
      const rows = blend('exp_avg_sq_row', mean(squares, { axis: -1 }));
      const cols = blend('exp_avg_sq_col', mean(squares, { axis: -2 }));
      const byRow = rsqrt(div(rows, mean(rows, { axis: -1, keepDims: true }))).reshape(...rows.shape, 1);
      const byCol = rsqrt(cols).reshape(...cols.shape.slice(0, -1), 1, cols.shape.at(-1) as number);
      update = mul(mul(byRow, byCol), g);
    }
    update = mul(div(update, maximum(scale(rootMeanSquare(update), 1 / clipThreshold), 1)), size);
    if (beta1 !== null) update = blend('exp_avg', update, 1 - beta1);
    const next = scale(param, 1);
    const decay = group.weightDecay ?? weightDecay;
    if (decay !== 0) affineInto(mul(param, size), next, -decay, true);
    affineInto(update, next, -1, true);
    adopt(next, param, factor);
  }

  /**
   * Returns the tensors of parameter i as `i.exp_avg_sq_row`, `i.exp_avg_sq_col`, `i.exp_avg_sq` and `i.exp_avg`, and
   * its number of steps as `i.step`.
   */
  override state(): OptimizerState {
    const numbers = Object.fromEntries(this.entries.map(({ steps, index }) => [`${index}.step`, steps]));
    return { tensors: this.stateTensors(), numbers };
  }

  /**
   * Throws FormatError, and changes nothing, unless the state belongs to an Adafactor with parameters of the same
   * sizes.
   */
  override loadState({ tensors, numbers }: Parameters<Optimizer['loadState']>[0]): void {
    const steps = this.entries.map(({ index }) => numbers[`${index}.step`]);
    if (!steps.every((count) => Number.isSafeInteger(count) && (count as number) >= 0))
      throw new FormatError('Adafactor: the state lacks valid numbers of steps');
    loadTensors('Adafactor', this.stateTensors(), tensors);
    this.entries.forEach((entry, i) => {
      entry.steps = steps[i] as number;
    });
  }
}

/** The tensors of a parameter's state, by their names in transformers. */
function statesOf({ shape, device }: Tensor, hasMean: boolean): Record<string, Tensor> {
  const mean = hasMean ? { exp_avg: device.zeros(shape) } : {};
  if (shape.length < 2) return { ...mean, exp_avg_sq: device.zeros(shape) };
  const [rows, columns] = [shape.slice(0, -1), [...shape.slice(0, -2), shape.at(-1) as number]];
  return { ...mean, exp_avg_sq_row: device.zeros(rows), exp_avg_sq_col: device.zeros(columns) };
}

function rootMeanSquare(x: Tensor): Tensor {
  return sqrt(mean(mul(x, x)));
}
