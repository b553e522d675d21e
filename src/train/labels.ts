import { ArgumentError } from '../core/errors.js';
import type { Example } from './batches.js';
import type { Trainable } from './fit-options.js';

/**
 * How many labels the mean loss of batch `n` is over, which is what it weighs beside others. Throws ArgumentError if there are
 * none, as the mean is NaN then.
 */
export function countLabels({ config }: Trainable, batch: readonly Example[], n: number): number {
  const { decoderLayers = 1, padId = null } = config ?? {};
  const count = batch.reduce((sum, example) => sum + labelsOf(example, decoderLayers > 0, padId), 0);
  if (count > 0) return count;
  const cause = padId === null ? 'it has no labels' : `it has no labels but padId, ${padId}, which the loss ignores`;
  throw new ArgumentError(`fit: nothing can be learnt from batch ${n}: ${cause}; leave such examples out`);
}

function labelsOf({ source, target }: Example, decodes: boolean, padId: number | null): number {
  const labels = decodes ? target.slice(1) : target.slice(0, unpaddedLength(source ?? target, padId));
  return labels.filter((id) => id !== padId).length;
}

function unpaddedLength(ids: readonly number[], padId: number | null): number {
  let { length } = ids;
  while (length > 0 && ids[length - 1] === padId) length--;
  return length;
}
