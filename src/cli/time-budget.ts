// The number of steps that fit into a time budget. Schedules need it before the training begins.

import { existsSync, readFileSync } from 'node:fs';
import { Transformer } from '../models/families/transformer.js';
import { fit } from '../train/fit.js';
import { fitSettings } from './config.js';
import type { PreparedTask } from './prepared-task.js';

/** Steps that are measured, after some that are not: the first ones are slower. */
const [MEASURED, BEFORE] = [8, 3];

/** The share of time for validations and checkpoints. */
const REST = 0.08;

/** Steps of a task that fit into `minutes`, 1 at least, by a few steps of a model of the same sizes. */
export async function stepsWithin(minutes: number, { model, batches, config }: PreparedTask): Promise<number> {
  using trial = new Transformer(model.device, model.config);
  const ends: number[] = [];
  const { labelSmoothing, ignoreIndex, headDiversity, rDrop, gradientAccumulation } = fitSettings(config);
  await fit(trial, batches, {
    ...{ labelSmoothing, ignoreIndex, headDiversity, rDrop, gradientAccumulation },
    steps: BEFORE + MEASURED,
    onStep: ({ seconds }) => void ends.push(seconds),
  });
  const seconds = ((ends.at(-1) as number) - (ends[BEFORE - 1] as number)) / MEASURED;
  return Math.max(1, Math.floor(((1 - REST) * 60 * minutes) / seconds));
}

/** The steps that a training which is resumed was to take, by the settings that it left; undefined if there are none. */
export function stepsBefore(path: string): number | undefined {
  if (!existsSync(path)) return undefined;
  try {
    const { steps } = JSON.parse(readFileSync(path, 'utf8')) as { steps?: unknown };
    return typeof steps === 'number' ? steps : undefined;
  } catch {
    return undefined; // what is wrong with it, resuming says
  }
}
