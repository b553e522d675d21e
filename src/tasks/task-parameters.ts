// Settings of single tasks in config.json (`task_specific_params`), such as T5's prefixes, or lengths and beams of
// summaries.

import { isObject } from '../core/check.js';
import type { GenerateOptions } from '../generate/generate-options.js';
import type { LoadedModel } from '../pretrained/load-later.js';

export interface TaskParameters {
  /** Text that is put before every input. '' if there is none. */
  readonly prefix: string;
  readonly generate: GenerateOptions;
}

const NAMES = {
  max_length: 'maxLength',
  min_length: 'minLength',
  num_beams: 'numBeams',
  length_penalty: 'lengthPenalty',
  no_repeat_ngram_size: 'noRepeatNgramSize',
  early_stopping: 'earlyStopping',
} as const satisfies Record<string, keyof GenerateOptions>;

/** Returns the parameters of the first of `tasks` that `task_specific_params` has; null if it has none. */
export function taskParameters({ config }: LoadedModel, tasks: readonly string[]): TaskParameters | null {
  const all = isObject(config.task_specific_params) ? config.task_specific_params : {};
  const name = tasks.find((task) => Object.hasOwn(all, task));
  const taskValues = name === undefined ? null : all[name];
  if (!isObject(taskValues)) return null;
  const generate = Object.entries(NAMES).flatMap(([key, option]) => {
    const value = taskValues[key];
    return typeof value === 'number' || typeof value === 'boolean' ? [[option, value] as const] : [];
  });
  return {
    prefix: typeof taskValues.prefix === 'string' ? taskValues.prefix : '',
    generate: Object.fromEntries(generate),
  };
}

/**
 * Completes the options of a call, `options`, by a task's `modelDefaults` settings. A maximum length of the call
 * replaces the task's, even if one counts new tokens and the other all tokens. The task's minimum length is limited to
 * the call's maximum.
 */
export function withTaskParameters(modelDefaults: GenerateOptions, options: GenerateOptions): GenerateOptions {
  const { maxLength, minLength, ...remaining } = modelDefaults;
  const max = options.maxNewTokens ?? options.maxLength;
  const min = options.minNewTokens ?? options.minLength;
  return {
    ...remaining,
    ...(max === undefined ? { maxLength } : {}),
    ...(min === undefined ? { minLength: minLength && Math.min(minLength, max ?? minLength) } : {}),
    ...options,
  };
}
