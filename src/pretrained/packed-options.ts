// What options of `loadModel` say of weights.

import { checkOneOf } from '../core/check.js';
import { packing, type WeightFormat } from '../models/quantize.js';
import { asStoredWith, type Packing } from '../models/read-packed.js';
import type { ActivationFormat } from '../nn/weight.js';

/** Of `loadModel`. */
interface PackingOptions {
  readonly weights?: 'float32' | WeightFormat | 'auto' | undefined;
  readonly activations?: ActivationFormat | undefined;
}

/** What options of `loadModel` mean, which may be those of packed files; null: all is float32. Throws ArgumentError. */
export function packingOf(
  isPacked: boolean,
  { weights = isPacked ? 'auto' : 'float32', activations = 'int8' }: PackingOptions,
): Packing | null {
  if (weights === 'auto') return asStoredWith(activations);
  if (weights === 'float32') return null;
  const options = { weights, activations };
  const format = packing('loadModel', options);
  return { choose: () => format, options, activations };
}

/** Throws ArgumentError for options that `packingOf` does not know. */
export function checkPacking(weights: unknown = 'auto', activations: unknown = 'int8'): void {
  checkOneOf('loadModel', 'weights', weights, ['float32', 'float16', 'bfloat16', 'int8', 'int4', 'auto']);
  checkOneOf('loadModel', 'activations', activations, ['int8', 'float32']);
}
