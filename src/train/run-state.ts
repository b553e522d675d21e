// The state of a run in a checkpoint of `fit`, without tensors.

import { isObject } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import type { Validation } from './fit-options.js';

export interface RunState {
  step: number;
  seed: number;
  gradientAccumulation: number;
  /** Fingerprints that identify the data: of all batches, if `Batches` has one, and of the first batch. */
  data?: number | undefined;
  firstBatch: number;
  /** Number of skipped steps, whose losses or gradients were not finite. */
  skipped: number;
  validations: Validation[];
}

/**
 * Converts a state to JSON values. Numbers that are not finite, such as metrics of a diverged model, become strings.
 */
export function encodeState(state: RunState): unknown {
  const encode = (value: number) => (Number.isFinite(value) ? value : String(value));
  return {
    ...state,
    validations: state.validations.map(({ step, metrics }) => ({ step, metrics: map(metrics, encode) })),
  };
}

/**
 * Reads a state that `encodeState` made. Throws FormatError if it is damaged, and ArgumentError if its run had other
 * batches than `current`. Values that are missing in old checkpoints are not compared.
 */
export function decodeState(value: unknown, current: RunState): RunState {
  const { seed, gradientAccumulation, firstBatch } = current;
  const saved = { seed, gradientAccumulation, firstBatch, skipped: 0, ...objectOf('the state', value) } as RunState;
  checkCount('step', saved.step);
  checkCount('seed', saved.seed);
  checkCount('gradientAccumulation', saved.gradientAccumulation);
  checkCount('firstBatch', saved.firstBatch);
  checkCount('skipped', saved.skipped);
  if (saved.data !== undefined) checkCount('data', saved.data);
  if (!Array.isArray(saved.validations)) throw new FormatError('it has no list of validations');
  const validations = saved.validations.map((validation: unknown) => {
    const { step, metrics } = objectOf('a validation', validation) as Record<string, unknown>;
    checkCount('the step of a validation', step);
    return { step: step as number, metrics: map(objectOf('metrics', metrics), decodeMetric) };
  });
  const state: RunState = { ...saved, validations };
  checkSameBatches(state, current);
  return { ...state, data: current.data, firstBatch: current.firstBatch };
}

function checkSameBatches(saved: RunState, current: RunState): void {
  for (const name of ['seed', 'gradientAccumulation'] as const) {
    if (saved[name] === current[name]) continue;
    throw new ArgumentError(`fit: the checkpoint was made with ${name} ${saved[name]}, this run has ${current[name]}`);
  }
  if (saved.firstBatch === current.firstBatch && (saved.data ?? current.data) === current.data) return;
  throw new ArgumentError('fit: the checkpoint was made with other batches: resume with the same data and batchTokens');
}

function checkCount(name: string, value: unknown): void {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return;
  throw new FormatError(`its ${name} is ${JSON.stringify(value)}, expected an integer, 0 or more`);
}

function objectOf(name: string, value: unknown): object {
  if (isObject(value)) return value;
  throw new FormatError(`${name} is ${JSON.stringify(value)}, expected an object`);
}

/** Reads the value of a metric. Old checkpoints have null for numbers that are not finite. */
function decodeMetric(value: unknown): number {
  if (typeof value === 'number') return value;
  if (value === null || ['NaN', 'Infinity', '-Infinity'].includes(value as string)) return Number(value ?? 'NaN');
  throw new FormatError(`a metric is ${JSON.stringify(value)}, expected a number`);
}

function map<From, To>(
  values: Readonly<Record<string, From>> | object,
  change: (value: From) => To,
): Record<string, To> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value as From)]));
}
