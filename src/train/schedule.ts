import { checkKnown, checkNumber, isCount, isNotNegative, isPositive, isWhole } from '../core/check.js';

/** The learning rate at a step; steps count from 1. */
export type Schedule = (step: number) => number;

export interface DecayOptions {
  /** The step at which the schedule ends; greater than `warmup`. */
  steps: number;
  /** Number of steps of the warm-up. Default: 0. */
  warmup?: number | undefined;
  /** The rate at the end, and after it. Default: 0. */
  final?: number | undefined;
}

function checkWarmup(op: string, peak: number, warmup: number, name = 'peak'): void {
  checkNumber(op, name, peak, isPositive, 'a positive number');
  checkNumber(op, 'warmup', warmup, isWhole, 'a number of steps, 0 or more');
}

/**
 * Linear warm-up over `warmup` steps (default 0), then the constant rate `peak`. Throws ArgumentError unless the rate
 * is positive and the steps are an integer, 0 or more.
 */
export function constant(peak: number, options: { warmup?: number | undefined } = {}): Schedule {
  const { warmup = 0 } = checkKnown('constant', options, ['warmup']);
  checkWarmup('constant', peak, warmup);
  return (step) => peak * Math.min(1, step / Math.max(1, warmup));
}

/**
 * Linear warm-up to `peak` at step `warmup`, then ∝ 1/√step: "Attention Is All You Need", §5.3. The paper's own
 * formula, factor · dModel^−½ · min(step^−½, step · warmup^−1.5), has peak = factor · (dModel · warmup)^−½; see `noam`.
 * `warmup` is 4000 by default, as there. Throws as `constant`.
 */
export function inverseSquareRoot(peak: number, options: { warmup?: number | undefined } = {}): Schedule {
  const { warmup = 4000 } = checkKnown('inverseSquareRoot', options, ['warmup']);
  checkWarmup('inverseSquareRoot', peak, warmup);
  const w = Math.max(1, warmup);
  return (step) => peak * Math.min(Math.sqrt(w / step), step / w);
}

/**
 * The paper's schedule with its own parameters: factor · dModel^−½ · min(step^−½, step · warmup^−1.5). Defaults:
 * `warmup` 4000, `factor` 1. Throws ArgumentError unless `factor` is positive and the others are integers.
 */
export function noam(
  dModel: number,
  options: { warmup?: number | undefined; factor?: number | undefined } = {},
): Schedule {
  const { warmup = 4000, factor = 1 } = checkKnown('noam', options, ['warmup', 'factor']);
  checkNumber('noam', 'dModel', dModel, isCount, 'a positive integer');
  checkWarmup('noam', factor, warmup, 'factor');
  return inverseSquareRoot(factor / Math.sqrt(dModel * Math.max(1, warmup)), { warmup });
}

/**
 * Linear warm-up to `peak`, then a straight line to `final` at step `steps`. Throws ArgumentError unless `peak` is
 * positive, `final` is 0 or more, and `steps` is an integer greater than `warmup`.
 */
export function linearDecay(peak: number, options: DecayOptions): Schedule {
  return decay('linearDecay', peak, options, (progress) => 1 - progress);
}

/**
 * Linear warm-up to `peak`, then half a cosine to `final` at step `steps` (Loshchilov & Hutter, 2017, without
 * restarts). Throws as `linearDecay`.
 */
export function cosine(peak: number, options: DecayOptions): Schedule {
  return decay('cosine', peak, options, (progress) => (1 + Math.cos(Math.PI * progress)) / 2);
}

function decay(op: string, peak: number, options: DecayOptions, shape: (progress: number) => number): Schedule {
  const { steps, warmup = 0, final = 0 } = checkKnown(op, options, ['steps', 'warmup', 'final']);
  checkWarmup(op, peak, warmup);
  const isLonger = (value: number) => Number.isInteger(value) && value > warmup;
  checkNumber(op, 'steps', steps, isLonger, `more than the ${warmup} of the warm-up`);
  checkNumber(op, 'final', final, isNotNegative, 'a number, 0 or more');
  return (step) => {
    if (step < warmup) return (peak * step) / warmup;
    const progress = Math.min(1, (step - warmup) / (steps - warmup));
    return final + (peak - final) * shape(progress);
  };
}
