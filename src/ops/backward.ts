// Code that backward passes of several ops share.

import { type GradientTarget, gradOf, passGrad } from '../core/autograd.js';
import type { Device } from '../core/device.js';
import { Scalar } from '../core/operand.js';
import { lastOf, type Tensor } from '../core/tensor.js';

type Input = Tensor | null | undefined;

/** If `of` is given, the target is a separate tensor, which is later added to the gradient of `of`. */
type Target = GradientTarget & { readonly of?: Tensor };

/**
 * Like `gradOf`, for a command that writes several gradients in no particular order. A gradient that shares memory with
 * those of `others` is written to a separate tensor, which `addSeparateGrad` adds after the command.
 */
export function separateGradOf(x: Input, ...others: readonly Input[]): Target | null {
  const isApart = x?.requiresGrad && others.some((other) => other && overlap(x, other));
  return isApart ? { tensor: x.device.empty(x.shape), accumulate: 0, of: x } : gradOf(x);
}

/** If a gradient was written to a separate tensor, adds it to the gradient of its tensor. */
export function addSeparateGrad(target: Target | null | undefined): void {
  if (!target?.of) return;
  passGrad(target.of, target.tensor);
  target.tensor.dispose();
}

/** True if both tensors may share memory. Different columns of one matrix do not. */
function overlap(a: Tensor, b: Tensor): boolean {
  const [first, last] = a.offset < b.offset ? [a, b] : [b, a];
  const distance = last.offset - first.offset;
  if (a.root !== b.root || distance >= first.region().length) return false;
  const cols = lastOf(a.root.shape);
  const right = distance % cols; // columns may wrap around to the next row of the root
  const isColumns = a.rowStride === cols && b.rowStride === cols;
  return !isColumns || right < lastOf(first.shape) || cols - right < lastOf(last.shape);
}

/**
 * Returns an operand for the backward pass. A Scalar may change before that pass, so its current value is used, unless
 * each run of a program sets it.
 */
export function currentValue(device: Device, operand: number | Scalar): number | Scalar {
  return operand instanceof Scalar && !device.recording ? operand.value : operand;
}

/** Number of partial sums for a sum over `rows` rows, column by column. */
export function partialsOf(device: Device, rows: number): number {
  return Math.ceil(rows / device.constant('rows.perPartial'));
}
