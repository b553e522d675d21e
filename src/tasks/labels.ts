// Names of a model's classes in config.json.

import { isObject } from '../core/check.js';
import type { LoadedModel } from '../pretrained/load-later.js';

/** Returns the id of the first label that begins with `prefix`, ignoring upper case. Undefined if there is none. */
export function labelId(model: LoadedModel, prefix: string): number | undefined {
  const names = model.config.id2label;
  if (!isObject(names)) return undefined;
  const found = Object.entries(names).find(([, label]) => String(label).toLowerCase().startsWith(prefix));
  return found && Number(found[0]);
}

/** Returns the labels of a model for messages: 'the labels a, b', or 'no labels'. */
export function describeLabels(model: LoadedModel): string {
  const names = model.config.id2label;
  return isObject(names) ? `the labels ${Object.values(names).slice(0, 10).map(String).join(', ')}` : 'no labels';
}
