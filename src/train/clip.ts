import { checkNumber } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { affineInto } from '../ops/binary.js';
import { checkLeaves } from './optimizer.js';

/**
 * Scales the gradients of `params` in place so that their global norm is at most `maxNorm`, as PyTorch's
 * `clip_grad_norm_`. Returns the norm before scaling as a scalar tensor, without reading it back. Parameters without a
 * gradient count as zero.
 *
 * If a gradient is not finite, or the norm overflows float32, the norm is infinity or NaN and the gradients stay
 * unchanged. Throws AutogradError for views and results of ops. Throws ArgumentError if a parameter is given twice, if
 * none has a gradient, or if `maxNorm` is not positive.
 */
export function clipGradNorm(params: readonly Tensor[], maxNorm: number): Tensor {
  // Views are refused, because their gradients may have gaps, which these commands cannot handle.
  const device = checkLeaves('clipGradNorm', params);
  const grads = gradsToClip('clipGradNorm', params, maxNorm);
  const norm = device.empty([]);
  const factor = clipFactor(grads, maxNorm, norm);
  for (const x of grads) device.emit('rescale', { x, factor, count: x.size });
  factor.dispose();
  return norm;
}

/** Returns the global norm of gradients, float32 []. It is finite only if all gradients are. */
export function globalNorm(grads: readonly Tensor[]): Tensor {
  const norm = (grads[0] as Tensor).device.empty([]);
  clipFactor(grads, 1, norm).dispose();
  return norm;
}

/**
 * Computes the global norm of `grads` into `norm`, and returns their factor: min(1, maxNorm / (norm + 1e-6)), or NaN if
 * the norm is not finite. Commands that take a factor change nothing if it is NaN.
 */
export function clipFactor(grads: readonly Tensor[], maxNorm: number, norm: Tensor): Tensor {
  const device = norm.device;
  const chunk = device.constant('sumOfSquares.chunk'); // elements in a partial sum
  const chunksOf = (x: Tensor) => Math.ceil(x.size / chunk);
  const count = grads.reduce((total, x) => total + chunksOf(x), 0);
  const partials = device.empty([2 * count]); // float64: two words each
  let first = 0;
  for (const x of grads) {
    const chunks = chunksOf(x);
    device.emit('sumOfSquares', { x, partials, count: x.size, first, chunks }, 2 * x.size);
    first += chunks;
  }
  const factor = device.empty([]);
  device.emit('clipFactor', { partials, norm, factor, count, maxNorm });
  partials.dispose();
  return factor;
}

/** Returns the gradients of `params`. Throws ArgumentError if there is none, or if `maxNorm` is not positive. */
export function gradsToClip(op: string, params: readonly Tensor[], maxNorm: number): Tensor[] {
  checkNumber(op, 'maxNorm', maxNorm, (value) => value > 0, 'a positive number');
  return gradsOf(op, params);
}

/** Returns the gradients of `params`. Throws ArgumentError if there is none. */
export function gradsOf(op: string, params: readonly Tensor[]): Tensor[] {
  const grads = params.map(({ grad }) => grad).filter((grad) => grad !== null);
  if (grads.length === 0)
    throw new ArgumentError(
      `${op}: no parameter has a gradient: call backward() before, or run a program that contains it`,
    );
  return grads;
}

/**
 * Copies `value` into `state`. `factor` comes from `clipFactor`. If it is NaN, because a gradient is not finite,
 * `state` stays unchanged: the step is skipped.
 */
export function adopt(value: Tensor, state: Tensor, factor: Tensor | null): void {
  if (factor === null) affineInto(value, state, 1, false);
  else state.device.emit('adoptIfFinite', { x: value, y: state, factor, count: state.size });
}
