import { Tensor } from './tensor.js';

/** The tensors in arrays and plain objects, which may hold each other. */
export function* tensorsIn(value: unknown, seen = new Set<object>()): Generator<Tensor> {
  if (value instanceof Tensor) yield value;
  else if (value !== null && typeof value === 'object' && !seen.has(value)) {
    if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype) return;
    seen.add(value);
    for (const inner of Object.values(value)) yield* tensorsIn(inner, seen);
  }
}
