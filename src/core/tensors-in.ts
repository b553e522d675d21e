import { Tensor } from './tensor.js';

/** Finds the tensors in arrays, in plain objects, and in objects that list their `tensors`. Cycles are allowed. */
export function* tensorsIn(value: unknown, seen = new Set<object>()): Generator<Tensor> {
  if (value instanceof Tensor) yield value;
  else if (value !== null && typeof value === 'object' && !seen.has(value)) {
    const isPlain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
    const { tensors } = value as { tensors?: unknown };
    if (!isPlain && !Array.isArray(tensors)) return;
    seen.add(value);
    for (const inner of isPlain ? Object.values(value) : (tensors as unknown[])) yield* tensorsIn(inner, seen);
  }
}
