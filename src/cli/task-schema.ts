// Checks JSON files that configure a training, by a zod schema for each task.

import * as z from 'zod/mini'; // bundlers remove its unused parts, unlike zod's
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

/** A finite number that `accepts` accepts. The messages of the schema come from `expected`. */
const number = (accepts: (value: number) => boolean, expected: string) =>
  z.number(expected).check(z.refine(accepts, expected));
const oneOf = (names: readonly string[]) => z.enum(names, names.join(' or '));
const object = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape, { error: ({ code }) => (code === 'invalid_type' ? 'an object' : undefined) });
const flag = z.boolean('true or false');
const path = z.string('the path of a file');
const count = number(isCount, 'a positive integer');
const whole = number(isWhole, 'an integer, 0 or more');
const positive = number((n) => n > 0, 'a positive number');
const notNegative = number((n) => n >= 0, 'a number, 0 or more');
const share = number(isFraction, 'a number from 0 to below 1');
const int32OrNull = z.nullable(number(isInt32, 'a 32-bit integer or null'));
const positiveOrNull = z.nullable(number((n) => n > 0, 'a positive number or null'));

/** Settings of a task. The compiler requires a schema for every setting of TaskConfig. */
function shapeOf(task: TaskName) {
  return {
    task: oneOf(TASK_NAMES),
    data: z.optional(path),
    validationData: z.optional(path),
    init: z.optional(z.string('the folder or name of a model')),
    model: z.optional(z.record(z.string(), z.unknown(), 'an object')),
    steps: z.optional(count),
    epochs: z.optional(positive),
    batch: z.optional(count),
    schedule: z.optional(
      object({
        kind: z.optional(oneOf(SCHEDULES)),
        peak: z.optional(positive),
        warmup: z.optional(whole),
      }),
    ),
    optimizer: z.optional(
      object({
        beta1: z.optional(share),
        beta2: z.optional(share),
        eps: z.optional(notNegative),
        weightDecay: z.optional(notNegative),
      }),
    ),
    labelSmoothing: z.optional(share),
    ignoreIndex: z.optional(int32OrNull),
    headDiversity: z.optional(notNegative),
    rDrop: z.optional(notNegative),
    gradientAccumulation: z.optional(count),
    skipNonFinite: z.optional(flag),
    gradientCheckpointing: z.optional(flag),
    earlyStopping: z.optional(object({ metric: oneOf(METRICS[task]), patience: count })),
    checkpointEvery: z.optional(count),
    clipNorm: z.optional(positiveOrNull),
    averageLast: z.optional(count),
    emaDecay: z.optional(share),
    validation: z.optional(task === 'characters' ? share : whole),
    vocabSize: z.optional(count),
    bpeDropout: z.optional(share),
    lowerCase: z.optional(flag),
    validateEvery: z.optional(count),
    seed: z.optional(number(isSeed, SEED)),
  } satisfies Readonly<Record<keyof TaskConfig, z.ZodMiniType>>;
}

/** Checked settings of a task. Throws ArgumentError, naming the file and the setting. */
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
function describe(issue: z.core.$ZodIssue, schema: z.ZodMiniObject): string {
  const name = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const prefix = name === '' ? '' : `${name}.`;
    return `: there is no setting ${prefix}${issue.keys[0]}, only ${namesIn(schema, issue.path[0]).join(', ')}`;
  }
  if (name === '') return ' is not a JSON object';
  return `: ${name} is ${JSON.stringify(issue.input)}, expected ${issue.message}`;
}

/** The names of all settings, or of those in the object `name`. */
function namesIn({ shape }: z.ZodMiniObject, name: PropertyKey | undefined): string[] {
  const inner =
    name === undefined ? undefined : (shape[name as string] as z.ZodMiniOptional<z.ZodMiniObject>).def.innerType;
  return Object.keys(inner?.shape ?? shape);
}
