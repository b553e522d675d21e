import { isObject } from '../core/check.js';
import type { Batches, Example, Row } from './batches.js';
import type { FitOptions, FitResult } from './fit-options.js';
import type { Data, Objective } from './objective.js';
import type { ExampleStream } from './stream-batches.js';
import type { Trainable } from './trainable.js';

export type { FitOptions, FitResult, Progress, Validation } from './fit-options.js';
export type { Objective } from './objective.js';
export type { ExampleStream } from './stream-batches.js';
export type { LossSettings, Trainable } from './trainable.js';

/**
 * Trains a model, or an objective, which has a loss of examples of any kind, in batches of similar length, or on batches
 * of your own making. Examples are an array, or what can be iterated over, sync or async, or a function that opens such a
 * stream, which is read anew in each epoch and never held as a whole. Resolves when done,
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
  data: readonly Example<Source, Target>[] | Batches<Source, Target> | ExampleStream<Example<Source, Target>>,
  options?: FitOptions,
): Promise<FitResult>;
export async function fit<Item>(
  objective: Objective<Item>,
  data: readonly Item[] | ExampleStream<Item>,
  options?: FitOptions,
): Promise<FitResult>;
export async function fit(
  model: Trainable<Row, Row> | Objective<never>,
  data: readonly unknown[] | Batches<Row, Row> | ExampleStream<unknown>,
  options: FitOptions = {},
): Promise<FitResult> {
  const examples = Array.isArray(data) ? [...data] : data; // as they are now
  const given = isObject(options) ? { ...options } : options;
  const [{ TrainingRun }, { learnerOf, prepared }] = await Promise.all([
    import('./training-run.js'),
    import('./objective.js'),
  ]);
  const run = new TrainingRun(learnerOf(model), await prepared(Object(model), examples as Data), given);
  try {
    return await run.go();
  } catch (error) {
    run.fail(error);
    throw error;
  } finally {
    await run.close();
  }
}
