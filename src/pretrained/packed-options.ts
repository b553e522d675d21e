// The options of `loadModel` for packing weights.

import { checkOneOf } from '../core/check.js';
import { packing, WEIGHT_FORMATS, type WeightFormat } from '../models/quantize.js';
import { keepStoredFormats, type Packing } from '../models/read-packed.js';
import { ACTIVATION_FORMATS, type ActivationFormat } from '../nn/weight.js';
import type { OnnxChoice } from './onnx/files.js';

/** Formats by the names of transformers.js. */
const DTYPES = {
  auto: 'auto',
  fp32: 'float32',
  fp16: 'float16',
  q8: 'int8',
  int8: 'int8',
  uint8: 'int8',
  q4: 'int4',
  q4f16: 'int4',
  bnb4: 'int4',
  q2: 'int4',
  q2f16: 'int4',
} as const;

/** The options of `loadModel` that decide the format, and the form of the file. */
interface PackingOptions {
  readonly weights?: 'float32' | WeightFormat | 'auto' | undefined;
  readonly activations?: ActivationFormat | undefined;
  readonly dtype?: OnnxChoice | undefined;
  /** True for files whose weights are packed. Their format is kept by default. */
  readonly isPacked: boolean;
}

/** The format of matrices by default: for GGUF files and our packed files, and for other files. */
export const DEFAULT_WEIGHTS = { packed: 'auto', other: 'float32' } as const;

/**
 * Returns the packing that the options of `loadModel` request; null if all weights are float32. Throws ArgumentError.
 */
export function packingOf(options: PackingOptions): Packing | null {
  const { dtype, activations = 'int8', isPacked } = options;
  const named = typeof dtype === 'string' ? DTYPES[dtype] : undefined;
  const weights = options.weights ?? named ?? (isPacked ? DEFAULT_WEIGHTS.packed : DEFAULT_WEIGHTS.other);
  if (weights === 'auto') return keepStoredFormats(activations);
  if (weights === 'float32') return null;
  const wanted = { weights, activations };
  const format = packing('loadModel', wanted);
  return { choose: () => format, options: wanted, activations };
}

/** Throws ArgumentError for options that `packingOf` does not know. */
export function checkPacking(weights: unknown = 'auto', activations: unknown = 'int8'): void {
  checkOneOf('loadModel', 'weights', weights, ['float32', ...WEIGHT_FORMATS, 'auto']);
  checkOneOf('loadModel', 'activations', activations, ACTIVATION_FORMATS);
}
