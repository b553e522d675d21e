// Names of a model's classes in config.json.

import { isObject } from '../core/check.js';
import type { LoadedModel } from '../pretrained/load-later.js';

/** The name of a class: of `id2label`, or LABEL_ and its number. */
export function labelOf(model: LoadedModel, id: number): string {
  const names = model.config.id2label;
  const name = isObject(names) ? names[id] : undefined;
  return typeof name === 'string' ? name : `LABEL_${id}`;
}

/** The id of the first label that begins with `prefix`, in any case. Undefined if there is none. */
export function labelId(model: LoadedModel, prefix: string): number | undefined {
  const names = model.config.id2label;
  if (!isObject(names)) return undefined;
  const found = Object.entries(names).find(([, each]) => String(each).toLowerCase().startsWith(prefix));
  return found && Number(found[0]);
}

/** The labels of a model, as a message lists them. */
export function describeLabels(model: LoadedModel): string {
  const names = model.config.id2label;
  return isObject(names) ? Object.values(names).slice(0, 10).map(String).join(', ') : 'no labels';
}
