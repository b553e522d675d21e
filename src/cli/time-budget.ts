// Number of steps that fit into a time budget. Schedules need it before the training begins.

import { existsSync, readFileSync } from 'node:fs';
import { Transformer } from '../models/families/transformer.js';
import { fit } from '../train/fit.js';
import { fitSettings } from './config.js';
import type { PreparedTask } from './prepared-task.js';

/** Number of steps that are timed, and of slower steps before them. */
const [TIMED_STEPS, WARMUP_STEPS] = [8, 3];

/** Share of the time for validations and checkpoints. */
const RESERVED_SHARE = 0.08;

/** Number of steps, at least 1, that fit into `minutes`. A few steps of a model of equal sizes are timed. */
export async function stepsWithin(minutes: number, { model, batches, config }: PreparedTask): Promise<number> {
  using trial = new Transformer(model.device, model.config);
  const endTimes: number[] = [];
  const { labelSmoothing, ignoreIndex, headDiversity, rDrop, gradientAccumulation } = fitSettings(config);
  await fit(trial, batches, {
    labelSmoothing,
    ignoreIndex,
    headDiversity,
    rDrop,
    gradientAccumulation,
    steps: WARMUP_STEPS + TIMED_STEPS,
    onStep: ({ seconds }) => void endTimes.push(seconds),
  });
  const seconds = ((endTimes.at(-1) as number) - (endTimes[WARMUP_STEPS - 1] as number)) / TIMED_STEPS;
  return Math.max(1, Math.floor(((1 - RESERVED_SHARE) * 60 * minutes) / seconds));
}

/** Number of steps in the settings of an earlier training; undefined if there are none. */
export function stepsBefore(path: string): number | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const { steps } = JSON.parse(readFileSync(path, 'utf8')) as { steps?: unknown };
    return typeof steps === 'number' ? steps : undefined;
  } catch {
    return undefined; // resuming reports the problem
  }
}
