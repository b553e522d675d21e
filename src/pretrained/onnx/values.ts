// Reads tensors of ONNX files as float32. Quantized tensors follow the formulas of their operators.

import { FormatError } from '../../core/errors.js';
import type { ByteSource } from '../../io/byte-source.js';
import { dtypes, type ElementType, quote } from '../../io/dtypes.js';
import { type OnnxTensor, tensorBytes } from '../../io/onnx.js';

export type Numbers = Float32Array | Int32Array;

/** Reads the elements of a tensor. */
export async function elementsOf(tensor: OnnxTensor, beside?: ByteSource): Promise<Numbers> {
  const bytes = await tensorBytes(tensor, beside);
  const { dtype, name } = tensor;
  if (dtype === 'U4' || dtype === 'I4') return halvesOfBytes(bytes, sizeOf(tensor), dtype === 'I4');
  const { array: Stored, bytes: width, decode } = dtypes[dtype] as ElementType;
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  return decode(new Stored(aligned.buffer, aligned.byteOffset, aligned.byteLength / width), name);
}

/** Unpacks 4-bit integers. The low half of a byte comes first. */
function halvesOfBytes(bytes: Uint8Array, count: number, isSigned: boolean): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => {
    const half = ((bytes[i >> 1] as number) >> (4 * (i & 1))) & 15;
    return isSigned && half > 7 ? half - 16 : half;
  });
}

export const sizeOf = ({ shape }: { readonly shape: readonly number[] }) =>
  shape.reduce((product, n) => product * n, 1);

/**
 * The granularity of DequantizeLinear's scales: one for all values, one per index of an axis, or one per block of the
 * axis.
 */
export interface ScaleGranularity {
  readonly axis: number;
  /** Indices of the axis that share a scale; 0 if there are no blocks. */
  readonly block: number;
}

/** Integers with their scales and zero points. Null stands for zero points that are all 0. */
export interface QuantizedNumbers {
  readonly numbers: Numbers;
  readonly scales: Numbers;
  readonly zeros: Numbers | null;
}

/** Returns `(q − zero point) · scale`. Throws FormatError for a wrong number of scales. */
export function dequantized(
  name: string,
  shape: readonly number[],
  { numbers: q, scales, zeros }: QuantizedNumbers,
  { axis, block }: ScaleGranularity,
): Float32Array {
  const values = new Float32Array(q.length);
  const length = shape[axis] ?? 1;
  const inner = shape.slice(axis + 1).reduce((product, n) => product * n, 1);
  const perAxis = block > 0 ? Math.ceil(length / block) : length;
  const expected = block > 0 ? (q.length / Math.max(1, length)) * perAxis : length;
  if (scales.length !== 1 && scales.length !== expected)
    throw new FormatError(`tensor ${quote(name)} has ${scales.length} scales, expected 1 or ${expected}`);
  if (zeros !== null && zeros.length !== scales.length)
    throw new FormatError(`tensor ${quote(name)} has ${zeros.length} zero points, expected ${scales.length}`);
  for (let i = 0; i < q.length; i++) {
    const along = Math.floor(i / inner) % length;
    const outer = Math.floor(i / (inner * length));
    const blocked = (outer * perAxis + Math.floor(along / block)) * inner + (i % inner);
    const index = scales.length === 1 ? 0 : block > 0 ? blocked : along;
    values[i] = ((q[i] as number) - (zeros?.[index] ?? 0)) * (scales[index] as number);
  }
  return values;
}
