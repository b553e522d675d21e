// Settings of single tasks in config.json: T5's prefixes, and lengths and beams of summaries.

import { isObject } from '../core/check.js';
import type { GenerateOptions } from '../generate/generate-options.js';
import type { LoadedModel } from '../pretrained/load-later.js';

export interface TaskParameters {
  /** Comes before every text. */
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

/** Parameters of the first of `tasks` that `task_specific_params` has; null if it has none. */
export function taskParameters({ config }: LoadedModel, tasks: readonly string[]): TaskParameters | null {
  const all = isObject(config.task_specific_params) ? config.task_specific_params : {};
  const name = tasks.find((task) => Object.hasOwn(all, task));
  const own = name === undefined ? null : all[name];
  if (!isObject(own)) return null;
  const generate = Object.entries(NAMES).flatMap(([key, option]) => {
    const value = own[key];
    return typeof value === 'number' || typeof value === 'boolean' ? [[option, value] as const] : [];
  });
  return { prefix: typeof own.prefix === 'string' ? own.prefix : '', generate: Object.fromEntries(generate) };
}

/**
 * The options of a call, `given`, with a task's `own` settings for those that are left out. A length of the call replaces
 * the task's under either name, and the task's least length is cut to the greatest one of the call.
 */
export function withTaskParameters(own: GenerateOptions, given: GenerateOptions): GenerateOptions {
  const { maxLength, minLength, ...others } = own;
  const most = given.maxNewTokens ?? given.maxLength;
  const least = given.minNewTokens ?? given.minLength;
  return {
    ...others,
    ...(most === undefined ? { maxLength } : {}),
    ...(least === undefined ? { minLength: minLength && Math.min(minLength, most ?? minLength) } : {}),
    ...given,
  };
}
