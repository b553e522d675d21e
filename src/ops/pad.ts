// Padding, and rotation along an axis.

import { differentiable, gradOf } from '../core/autograd.js';
import {
  checkArray,
  checkAxis,
  checkDevice,
  checkDTypes,
  checkNumber,
  checkOptions,
  describeShape,
  isInt32,
  isNotNaN,
} from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { operandFrom, stepsOf } from './broadcast.js';
import { concat, copyInto, slice } from './move.js';

export interface PadOptions {
  /** The value of added elements, which may be infinite. Default: 0. */
  value?: number | undefined;
}

/**
 * Adds elements around `x`, as torch.nn.functional.pad in mode 'constant'. `sizes` are pairs of sizes before and after,
 * those of the last dimension first: [left, right, top, bottom] for images. Negative sizes remove elements. `x`:
 * float32, any shape but []. Throws ShapeError if nothing remains, DTypeError, and ArgumentError for more pairs than
 * dimensions.
 */
export function pad(x: Tensor, sizes: readonly number[], options: PadOptions = {}): Tensor {
  const isValue = { accepts: (value: unknown) => typeof value === 'number' && isNotNaN(value), expected: 'a number' };
  const { value = 0 } = checkOptions('pad', options, { value: isValue });
  const device = checkDevice('pad', { x });
  checkDTypes('pad', { x }, 'float32');
  checkArray('pad', 'sizes', sizes, 'an array of integers');
  for (const size of sizes) checkNumber('pad', 'a size', size, isInt32, 'an integer');
  const rank = x.shape.length;
  if (sizes.length % 2 !== 0 || sizes.length > 2 * rank)
    throw new ArgumentError(`pad: sizes has ${sizes.length} items, expected pairs for at most ${rank} dimensions`);
  const before = x.shape.map((_, d) => sizes[2 * (rank - 1 - d)] ?? 0);
  const after = x.shape.map((_, d) => sizes[2 * (rank - 1 - d) + 1] ?? 0);
  const shape = x.shape.map((size, d) => size + (before[d] as number) + (after[d] as number));
  if (shape.some((size) => size < 1))
    throw new ShapeError(`pad: x is ${describeShape(x.shape)}: nothing remains with sizes ${describeShape(sizes)}`);
  return device.scope(() => {
    const kept = x.shape.reduce((rest, size, d) => {
      const [first, last] = [before[d] as number, after[d] as number];
      return first < 0 || last < 0 ? slice(rest, d, Math.max(0, -first), size - Math.max(0, -last)) : rest;
    }, x);
    const grown = before.map((size) => Math.max(0, size));
    if (kept.shape.every((size, d) => size === shape[d])) return kept;
    const y = device.full(shape, value);
    const viewIn = (whole: Tensor) => {
      const steps = stepsOf(whole);
      return operandFrom(
        whole,
        grown.reduce((words, size, d) => words + size * (steps[d] as number), 0),
      );
    };
    copyInto(device, viewIn(y), stepsOf(y), kept, stepsOf(kept), kept.shape);
    return differentiable(y, [kept], (dy) => {
      const dx = gradOf(kept);
      if (dx) copyInto(device, dx.tensor, stepsOf(dx.tensor), viewIn(dy), stepsOf(dy), kept.shape, dx.accumulate);
    });
  });
}

/**
 * Rotates `x` along dimensions, as torch.roll: element i moves to i + shift, and elements beyond the end move to the
 * start. `shifts` and `axes` are integers, or arrays of the same length; negative axes count from the end. `x`: any
 * shape and dtype; the result has the same. Throws ArgumentError.
 */
export function roll(x: Tensor, shifts: number | readonly number[], axes: number | readonly number[]): Tensor {
  const device = checkDevice('roll', { x });
  const [steps, along] = [listOf('shifts', shifts), listOf('axes', axes)];
  if (steps.length !== along.length)
    throw new ArgumentError(
      `roll: there are ${steps.length} shifts and ${along.length} axes, expected the same number`,
    );
  return device.scope(() =>
    steps.reduce((rolled, shift, i) => {
      const d = checkAxis('roll', along[i] as number, x.shape);
      const size = x.shape[d] as number;
      const first = (size - (shift % size)) % size; // moves to the start
      return first === 0 ? rolled : concat([slice(rolled, d, first, size), slice(rolled, d, 0, first)], d);
    }, x),
  );
}

function listOf(name: string, value: number | readonly number[]): readonly number[] {
  const values = typeof value === 'number' ? [value] : value;
  checkArray('roll', name, values, 'an integer or an array of integers');
  for (const value of values) checkNumber('roll', name, value, isInt32, 'an integer');
  return values;
}
