import { isObject } from '../core/check.js';
import type { Batches, Example, Row } from './batches.js';
import type { FitOptions, FitResult } from './fit-options.js';
import type { Trainable } from './trainable.js';

export type { FitOptions, FitResult, Progress, Validation } from './fit-options.js';
export type { LossSettings, Trainable } from './trainable.js';

/**
 * Trains `model` on examples, in batches of similar length, or on batches of your own making. Resolves when done,
 * stopped early or aborted; the event loop keeps running meanwhile. The model ends in evaluation mode, after a throw
 * too; if the options are refused, it stays as it was.
 *
 * The same seed gives the same losses, bit for bit, on any number of threads and across a resumption.
 *
 * Throws NonFiniteError at a step whose loss is NaN or infinite and where weights that are not finite would be saved,
 * ArgumentError for options that make no sense and a model that is in training already, FormatError for a checkpoint
 * that is damaged or of another model, WorldError if another rank fails, and what `validate`, the callbacks, the data or the file system throw.
 */
export async function fit<Source extends Row = readonly number[], Target extends Row = readonly number[]>(
  model: Trainable<Source, Target>,
  data: readonly Example<Source, Target>[] | Batches<Source, Target>,
  options: FitOptions = {},
): Promise<FitResult> {
  const given = [Array.isArray(data) ? [...data] : data, isObject(options) ? { ...options } : options] as const; // as they are now
  const { TrainingRun } = await import('./training-run.js');
  const run = new TrainingRun(model, ...given);
  try {
    return await run.go();
  } catch (error) {
    run.fail(error);
    throw error;
  } finally {
    run.close();
  }
}
