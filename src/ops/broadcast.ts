// Broadcasting. Kernels iterate over at most `broadcast.rank` nested dimensions. In each dimension, every operand has a
// step: the number of words from one index to the next, 0 if the operand is broadcast.

import { describeShape } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ShapeError } from '../core/errors.js';
import type { HeapValue } from '../core/operand.js';
import type { Shape, Tensor } from '../core/tensor.js';

interface Dimension {
  readonly size: number;
  /** Steps of the operands, in words. */
  readonly steps: readonly number[];
}

/**
 * Returns the shape to which both broadcast, by NumPy's rule: aligned at the last dimension, sizes must be equal or 1.
 * Throws ShapeError.
 */
export function broadcastShape(op: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, d) => {
    const m = a[d - rank + a.length] ?? 1;
    const n = b[d - rank + b.length] ?? 1;
    if (m !== n && m !== 1 && n !== 1) {
      throw new ShapeError(`${op}: ${describeShape(a)} and ${describeShape(b)} do not broadcast: ${m} against ${n}`);
    }
    return Math.max(m, n);
  });
}

/** Returns the words from one index to the next, for each dimension of `x`. */
export function stepsOf(x: Tensor): number[] {
  const steps: number[] = x.shape.map(() => 1);
  for (let d = x.shape.length - 2, step = x.rowStride; d >= 0; step *= x.shape[d--] as number) steps[d] = step;
  return steps;
}

/** Returns the steps of `x`, broadcast to `shape`. */
export function broadcastSteps(x: Tensor, shape: Shape): number[] {
  const steps = stepsOf(x);
  const missing = shape.length - x.shape.length;
  return shape.map((_, d) => ((x.shape[d - missing] ?? 1) === 1 ? 0 : (steps[d - missing] as number)));
}

/** Returns `x` without its first `words`, as an operand. */
export function operandFrom(x: Tensor, words: number): HeapValue {
  if (words === 0) return x;
  const { offset, length } = x.region();
  const region = () => ({ offset: offset + words, length: length - words });
  return { region, shape: x.shape, storage: x.storage };
}

/**
 * Returns the dimensions of `shape` with the steps of each operand. Dimensions of size 1 are dropped, and adjacent ones
 * are merged where possible.
 */
export function dimensionsOf(shape: Shape, ...operands: (readonly number[])[]): Dimension[] {
  const merged: Dimension[] = [];
  shape.forEach((size, d) => {
    if (size === 1) return;
    const steps = operands.map((operand) => operand[d] as number);
    const outer = merged.at(-1);
    if (outer?.steps.every((step, k) => step === (steps[k] as number) * size)) {
      merged[merged.length - 1] = { size: outer.size * size, steps };
    } else merged.push({ size, steps });
  });
  return merged;
}

/**
 * Returns the operands n0 … n5 and, for each name, name0 … name5. Unused dimensions come first. Throws ShapeError for
 * more than six dimensions.
 */
export function broadcastOperands(
  op: string,
  device: Device,
  dimensions: readonly Dimension[],
  names: readonly string[],
): Record<string, number> {
  const rank = device.constant('broadcast.rank');
  if (dimensions.length > rank) {
    const sizes = describeShape(dimensions.map(({ size }) => size));
    throw new ShapeError(`${op}: more than ${rank} dimensions (${sizes}) remain after merging those that can be`);
  }
  const operands: Record<string, number> = {};
  const missing = rank - dimensions.length;
  const numbered = ['n', ...names].map((name) => numberedNames(name, rank));
  for (let d = 0; d < rank; d++) {
    const dimension = dimensions[d - missing];
    numbered.forEach((all, k) => {
      operands[all[d] as string] = k === 0 ? (dimension?.size ?? 1) : (dimension?.steps[k - 1] ?? 0);
    });
  }
  return operands;
}

const known = new Map<string, readonly string[]>();

/**
 * Returns the names name0, name1, …. They are cached, because strings that are built at each call are slow to look up.
 */
function numberedNames(name: string, count: number): readonly string[] {
  let names = known.get(name);
  if (names === undefined || names.length < count) {
    names = Array.from({ length: count }, (_, i) => `${name}${i}`);
    known.set(name, names);
  }
  return names;
}
