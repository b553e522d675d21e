import type { GgmlType } from '../../io/ggml-types.js';

/** The format to which a type is converted in memory, and its bytes for 256 values. */
interface Conversion {
  readonly format: 'float16' | 'tq2_0';
  readonly bytes: number;
}

const half: Conversion = { format: 'float16', bytes: 512 };

/**
 * Types that the engine does not support, and their conversions. `TQ1_0` is converted exactly, the others are rounded
 * to float16.
 */
export const CONVERTED = {
  IQ1_S: half,
  IQ1_M: half,
  IQ2_XXS: half,
  IQ2_XS: half,
  IQ2_S: half,
  IQ3_XXS: half,
  IQ3_S: half,
  TQ1_0: { format: 'tq2_0', bytes: 66 },
} as const satisfies Partial<Record<GgmlType, Conversion>>;

export type ConvertedType = keyof typeof CONVERTED;

export const isConverted = (type: GgmlType): type is ConvertedType => Object.hasOwn(CONVERTED, type);
