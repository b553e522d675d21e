// Biases of attention scores, and masks that hide keys. They depend on query and key, or on their distance.

import { checkDType, checkNumber, checkShape, describeShape } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import type { AttentionOptions } from './attention-options.js';
import { add } from './binary.js';
import { contiguous } from './contiguous.js';
import { matmul } from './matmul.js';

/** The shape of the scores. Each dimension of a bias or mask has this size or 1. */
export interface ScoreShape {
  readonly batch: number;
  readonly heads: number;
  /** Lengths of the longest items, or upper bounds if lengths are tensors. */
  readonly maxQ: number;
  readonly maxK: number;
  readonly packed: boolean;
}

/** The shape of a bias or mask. */
export type Grid = Readonly<Record<'items' | 'heads' | 'rows' | 'cols', number>>;

/** Operands of the kernels, by their names. */
export interface Biases {
  readonly bias: Tensor | null;
  readonly biasGrid: Grid;
  readonly mask: Tensor | null;
  readonly maskGrid: Grid;
  readonly relativeBias: Tensor | null;
  readonly distances: number;
  /** float32 [rows, heads·(2M + 1)]: products of q with every row of relativeKeys. */
  readonly relativeScores: Tensor | null;
  readonly scoreDistances: number;
}

type BiasOptions = Pick<AttentionOptions, 'bias' | 'mask' | 'relativeBias' | 'relativeKeys'>;

/**
 * Checks biases and masks, and returns them as operands. `width`: features of a head of q. Throws ShapeError,
 * DTypeError, ArgumentError.
 */
export function checkBiases(op: string, inputs: BiasOptions, q: Tensor, width: number, shape: ScoreShape): Biases {
  const { relativeBias = null, relativeKeys = null } = inputs;
  const bias = checkGrid(op, 'bias', inputs.bias, 'float32', shape);
  const mask = checkGrid(op, 'mask', inputs.mask, 'int32', shape);
  if (relativeBias) checkDistances(op, 'relativeBias', relativeBias, 1, shape.heads);
  if (relativeKeys) checkDistances(op, 'relativeKeys', relativeKeys, 0, width);
  return {
    bias: bias.tensor && contiguous(acrossKeys(bias.tensor, shape.maxK)),
    biasGrid: bias.grid.cols === 1 ? { ...bias.grid, cols: shape.maxK } : bias.grid,
    mask: mask.tensor && contiguous(mask.tensor),
    maskGrid: mask.grid,
    relativeBias: relativeBias && contiguous(relativeBias),
    distances: relativeBias ? lastOf(relativeBias.shape) : 0,
    relativeScores: relativeKeys && scoresByDistance(q, relativeKeys, shape.heads),
    scoreDistances: relativeKeys ? (relativeKeys.shape[0] as number) : 0,
  };
}

interface CheckedGrid {
  readonly tensor: Tensor | null;
  readonly grid: Grid;
}

const NO_GRID: CheckedGrid = { tensor: null, grid: { items: 0, heads: 0, rows: 0, cols: 0 } };

function checkGrid(
  op: string,
  name: string,
  tensor: Tensor | null | undefined,
  dtype: 'float32' | 'int32',
  { batch, heads, maxQ, maxK, packed }: ScoreShape,
): CheckedGrid {
  if (tensor === null || tensor === undefined) return NO_GRID;
  checkDType(op, name, tensor, dtype);
  const [items, itemHeads, rows, cols] = [1, 1, 1, ...tensor.shape].slice(-4) as [number, number, number, number];
  // If lengths are a tensor, only the kernel knows the lengths of packed items, and checks them against rows and
  // columns.
  const isLong = (n: number, longest: number) => n === 1 || packed || n === longest;
  const isOneOr = (n: number, all: number) => n === 1 || n === all;
  const fits = isOneOr(items, batch) && isOneOr(itemHeads, heads) && isLong(rows, maxQ) && isLong(cols, maxK);
  const { length: rank } = tensor.shape;
  if (rank === 0 || rank > 4 || !fits) {
    const expected = `${describeShape([batch, heads, maxQ, maxK])}, each 1 or as long, or the last of these`;
    throw new ShapeError(`${op}: ${name} is ${describeShape(tensor.shape)}, expected ${expected}`);
  }
  return { tensor, grid: { items, heads: itemHeads, rows, cols } };
}

/** Expands a bias to one column per key, because the backward pass writes to each column. */
function acrossKeys(bias: Tensor, keys: number): Tensor {
  return lastOf(bias.shape) === keys || lastOf(bias.shape) !== 1 ? bias : add(bias, bias.device.zeros([keys]));
}

/** Checks that `table` has an odd number of distances along `axis`, and `other` entries along the other axis. */
export function checkDistances(op: string, name: string, table: Tensor, axis: 0 | 1, other: number): void {
  checkDType(op, name, table, 'float32');
  const distances = table.shape[axis] ?? 0;
  const max = table.device.constant('attention.maxDistances');
  checkShape(op, name, table, axis === 0 ? [distances, other] : [other, distances]);
  const isOdd = (count: number) => count % 2 === 1 && count <= max;
  checkNumber(op, `the number of distances in ${name}`, distances, isOdd, `odd (2M + 1), at most ${max}`);
}

/**
 * Multiplies each head of each row of q with all rows of relativeKeys. The distance of a key later selects one of the
 * products.
 */
function scoresByDistance(q: Tensor, relativeKeys: Tensor, heads: number): Tensor {
  const distances = relativeKeys.shape[0] as number;
  const queries = contiguous(q).reshape(-1, relativeKeys.shape[1] as number);
  return matmul(queries, relativeKeys, { transposeB: true }).reshape(-1, heads * distances);
}
