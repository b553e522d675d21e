// What config.json calls the classes that a model tells apart.

import { isObject } from '../core/check.js';
import type { LoadedModel } from '../pretrained/load-later.js';

/** The name of a class: of `id2label`, or LABEL_ and its number. */
export function labelOf(model: LoadedModel, id: number): string {
  const names = model.config.id2label;
  const name = isObject(names) ? names[id] : undefined;
  return typeof name === 'string' ? name : `LABEL_${id}`;
}

/** The class of a name, whatever its case; undefined if there is none. */
export function labelId(model: LoadedModel, name: string): number | undefined {
  const names = model.config.id2label;
  if (!isObject(names)) return undefined;
  const found = Object.entries(names).find(([, each]) => String(each).toLowerCase() === name);
  return found && Number(found[0]);
}
