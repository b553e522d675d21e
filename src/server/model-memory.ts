import { Tensor } from '../core/tensor.js';
import { PackedWeight } from '../nn/weight.js';
import type { LoadedModel } from '../pretrained/index.js';

/** Returns the bytes of a model's parameters on its device, including adapters. Shared parameters count once. */
export function parameterBytes(model: LoadedModel): number {
  const bytes = new Map<number, number>();
  for (const module of model.modules())
    for (const value of Object.values(module).flat())
      for (const { storage } of tensorsOf(value)) bytes.set(storage.id, 4 * storage.block.words);
  return [...bytes.values()].reduce((sum, size) => sum + size, 0);
}

function tensorsOf(value: unknown): readonly Tensor[] {
  if (value instanceof Tensor) return value.disposed ? [] : [value];
  return value instanceof PackedWeight ? value.parts.map(({ words }) => words) : [];
}
