// A task of generation, as our models do it.

import type { Model } from '../../src/models/model.js';
import type { Outcome } from './contest.js';
import { LIMIT } from './limits.js';

export interface GenerationTask {
  readonly what: string;
  /** Number of tokens that are read. */
  readonly prompt: number;
  /** Number of tokens that are written. If it is 1, reading is measured, else writing. */
  readonly tokens: number;
  /** Number of prompts. */
  readonly batch: number;
}

/** Returns the seconds of one repeat. */
export async function generationSeconds(model: Model, task: GenerationTask, repeats: number): Promise<number> {
  const prompts = Array.from({ length: task.batch }, (_, row) =>
    Array.from({ length: task.prompt }, (__, i) => 100 + ((row * 131 + i * 37) % 900)),
  );
  const options = { maxNewTokens: task.tokens, minNewTokens: task.tokens, doSample: false };
  await model.device.flush();
  const begin = performance.now();
  for (let i = 0; i < repeats; i++) await model.generate(prompts, options);
  return (performance.now() - begin) / 1e3 / repeats;
}

/** Returns the tokens per second of each contestant. */
export function tokensPerSecond({ times }: Outcome, { prompt, tokens, batch }: GenerationTask): Record<string, number> {
  const count = batch * (tokens > 1 ? tokens : prompt);
  const own = Object.entries(times).filter(([name]) => !name.startsWith(LIMIT));
  return Object.fromEntries(own.map(([name, { median }]) => [`${name}, tok/s`, count / median]));
}
