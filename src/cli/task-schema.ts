// The check of JSON files that configure a training, by a zod schema for each task.

import { z } from 'zod';
import { isCount, isFraction, isInt32, isSeed, isWhole, SEED } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { SCHEDULES, type TaskConfig } from './task-config.js';

type TaskName = TaskConfig['task'];

/** The metrics of each task's validation. */
const METRICS: Readonly<Record<TaskName, readonly string[]>> = {
  pronunciation: ['wordError', 'tokenError'],
  translation: ['loss'],
  characters: ['loss'],
};

const TASK_NAMES = Object.keys(METRICS);

/** A finite number that `accepts` accepts. The schema's messages say what was expected. */
const number = (accepts: (value: number) => boolean, expected: string) => z.number(expected).refine(accepts, expected);
const oneOf = (names: readonly string[]) => z.enum(names, names.join(' or '));
const object = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject(shape, { error: ({ code }) => (code === 'invalid_type' ? 'an object' : undefined) });
const flag = z.boolean('true or false');
const path = z.string('the path of a file');
const count = number(isCount, 'a positive integer');
const whole = number(isWhole, 'an integer, 0 or more');
const positive = number((n) => n > 0, 'a positive number');
const notNegative = number((n) => n >= 0, 'a number, 0 or more');
const share = number(isFraction, 'a number from 0 to below 1');
const int32OrNull = number(isInt32, 'a 32-bit integer or null').nullable();
const positiveOrNull = number((n) => n > 0, 'a positive number or null').nullable();

/** The settings of a task. A setting that TaskConfig gets does not compile before it has a schema. */
function shapeOf(task: TaskName) {
  return {
    task: oneOf(TASK_NAMES),
    data: path.optional(),
    validationData: path.optional(),
    init: z.string('the folder or name of a model').optional(),
    model: z.record(z.string(), z.unknown(), 'an object').optional(),
    steps: count.optional(),
    epochs: positive.optional(),
    batch: count.optional(),
    schedule: object({
      kind: oneOf(SCHEDULES).optional(),
      peak: positive.optional(),
      warmup: whole.optional(),
    }).optional(),
    optimizer: object({
      beta1: share.optional(),
      beta2: share.optional(),
      eps: notNegative.optional(),
      weightDecay: notNegative.optional(),
    }).optional(),
    labelSmoothing: share.optional(),
    ignoreIndex: int32OrNull.optional(),
    headDiversity: notNegative.optional(),
    rDrop: notNegative.optional(),
    gradientAccumulation: count.optional(),
    skipNonFinite: flag.optional(),
    gradientCheckpointing: flag.optional(),
    earlyStopping: object({ metric: oneOf(METRICS[task]), patience: count }).optional(),
    checkpointEvery: count.optional(),
    clipNorm: positiveOrNull.optional(),
    averageLast: count.optional(),
    emaDecay: share.optional(),
    validation: (task === 'characters' ? share : whole).optional(),
    vocabSize: count.optional(),
    bpeDropout: share.optional(),
    lowerCase: flag.optional(),
    validateEvery: count.optional(),
    seed: number(isSeed, SEED).optional(),
  } satisfies Readonly<Record<keyof TaskConfig, z.ZodType>>;
}

/** A task's settings, once they are of their kinds. Throws ArgumentError, naming the file and the setting. */
export function parseTask(file: string, value: unknown): TaskConfig {
  const { task } = Object(value) as { task?: TaskName };
  const known = task !== undefined && TASK_NAMES.includes(task) ? task : 'pronunciation';
  const schema = object(shapeOf(known));
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data as TaskConfig;
  const [issue] = parsed.error.issues as [z.core.$ZodIssue];
  throw new ArgumentError(`${file}${describe(issue, schema)}`);
}

/** The problem with a setting: its name, its value, and the expected ones. */
function describe(issue: z.core.$ZodIssue, schema: z.ZodObject): string {
  const name = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const prefix = name === '' ? '' : `${name}.`;
    return `: there is no setting ${prefix}${issue.keys[0]}, only ${namesIn(schema, issue.path[0]).join(', ')}`;
  }
  if (name === '') return ' is not a JSON object';
  return `: ${name} is ${JSON.stringify(issue.input)}, expected ${issue.message}`;
}

/** The names of all settings, or of those in the object `name`. */
function namesIn({ shape }: z.ZodObject, name: PropertyKey | undefined): string[] {
  const inner = name === undefined ? undefined : (shape[name as string] as z.ZodOptional<z.ZodObject>).unwrap();
  return Object.keys(inner?.shape ?? shape);
}
