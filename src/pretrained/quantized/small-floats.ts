// Floats of 4 or 6 bits in bytes: MXFP4, MXFP6 and NVFP4.

import { FormatError } from '../../core/errors.js';
import type { SafetensorsEntry } from '../../io/safetensors.js';
import type { StoredBlocks } from '../../models/weight-entry.js';
import { ComputedWeight } from '../computed-weight.js';
import { matrixOf, type QuantizedTensors, valuesOf } from './tensors.js';

const withNegatives = (values: readonly number[]) => [...values, ...values.map((value) => -value)];

/** The values of four bits: a sign, two bits of exponent, one of mantissa. */
export const FP4 = withNegatives([0, 0.5, 1, 1.5, 2, 3, 4, 6]);
/** The values of six bits: a sign, two bits of exponent, three of mantissa. */
const FP6 = withNegatives(
  Array.from({ length: 32 }, (_, i) => (i < 8 ? i / 8 : (1 + (i % 8) / 8) * 2 ** ((i >> 3) - 1))),
);
/** Values that share an exponent in MXFP4 and MXFP6. */
export const MXFP4_BLOCK = 32;

/** Returns the scale for an 8-bit exponent. */
export const scaleOfExponent = (exponent: number) => (exponent === 255 ? Number.NaN : 2 ** (exponent - 127));

/**
 * Replaces a weight of compressed-tensors by its values. `packed` has codes of 4 or 6 bits, from the low bits on. MXFP4
 * and MXFP6 have an exponent for each 32 inputs. NVFP4 has a float8 for each 16 inputs, which is divided by
 * `_global_scale`.
 */
export function readSmallFloats(tensors: QuantizedTensors, name: string, packed: SafetensorsEntry): void {
  const [rows, bytes] = matrixOf(`${name}_packed`, packed);
  const scale = tensors.take(`${name}_scale`);
  const global = tensors.takeOptional(`${name}_global_scale`);
  const [scaleRows, groups] = matrixOf(`${name}_scale`, scale);
  const isExponent = scale.dtype === 'U8';
  const bits = isExponent && (bytes / groups) * 8 === 6 * MXFP4_BLOCK ? 6 : 4;
  const inputs = (bytes * 8) / bits;
  const size = inputs / groups;
  const isSized = scaleRows === rows && Number.isInteger(size) && (global === null || global.size === 1);
  if (!isSized || (isExponent && (size !== MXFP4_BLOCK || global !== null)))
    throw new FormatError(
      `the scales of ${name} are [${scale.shape.join(', ')}], which does not fit [${rows}, ${inputs}]`,
    );
  const values = async () => {
    const [codes, scaleValues] = [await valuesOf(packed), await valuesOf(scale)];
    const [divisor = 1] = global ? await valuesOf(global) : [];
    const scales = Float32Array.from(scaleValues, isExponent ? scaleOfExponent : (value) => value / divisor);
    const floats = new Float32Array(rows * inputs);
    const [table, mask] = [bits === 4 ? FP4 : FP6, 2 ** bits - 1];
    for (let i = 0; i < floats.length; i++) {
      const bit = i * bits;
      const index = Math.floor(bit / 8);
      const pair = (codes[index] as number) | ((codes[index + 1] ?? 0) << 8);
      floats[i] = (table[(pair >> (bit % 8)) & mask] as number) * (scales[Math.floor(i / size)] as number);
    }
    return floats;
  };
  const kept = isExponent && bits === 4 ? () => mxfp4Blocks(packed, scale, [rows, inputs]) : undefined;
  tensors.put(name, new ComputedWeight([rows, inputs], values, kept));
}

/** Converts MXFP4 to blocks of ggml: an exponent, then 16 bytes whose low halves are the first 16 values. */
export function mxfp4Blocks(
  packed: SafetensorsEntry,
  scales: SafetensorsEntry,
  shape: readonly [rows: number, inputs: number],
): StoredBlocks {
  const half = MXFP4_BLOCK / 2;
  const width = 1 + half;
  const read = async (buffer: Uint8Array, from: number) => {
    const [first, count] = [from / width, buffer.length / width];
    const [codes, exponents] = [new Uint8Array(count * half), new Uint8Array(count)];
    await packed.readAsync(codes, first * half);
    await scales.readAsync(exponents, first);
    const code = (block: number, value: number) =>
      ((codes[block * half + (value >> 1)] as number) >> (4 * (value & 1))) & 15;
    for (let block = 0; block < count; block++) {
      buffer[block * width] = exponents[block] as number;
      for (let i = 0; i < half; i++) buffer[block * width + 1 + i] = code(block, i) | (code(block, half + i) << 4);
    }
  };
  return { format: 'mxfp4', shape, unit: 1, read };
}
