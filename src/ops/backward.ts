// What backwards share that has no op of its own.

import { type GradientTarget, gradOf, passGrad } from '../core/autograd.js';
import type { Device } from '../core/device.js';
import { Scalar } from '../core/operand.js';
import { lastOf, type Tensor } from '../core/tensor.js';

type Input = Tensor | null | undefined;

/** With `of`, the tensor lies apart from the gradient of that one. */
type Target = GradientTarget & { readonly of?: Tensor };

/**
 * As `gradOf`, for a command that writes several gradients in no particular order: one that shares memory with those of
 * `others` is written to a tensor of its own, which `addApart` adds after the command.
 */
export function gradApart(x: Input, ...others: readonly Input[]): Target | null {
  const isApart = x?.requiresGrad && others.some((other) => other && overlap(x, other));
  return isApart ? { tensor: x.device.empty(x.shape), accumulate: 0, of: x } : gradOf(x);
}

/** Adds what was written apart to the gradient it is of. */
export function addApart(target: Target | null | undefined): void {
  if (!target?.of) return;
  passGrad(target.of, target.tensor);
  target.tensor.dispose();
}

/** Whether a word may belong to both: columns of one matrix are known to lie apart. */
function overlap(a: Tensor, b: Tensor): boolean {
  const [first, last] = a.offset < b.offset ? [a, b] : [b, a];
  const distance = last.offset - first.offset;
  if (a.root !== b.root || distance >= first.region().length) return false;
  const cols = lastOf(a.root.shape);
  const right = distance % cols; // rows may go on in the next one of the root
  const isColumns = a.rowStride === cols && b.rowStride === cols;
  return !isColumns || right < lastOf(first.shape) || cols - right < lastOf(last.shape);
}

/** An operand for backward, which a Scalar may have changed by then: what it is now, unless a program's run decides. */
export function frozen(device: Device, operand: number | Scalar): number | Scalar {
  return operand instanceof Scalar && !device.recording ? operand.value : operand;
}

/** Partial sums that a sum over `rows` rows, column by column, is made of. */
export function partialsOf(device: Device, rows: number): number {
  return Math.ceil(rows / device.constant('rows.perPartial'));
}
