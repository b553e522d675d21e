import type { Tensor } from '../core/tensor.js';
import { contiguous } from '../ops/contiguous.js';
import { matmul } from '../ops/matmul.js';
import { gather, permute, unpack } from '../ops/move.js';
import type { Sequences } from './sequences.js';

/** Chooses the rows that are multiplied for a query and a key. */
export interface ProductRows {
  /** The row of the sequence's content. */
  readonly contentOf: (query: number, key: number) => number;
  /** The row of the positions. */
  readonly positionOf: (query: number, key: number) => number;
}

/**
 * Returns a score for each query and key, [B, heads, T, T]. It is the product of a row of `content`, float32 [N,
 * heads·d], the rows of `batch`, with a row of `positions`, [P, heads·d]. The cost is T · P products per head and
 * sequence.
 */
export function productsByDistance(
  content: Tensor,
  positions: Tensor,
  { lengths, longest, size }: Sequences,
  heads: number,
  { contentOf, positionOf }: ProductRows,
): Tensor {
  const rows = positions.shape[0] as number;
  const perHead = contiguous(positions).reshape(rows, heads, -1); // [P, heads, d]
  const padded = unpack(contiguous(content), lengths, longest).reshape(size, longest, heads, -1); // [B, T, heads, d]
  const products = matmul(permute(padded, [0, 2, 1, 3]), permute(perHead, [1, 0, 2]), { transposeB: true }); // [B, heads, T, P]
  const indices = new Int32Array(longest * longest);
  for (let query = 0; query < longest; query++)
    for (let key = 0; key < longest; key++)
      indices[query * longest + key] = contentOf(query, key) * rows + positionOf(query, key);
  const flat = permute(products, [2, 3, 0, 1]).reshape(longest * rows, size * heads); // [T·P, B·heads]
  const picked = gather(flat, content.device.tensor(indices)).reshape(longest, longest, size, heads);
  return permute(picked, [2, 3, 0, 1]); // [B, heads, T, T]
}
