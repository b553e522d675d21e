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

/** Conditions of which any one ends a generation. */
export class StoppingCriteriaList extends StoppingCriteria {
  readonly criteria: StoppingCriteria[] = [];

  push(item: StoppingCriteria): void {
    this.criteria.push(item);
  }

  extend(items: StoppingCriteria | Iterable<StoppingCriteria>): void {
    const isList = items instanceof StoppingCriteriaList || !(items instanceof StoppingCriteria);
    this.criteria.push(...(isList ? items : [items]));
  }

  _call(input_ids: readonly number[][], scores: readonly number[][]): boolean[] {
    const ends = this.criteria.map((each) => each._call(input_ids, scores));
    return input_ids.map((_, i) => ends.some((end) => end[i]));
  }

  [Symbol.iterator](): IterableIterator<StoppingCriteria> {
    return this.criteria.values();
  }
}

/** Ends a generation at a number of tokens, with those of the prompt. */
export class MaxLengthCriteria extends StoppingCriteria {
  constructor(readonly max_length: number) {
    super();
  }

  _call(input_ids: readonly number[][]): boolean[] {
    return input_ids.map(({ length }) => length >= this.max_length);
  }
}

/** Ends a generation after one of these tokens. */
export class EosTokenCriteria extends StoppingCriteria {
  readonly eos_token_id: readonly number[];

  constructor(eos_token_id: number | readonly number[]) {
    super();
    this.eos_token_id = [eos_token_id].flat();
  }

  _call(input_ids: readonly number[][]): boolean[] {
    return input_ids.map((ids) => this.eos_token_id.includes(ids.at(-1) ?? Number.NaN));
  }
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
