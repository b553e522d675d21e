// Names of a classifier's labels in config.json.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { Json } from './model-config.js';

/**
 * Names of a classifier's labels in the order of their ids: `id2label`, or LABEL_0, LABEL_1 … for `num_labels`, by
 * default two. Throws FormatError unless ids count from 0.
 */
export function labelsOf({ id2label, num_labels }: Json): string[] {
  if (id2label == null) {
    const count = num_labels ?? 2;
    if (!(Number.isInteger(count) && (count as number) > 0 && (count as number) <= 1 << 20))
      throw new FormatError(`config.json: num_labels is ${describeValue(count)}, expected how many there are`);
    return Array.from({ length: count as number }, (_, id) => `LABEL_${id}`);
  }
  const names = isObject(id2label) ? id2label : {};
  const labels = Object.keys(names).map((_, id) => names[id]);
  if (labels.length > 0 && labels.every((label) => typeof label === 'string')) return labels as string[];
  throw new FormatError('config.json: id2label does not give a name to each id from 0 on');
}
