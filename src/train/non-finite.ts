// Losses and gradients that are NaN or infinite: their detection and the error of `fit`.

import { NonFiniteError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { globalNorm } from './clip.js';

/** Resolves with true if all gradients of `params` are finite. It checks their global norm. */
export async function areFinite(params: readonly Tensor[]): Promise<boolean> {
  const grads = params.map(({ grad }) => grad).filter((grad) => grad !== null);
  if (grads.length === 0) return true; // the optimizer reports missing gradients
  const norm = globalNorm(grads);
  try {
    return Number.isFinite(await norm.item());
  } finally {
    norm.dispose();
  }
}

export function diverged(step: number, loss: number): NonFiniteError {
  return new NonFiniteError(
    `fit: the loss of step ${step} is ${loss}, expected a finite number: lower the learning rate, ` +
      'warm up longer, check the data, or skip such steps with skipNonFinite',
    step,
  );
}
