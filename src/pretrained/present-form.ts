// Weights of older files in the form of a family's present files.

import type { Family } from '../models/family.js';
import type { WeightEntry } from '../models/weight-entry.js';
import { transposed } from './computed-weight.js';

/** Weights by the family's present names. Matrices that older files store as [in, out] are transposed. */
export function inPresentForm(
  tensors: ReadonlyMap<string, WeightEntry>,
  { fileName = (name) => name, transposedNames = [] }: Pick<Family, 'fileName' | 'transposedNames'>,
): Map<string, WeightEntry> {
  const renamed = [...tensors].map(([name, entry]) => {
    const isTransposed = transposedNames.some((suffix) => name === suffix || name.endsWith(`.${suffix}`));
    return [fileName(name), isTransposed ? transposed(entry) : entry] as const;
  });
  return new Map(renamed);
}
