// Checks and compares the metrics of validations.

import { checkNumber, checkOptions } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Validation } from './fit-options.js';

/**
 * Checks the result of `validate` and returns it. Throws ArgumentError unless it has numbers by name, including
 * `watched`.
 */
export function checkMetrics(returned: Readonly<Record<string, number>>, watched: string | undefined) {
  const metrics = checkOptions('fit: what validate returned', returned);
  for (const [name, value] of Object.entries(metrics)) {
    checkNumber('fit: what validate returned', name, value, () => true, 'a number');
  }
  if (watched === undefined || Object.hasOwn(metrics, watched)) return metrics;
  const names = Object.keys(metrics).join(', ') || 'nothing';
  throw new ArgumentError(`fit: earlyStopping watches '${watched}', but validate measured ${names}`);
}

/**
 * Returns the number of validations since `metric` was lowest. A metric that is missing or NaN is worse than any
 * number.
 */
export function validationsSinceBest(validations: readonly Validation[], metric: string): number {
  const history = validations.map(({ metrics: { [metric]: value = Number.NaN } }) =>
    Number.isNaN(value) ? Infinity : value,
  );
  return history.length - 1 - history.indexOf(Math.min(...history));
}

/**
 * True if `metrics` are better than `before`. The `loss` decides, or else the first metric of `before`; lower is
 * better. NaN is worse than any number. If `before` has no metrics, any are better.
 */
export function areBetter(
  metrics: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
): boolean {
  const name = 'loss' in before ? 'loss' : Object.keys(before)[0];
  if (name === undefined) return true;
  const [now = Number.NaN, then = Number.NaN] = [metrics[name], before[name]];
  return now < then || (Number.isNaN(then) && !Number.isNaN(now));
}
