import { checkKnown, checkNumber, isCount, isNotNegative, isWhole } from '../core/check.js';

/** The learning rate at a step; steps count from 1. */
export type Schedule = (step: number) => number;

function warm(op: string, peak: number, warmup: number, name = 'peak'): void {
  checkNumber(op, name, peak, (value) => value > 0 && Number.isFinite(value), 'a positive number');
  checkNumber(op, 'warmup', warmup, isWhole, 'a number of steps, 0 or more');
}

/** The same rate at every step after a linear warm-up over `warmup` steps. */
export function constant(peak: number, options: { warmup?: number | undefined } = {}): Schedule {
  const { warmup = 0 } = checkKnown('constant', options, ['warmup']);
  warm('constant', peak, warmup);
  return (step) => peak * Math.min(1, step / Math.max(1, warmup));
}

/**
 * Linear warm-up to `peak` at step `warmup`, then ∝ 1/√step: "Attention Is All You Need", §5.3. The paper's own
 * formula, factor · dModel^−½ · min(step^−½, step · warmup^−1.5), has peak = factor · (dModel · warmup)^−½; see `noam`.
 */
export function inverseSquareRoot(peak: number, options: { warmup?: number | undefined } = {}): Schedule {
  const { warmup = 4000 } = checkKnown('inverseSquareRoot', options, ['warmup']);
  warm('inverseSquareRoot', peak, warmup);
  const w = Math.max(1, warmup);
  return (step) => peak * Math.min(Math.sqrt(w / step), step / w);
}

/** The paper's schedule by its own parameters: factor · dModel^−½ · min(step^−½, step · warmup^−1.5). */
export function noam(
  dModel: number,
  options: { warmup?: number | undefined; factor?: number | undefined } = {},
): Schedule {
  const { warmup = 4000, factor = 1 } = checkKnown('noam', options, ['warmup', 'factor']);
  checkNumber('noam', 'dModel', dModel, isCount, 'a positive integer');
  warm('noam', factor, warmup, 'factor');
  return inverseSquareRoot(factor / Math.sqrt(dModel * Math.max(1, warmup)), { warmup });
}

/** Linear warm-up to `peak`, then a straight line to `final` (default: 0) at step `steps`. */
export function linearDecay(
  peak: number,
  options: { steps: number; warmup?: number | undefined; final?: number | undefined },
): Schedule {
  return decay('linearDecay', peak, options, (progress) => 1 - progress);
}

/**
 * Linear warm-up to `peak`, then half a cosine to `final` (default: 0) at step `steps` (Loshchilov & Hutter, 2017,
 * without restarts).
 */
export function cosine(
  peak: number,
  options: { steps: number; warmup?: number | undefined; final?: number | undefined },
): Schedule {
  return decay('cosine', peak, options, (progress) => (1 + Math.cos(Math.PI * progress)) / 2);
}

function decay(
  op: string,
  peak: number,
  options: { steps: number; warmup?: number | undefined; final?: number | undefined },
  shape: (progress: number) => number,
): Schedule {
  const { steps, warmup = 0, final = 0 } = checkKnown(op, options, ['steps', 'warmup', 'final']);
  warm(op, peak, warmup);
  const isLonger = (value: number) => Number.isInteger(value) && value > warmup;
  checkNumber(op, 'steps', steps, isLonger, `more than the ${warmup} of the warm-up`);
  checkNumber(op, 'final', final, isNotNegative, 'a number, 0 or more');
  return (step) => {
    if (step < warmup) return (peak * step) / warmup;
    const progress = Math.min(1, (step - warmup) / (steps - warmup));
    return final + (peak - final) * shape(progress);
  };
}
