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
 * Trains a model, or an objective, which defines a loss for examples of any kind. `data` is an array of examples, an
 * iterable, an async iterable, or a function that returns one. A stream is read again in each epoch and is never held
 * in memory as a whole. `fit` makes batches of similar length, or takes your own batches. It resolves when the training
 * is done, stopped early or aborted; the event loop keeps running meanwhile. The model ends in evaluation mode, also
 * after an error. If the options are refused, it stays unchanged.
 *
 * Equal seeds give equal losses, bit for bit, on any number of threads and across a resumption.
 *
 * - NonFiniteError: a loss is NaN or infinite, or weights to be saved are not finite.
 * - ArgumentError: an option is invalid, or another call trains the model.
 * - FormatError: the checkpoint is damaged or of another model.
 * - WorldError: another rank fails.
 *
 * Errors of `validate`, callbacks, the data and the file system pass through.
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
  const examples = Array.isArray(data) ? [...data] : data; // changes of the array after this call have no effect
  const fitOptions = isObject(options) ? { ...options } : options;
  const [{ TrainingRun }, { learnerOf, preparedData }] = await Promise.all([
    import('./training-run.js'),
    import('./objective.js'),
  ]);
  const run = new TrainingRun(learnerOf(model), await preparedData(Object(model), examples as Data), fitOptions);
  try {
    return await run.go();
  } catch (error) {
    run.fail(error);
    throw error;
  } finally {
    await run.close();
  }
}
