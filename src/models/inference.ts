import type { Transformer } from './transformer.js';

/** @internal Runs `fn` without dropout and gradients, in a scope. Parts are in the same mode after it as before. */
export function inference<T>(model: Transformer, fn: () => T): T {
  const training = [...model.modules()].filter((part) => part.training);
  for (const part of training) part.training = false;
  try {
    return model.device.noGrad(() => model.device.scope(fn));
  } finally {
    for (const part of training) part.training = true;
  }
}
