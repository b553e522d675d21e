// Adapters of single rows: in one pass, each row of a batch can use its own.

import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { concat, gather } from '../ops/move.js';

/** The choices of adapters in a pass. */
export interface RowAdapters {
  /** Names of adapters whose changes are added. */
  readonly choices: readonly (readonly string[])[];
  /** int32 [rows]: c · rows + r if row r uses choice c. Null if there is one choice. */
  readonly indices: Tensor | null;
}

let current: RowAdapters | null = null;

/** Runs `work` with these adapters in place of the active ones. Null leaves the active ones. */
export function withAdapters<T>(adapters: RowAdapters | null, work: () => T): T {
  const before = current;
  current = adapters;
  try {
    return work();
  } finally {
    current = before;
  }
}

/** The adapters of the current pass; null if they are the active ones. */
export const passAdapters = (): RowAdapters | null => current;

/**
 * Takes each row from the result of its choice in this pass. `results` are [rows, ...], one for each choice. No bit of
 * a row depends on the choices of others.
 */
export function rowsOfChoices(results: readonly Tensor[]): Tensor {
  const [first] = results as readonly [Tensor];
  const indices = current?.indices;
  if (!indices || results.every((result) => result === first)) return first;
  if (first.shape[0] !== indices.size)
    throw new ShapeError(`adapters: the layer has ${first.shape[0]} rows, and ${indices.size} rows chose adapters`);
  return gather(concat(results), indices);
}
