// Vectors of fewer bits, as sentence-transformers' quantize_embeddings makes them.

import { ArgumentError } from '../../core/errors.js';

export const PRECISIONS = ['float32', 'int8', 'uint8', 'binary', 'ubinary'] as const;

/**
 * The numbers of vectors. `int8` and `uint8` have 256 steps between the least and the greatest value that the texts of
 * one call have for a feature. `binary` and `ubinary` have a bit for each feature: true above 0, eight in a byte.
 */
export type Precision = (typeof PRECISIONS)[number];

/** The array that has the numbers of a precision. */
export type VectorOf<Kind extends Precision> = Kind extends 'int8' | 'binary'
  ? Int8Array
  : Kind extends 'uint8' | 'ubinary'
    ? Uint8Array
    : Float32Array;

/**
 * Converts vectors to a precision. Throws ArgumentError for int8 and uint8 of a single vector, because the range of
 * each dimension is unknown.
 */
export function quantized(vectors: readonly Float32Array[], precision: Precision): VectorOf<Precision>[] {
  switch (precision) {
    case 'float32':
      return [...vectors];
    case 'binary':
      return vectors.map((vector) => Int8Array.from(bitsOf(vector), (byte) => byte - 128));
    case 'ubinary':
      return vectors.map(bitsOf);
    default:
      return stepsOf(vectors, precision);
  }
}

/** The first of eight features is the highest bit. The last byte is filled up with zeros. */
function bitsOf(vector: Float32Array): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(vector.length / 8));
  for (const [i, value] of vector.entries())
    if (value > 0) bytes[i >> 3] = (bytes[i >> 3] as number) | (128 >> (i & 7));
  return bytes;
}

function stepsOf(vectors: readonly Float32Array[], precision: 'int8' | 'uint8'): (Int8Array | Uint8Array)[] {
  if (vectors.length === 1)
    throw new ArgumentError(
      `encode: ${precision} needs several texts at once, whose values give the range of each feature`,
    );
  const size = vectors[0]?.length ?? 0;
  const min = new Float32Array(size).fill(Number.POSITIVE_INFINITY);
  const steps = new Float32Array(size).fill(Number.NEGATIVE_INFINITY);
  for (const vector of vectors)
    for (const [i, value] of vector.entries()) {
      min[i] = Math.min(min[i] as number, value);
      steps[i] = Math.max(steps[i] as number, value);
    }
  for (let i = 0; i < size; i++) steps[i] = Math.fround((steps[i] as number) - (min[i] as number)) / 255 || 1;
  const levels = (vector: Float32Array) =>
    vector.map((value, i) => {
      const level = Math.fround(Math.fround(value - (min[i] as number)) / (steps[i] as number));
      return Math.min(255, Math.max(0, Math.floor(level)));
    });
  return vectors.map((vector) =>
    precision === 'uint8' ? Uint8Array.from(levels(vector)) : Int8Array.from(levels(vector), (level) => level - 128),
  );
}
