import { inModes } from '../nn/module.js';
import type { Transformer } from './transformer.js';

/** @internal Runs `fn` without dropout and gradients, in a scope. */
export function inference<T>(model: Transformer, fn: () => T): T {
  return inModes(model, new Set(), () => model.device.noGrad(() => model.device.scope(fn)));
}
