// Losses and gradients that are NaN or infinite: their detection and the error of `fit`.

import { NonFiniteError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { globalNorm } from './clip.js';

/** True if all gradients of `params` are finite, which their global norm shows. */
export async function areFinite(params: readonly Tensor[]): Promise<boolean> {
  const grads = params.map(({ grad }) => grad).filter((grad) => grad !== null);
  if (grads.length === 0) return true; // the optimizer reports that
  const norm = globalNorm(grads);
  try {
    return Number.isFinite(await norm.item());
  } finally {
    norm.dispose();
  }
}

export function diverged(step: number, loss: number): NonFiniteError {
  return new NonFiniteError(
    `fit: the loss of step ${step} is ${loss}, which no step can learn from: lower the learning rate, ` +
      'warm up longer, check the data, or skip such steps with skipNonFinite',
    step,
  );
}
