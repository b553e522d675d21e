// The entries of config.json about weights that were packed here.

import { isObject } from '../core/check.js';
import type { PackedPiece } from './packed-state.js';

/** Hugging Face's `quant_method`. */
const METHOD = 'simdformer';

const PLAIN = 'model.safetensors';
/**
 * A name that other readers do not look for. They would only warn about an unknown method, and continue with random
 * weights.
 */
const OWN = 'model.simdformer.safetensors';

type Json = Readonly<Record<string, unknown>>;

const isHalf = ({ format }: Pick<PackedPiece, 'format'>) => format === 'float16' || format === 'bfloat16';

/** The file that a model's weights are saved in, and the file that an earlier save may have left. */
export function weightFiles(pieces: readonly PackedPiece[]): { file: string; other: string } {
  return pieces.every(isHalf) ? { file: PLAIN, other: OWN } : { file: OWN, other: PLAIN };
}

/**
 * Entries of config.json for packed weights. Python can read halves, so for them the note only keeps them packed here.
 */
export function packingFields(pieces: readonly PackedPiece[]): Json {
  const formats = [...new Set(pieces.map(({ format }) => format))].sort();
  if (formats.length === 0) return {};
  if (pieces.every(isHalf)) return { [METHOD]: { weights: 'auto' } };
  return { quantization_config: { quant_method: METHOD, formats } };
}

/** config.json without the entries of an earlier save. */
export function withoutPacking({ quantization_config: _, [METHOD]: __, ...config }: Json): Json {
  return config;
}

/** The file with packed weights of simdformer; null if there is none. */
export function packedFile({ quantization_config: quantization, [METHOD]: packing }: Json): string | null {
  if (isObject(packing) && packing.weights === 'auto') return PLAIN;
  return isObject(quantization) && quantization.quant_method === METHOD ? OWN : null;
}
