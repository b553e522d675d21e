import { ArgumentError } from '../core/errors.js';
import { unpaddedLength } from '../nn/token-batch.js';
import type { Example } from './batches.js';
import type { Trainable } from './fit-options.js';

/**
 * How many labels the mean loss of batch `n` is over, which is what it weighs beside others. Throws ArgumentError if
 * there are none, as the mean is NaN then.
 */
export function countLabels({ config }: Trainable, batch: readonly Example[], n: number): number {
  const { decoderLayers = 1, padId = null } = config ?? {};
  const decodes = decoderLayers > 0;
  const count = batch.reduce((sum, example) => sum + labelsOf(example, decodes, padId), 0);
  if (count > 0) return count;
  const none = [...(decodes ? ['the first token of a target'] : []), ...(padId === null ? [] : [`padId ${padId}`])];
  throw new ArgumentError(
    `fit: there is no label to learn in batch ${n} (not counted: ${none.join(', ')}): leave such examples out`,
  );
}

function labelsOf({ source, target }: Example, decodes: boolean, padId: number | null): number {
  const labels = decodes ? target.slice(1) : target.slice(0, unpaddedLength(source ?? target, padId));
  return labels.filter((id) => id !== padId).length;
}
