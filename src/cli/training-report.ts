// How `train` and `finetune` end: a line with the saved weights and their metrics, or the error.

import { NonFiniteError } from '../core/errors.js';
import type { FitResult } from '../train/fit.js';
import { printJson } from './common.js';
import { duration } from './duration.js';

const SAVED = {
  last: 'of the last step',
  average: 'averaged over several steps',
  best: 'of the best validation',
} as const;

/** Prints how a training of `seconds` ended. `more` are further fields of the JSON. */
export function reportTraining(
  result: FitResult,
  { out, json = false }: { readonly out: string; readonly json?: boolean | undefined },
  seconds: number,
  more: object = {},
): void {
  const { reason, step, weights, metrics } = result;
  if (json) {
    printJson({ reason, step, seconds, weights, metrics: metrics ?? {}, ...more, model: out });
    return;
  }
  const ending = reason === 'aborted' ? 'Stopped; --resume goes on.' : 'Done.';
  const measured = Object.entries(metrics ?? {}).map(([name, value]) => `${name} ${value.toFixed(4)}. `);
  const unmeasured = metrics === undefined && result.validations.length > 0 ? ', not validated' : '';
  const saved = `Saved the weights ${SAVED[weights]}${unmeasured}`;
  console.log(`${ending} Step ${step} after ${duration(seconds)}. ${measured.join('')}${saved}. Model: ${out}`);
}

/** Returns the error of a training. Adds `advice` if it diverged. */
export function withAdvice(error: unknown, advice: string): unknown {
  if (!(error instanceof NonFiniteError)) return error;
  return new NonFiniteError(`the training diverged: ${error.message}. ${advice}`, error.step);
}
