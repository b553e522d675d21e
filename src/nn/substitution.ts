// Replaces modules inside a model, as `quantize` and `lora` do.

import { snakeCase } from '../core/snake-case.js';
import { Module } from './module.js';
import { joinPath } from './state-names.js';

/** A reference to a module in a model: a property of its parent, or an element of an array there. */
export interface ModuleSlot {
  readonly module: Module;
  readonly parent: Module;
  readonly key: string;
  /** The index in an array; null for a property. */
  readonly index: number | null;
  /** Path of properties, as in `namedTensors`. A wrapper and its wrapped module have one path. */
  readonly path: string;
}

/**
 * All modules below `root`, each parent before its parts. A module that is used in several places is listed several
 * times.
 */
export function* moduleSlots(root: Module, path = ''): Generator<ModuleSlot> {
  for (const [key, value] of Object.entries(root)) {
    for (const [i, module] of [value].flat().entries()) {
      if (!(module instanceof Module)) continue;
      const index = Array.isArray(value) ? i : null;
      const name = root.named === module ? '' : `${snakeCase(key)}${index === null ? '' : `.${index}`}`;
      const location = { module, parent: root, key, index, path: joinPath(path, name) };
      yield location;
      yield* moduleSlots(module, location.path);
    }
  }
}

/** Replaces the module in a slot. */
export function substitute({ parent, key, index }: ModuleSlot, module: Module): void {
  if (index === null) Object.assign(parent, { [key]: module });
  else (parent as unknown as Record<string, Module[]>)[key]?.splice(index, 1, module);
}
