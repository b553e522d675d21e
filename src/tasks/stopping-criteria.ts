// Conditions that end a generation, with the interface of transformers.js.

import type { OptionRule } from '../core/check.js';
import type { GenerateOptions } from '../generate/generate-options.js';

/** A condition that ends a generation after a token. */
export abstract class StoppingCriteria {
  /**
   * Tells for each sequence if it ends. `input_ids`: one row, the prompt and the tokens so far; without the prompt if
   * there are several. `scores` is always empty, because scores stay on the device.
   */
  abstract _call(input_ids: readonly number[][], scores: readonly number[][]): boolean[];
}

/** Ends a generation on request, such as by a button. The tokens so far are its result. */
export class InterruptableStoppingCriteria extends StoppingCriteria {
  interrupted = false;

  interrupt(): void {
    this.interrupted = true;
  }

  /** Allows further generations. */
  reset(): void {
    this.interrupted = false;
  }

  _call(input_ids: readonly number[][]): boolean[] {
    return input_ids.map(() => this.interrupted);
  }
}

const isCriteria = (value: unknown) => typeof (value as StoppingCriteria | null)?._call === 'function';

/** One condition, or a list of them. */
export const STOPPING: OptionRule = {
  accepts: (value) => isCriteria(value) || (Array.isArray(value) && value.every(isCriteria)),
  expected: 'stopping criteria, such as new InterruptableStoppingCriteria()',
};

/**
 * The function `stop` of `generate` for conditions. `prompt`: tokens before those of the output. `stop`: a further
 * condition.
 */
export function stopOf(
  criteria: StoppingCriteria | readonly StoppingCriteria[],
  prompt: readonly number[],
  stop: GenerateOptions['stop'],
): (tokens: readonly number[]) => boolean {
  const all = [criteria].flat();
  return (tokens) =>
    stop?.(tokens) === true || all.some((each) => each._call([[...prompt, ...tokens]], []).some(Boolean));
}
