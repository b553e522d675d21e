import type { Transformer } from './transformer.js';

/** @internal Runs `fn` without dropout and gradients, in a scope. */
export function inference<T>(model: Transformer, fn: () => T): T {
  const { training, device } = model;
  if (training) model.eval();
  try {
    return device.noGrad(() => device.scope(fn));
  } finally {
    if (training) model.train();
  }
}
