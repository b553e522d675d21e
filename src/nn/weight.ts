// The weights of Linear and Embedding: tensors, or packed into fewer bits.

import { ArgumentError } from '../core/errors.js';
import { type Shape, Tensor } from '../core/tensor.js';
import type { EmbeddingOptions } from '../ops/embedding.js';
import type { LinearOptions } from '../ops/linear.js';

/**
 * A matrix [in, out] (of an embedding [rows, features]) whose elements take fewer than 32 bits. Arithmetic types stay
 * float32 and int32: a packed weight is an operand of the two products below alone, and has no gradient itself.
 */
export interface PackedWeight {
  /** How its elements are packed, such as `int8` or `q4_0`. */
  readonly format: string;
  readonly shape: Shape;
  /** As the op `linear` with this matrix. */
  linear(x: Tensor, bias: Tensor | null, options?: LinearOptions): Tensor;
  /** As the op `embedding` with this table. */
  embedding(ids: Tensor, options?: EmbeddingOptions): Tensor;
  /** x · wᵀ, for an output projection that is an embedding. */
  linearTransposed(x: Tensor): Tensor;
  dispose(): void;
}

export type Weight = Tensor | PackedWeight;

/** The weight as a tensor, for what reads or writes single numbers of it. Throws ArgumentError if it is packed. */
export function tensorOf(op: string, weight: Weight): Tensor {
  if (weight instanceof Tensor) return weight;
  throw new ArgumentError(`${op}: the weight is packed as ${weight.format}, expected float32; load it unpacked`);
}
