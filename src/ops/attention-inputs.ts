// What attention and attentionWeights share: their options, the checks, and the operands of their kernels.

import {
  checkDevice,
  checkDType,
  checkDTypes,
  checkIntegers,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkShape,
  describeShape,
  isCount,
  isWhole,
  matrixOf,
} from '../core/check.js';
import type { Device } from '../core/device.js';
import { ShapeError } from '../core/errors.js';
import { lastOf, type Shape, Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';
import { matmul } from './matmul.js';

/**
 * How much of each item of a batch takes part: integers, or an int32 tensor [B] whose values are checked when they are
 * used.
 */
export type Lengths = readonly number[] | Int32Array | Tensor;

export interface AttentionOptions {
  /** Heads of q. Default 1. */
  heads?: number | undefined;
  /** Heads of k and v; each serves heads / kvHeads heads of q (grouped-query attention). Default: `heads`. */
  kvHeads?: number | undefined;
  /** A query sees no key after its own position; the last query stands at the last key. Default false. */
  causal?: boolean | undefined;
  /** Padded: the queries of each item that count (default all). Packed: how many rows each item has. */
  lengthsQ?: Lengths | null | undefined;
  /** The same for keys. Default, packed: lengthsQ; padded: all. */
  lengthsK?: Lengths | null | undefined;
  /**
   * Added to the scaled scores: [Tq, Tk], [1 | heads, Tq, Tk] or [1 | B, 1 | heads, Tq, Tk]. Packed: Tq and Tk the
   * longest.
   */
  bias?: Tensor | null | undefined;
  /**
   * [heads, 2M + 1], added to the scores by clipped distance: entry clip(j - i, ±M) + M for key j and query i. Queries
   * count from 0, or, if causal, so that the last one stands at the last key.
   */
  relativeBias?: Tensor | null | undefined;
  /**
   * [2M + 1, d], shared by the heads: key j of query i is k[j] + relativeKeys[clip(j - i, ±M) + M] (Shaw, Uszkoreit,
   * Vaswani 2018, arXiv 1803.02155). Distances as for relativeBias. Costs 2M + 1 floats for each row and head.
   */
  relativeKeys?: Tensor | null | undefined;
  /** What scores are multiplied by. Default 1 / √(width of a head). */
  scale?: number | undefined;
}

/** The device of all tensors that are given: an op's `own` ones, and those of the options. */
export function checkTensors(
  op: string,
  own: Record<string, Tensor>,
  options: AttentionOptions & { relativeValues?: Tensor | null | undefined },
): Device {
  const { bias, relativeBias, relativeKeys, relativeValues } = checkOptions(op, options);
  const lengthsQ = tensorOf(op, 'lengthsQ', options.lengthsQ);
  const lengthsK = tensorOf(op, 'lengthsK', options.lengthsK);
  return checkDevice(op, own, { bias, relativeBias, relativeKeys, relativeValues, lengthsQ, lengthsK });
}

function tensorOf(op: string, name: string, lengths: Lengths | null | undefined): Tensor | null {
  if (lengths instanceof Tensor) return lengths;
  if (lengths !== null && lengths !== undefined) checkIntegers(op, name, lengths);
  return null;
}

/** Checked inputs, and the operands that the kernels have in common. */
export interface AttentionInputs {
  readonly device: Device;
  readonly q: Tensor;
  readonly k: Tensor;
  readonly bias: Tensor | null;
  readonly relativeBias: Tensor | null;
  /** q times every row of relativeKeys: [rows, heads, 2M + 1]. */
  readonly relativeScores: Tensor | null;
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Of a head. */
  readonly width: number;
  readonly packed: boolean;
  /** Rows of q and k: of each item if padded, of all if packed. */
  readonly rowsQ: number;
  readonly rowsK: number;
  /** The longest item; when packed rows come with lengths in tensors, what the bias allows, or all rows. */
  readonly maxQ: number;
  readonly maxK: number;
  readonly lengthsQ: Tensor | null;
  readonly lengthsK: Tensor | null;
  readonly operands: Readonly<Record<string, Tensor | number | boolean | null>>;
}

/** Checks all but what `checkTensors` did. */
export function checkAttention(
  op: string,
  device: Device,
  q: Tensor,
  k: Tensor,
  options: AttentionOptions,
): AttentionInputs {
  const sizes = divide(op, q, k, options);
  const { batch, heads, kvHeads, width, packed, rowsQ, rowsK } = sizes;
  const { causal = false, lengthsQ = null, bias = null, relativeBias = null, relativeKeys = null } = options;
  const scale = options.scale ?? 1 / Math.sqrt(width);
  checkDTypes(op, { bias, relativeBias, relativeKeys }, 'float32');
  checkNumber(op, 'scale', scale, Number.isFinite, 'a finite number');
  checkOneOf(op, 'causal', causal, [true, false]);

  const known = checkLengths(op, 'lengthsQ', device, lengthsQ, batch, rowsQ, packed);
  const given = options.lengthsK ?? (packed ? lengthsQ : null);
  const isSame = given === lengthsQ && rowsK === rowsQ;
  const knownK = isSame ? known : checkLengths(op, 'lengthsK', device, given, batch, rowsK, packed);

  const [maxQ, maxK] = packed ? [known.longest, knownK.longest] : [rowsQ, rowsK];
  const strides = checkBias(op, bias, { batch, heads, packed, maxQ, maxK });
  if (relativeBias) checkDistances(op, 'relativeBias', relativeBias, 1, heads);
  if (relativeKeys) checkDistances(op, 'relativeKeys', relativeKeys, 0, width);
  const relativeScores = relativeKeys && scoresByDistance(q, relativeKeys, heads);
  const biases = { bias: bias && contiguous(bias), relativeBias: relativeBias && contiguous(relativeBias) };
  // Without spreads, after which V8 takes the slow way: 10 µs for those here.
  return {
    device,
    q,
    k,
    bias: biases.bias,
    relativeBias: biases.relativeBias,
    relativeScores,
    batch,
    heads,
    kvHeads,
    width,
    packed,
    rowsQ,
    rowsK,
    maxQ: packed ? Math.min(maxQ, strides.biasRows || Infinity) : maxQ,
    maxK: packed ? Math.min(maxK, strides.biasCols || Infinity) : maxK,
    lengthsQ: known.tensor,
    lengthsK: knownK.tensor,
    operands: {
      q,
      k,
      bias: biases.bias,
      biasRows: strides.biasRows,
      biasCols: strides.biasCols,
      biasBatch: strides.biasBatch,
      biasHead: strides.biasHead,
      biasRow: strides.biasRow,
      relativeBias: biases.relativeBias,
      distances: relativeBias ? lastOf(relativeBias.shape) : 0,
      relativeScores,
      scoreDistances: relativeKeys ? (relativeKeys.shape[0] as number) : 0,
      lengthsQ: known.tensor,
      lengthsK: knownK.tensor,
      batch,
      heads,
      kvHeads,
      width,
      rowsQ,
      rowsK,
      packed,
      causal,
      scale,
      offsets: packed ? device.empty([2, batch + 1], 'int32') : null,
      qStride: matrixOf(q).stride,
      kStride: matrixOf(k).stride,
    },
  };
}

/** How q and k are divided. */
function divide(op: string, q: Tensor, k: Tensor, { heads = 1, kvHeads = heads, lengthsQ }: AttentionOptions) {
  checkDTypes(op, { q, k }, 'float32');
  checkNumber(op, 'heads', heads, isCount, 'a positive integer');
  const divides = (count: number) => isCount(count) && heads % count === 0;
  checkNumber(op, 'kvHeads', kvHeads, divides, `a divisor of heads (${heads})`);
  const rank = q.shape.length;
  if ((rank !== 2 && rank !== 3) || k.shape.length !== rank)
    throw new ShapeError(`${op}: ${shapesOf({ q, k })}: expected [B, T, width], or [rows, width] with lengths`);
  const width = headWidth(op, 'q', q, heads);
  if (headWidth(op, 'k', k, kvHeads) !== width) {
    const problem = `a head of q (of ${heads}) and of k (of ${kvHeads}) differ in width`;
    throw new ShapeError(`${op}: ${shapesOf({ q, k })}: ${problem}`);
  }
  const packed = rank === 2 && lengthsQ != null;
  const batch = packed ? lengthCount(lengthsQ) : rank === 3 ? (q.shape[0] as number) : 1;
  if (rank === 3 && k.shape[0] !== batch) throw new ShapeError(`${op}: ${shapesOf({ q, k })}: batches differ`);
  const [rowsQ, rowsK] = [q, k].map((tensor) => tensor.shape[rank - 2] as number) as [number, number];
  return { batch, heads, kvHeads, width, packed, rowsQ, rowsK };
}

/** That `table` has an odd number of distances along `axis`, and `other` entries along the other one. */
export function checkDistances(op: string, name: string, table: Tensor, axis: 0 | 1, other: number): void {
  const distances = table.shape[axis] ?? 0;
  const most = table.device.constant('attention.maxDistances');
  checkShape(op, name, table, axis === 0 ? [distances, other] : [other, distances]);
  const isOdd = (count: number) => count % 2 === 1 && count <= most;
  checkNumber(op, `the number of distances in ${name}`, distances, isOdd, `odd (2M + 1), at most ${most}`);
}

/**
 * Each head of each row of q times all of relativeKeys, whatever the keys: only the places of the products depend on
 * those.
 */
function scoresByDistance(q: Tensor, relativeKeys: Tensor, heads: number): Tensor {
  const distances = relativeKeys.shape[0] as number;
  const queries = contiguous(q).reshape(-1, relativeKeys.shape[1] as number);
  return matmul(queries, relativeKeys, { transposeB: true }).reshape(-1, heads * distances);
}

/** The width of a head. */
export function headWidth(op: string, name: string, tensor: Tensor, heads: number): number {
  const width = lastOf(tensor.shape) / heads;
  const most = tensor.device.constant('attention.maxWidth');
  if (!Number.isInteger(width) || width > most) {
    const expected = `a last dimension of ${heads} heads of at most ${most} each`;
    throw new ShapeError(`${op}: ${name} is ${describeShape(tensor.shape)}, expected ${expected}`);
  }
  return width;
}

function shapesOf(tensors: Record<string, Tensor>): string {
  return Object.entries(tensors)
    .map(([name, tensor]) => `${name} is ${describeShape(tensor.shape)}`)
    .join(', ');
}

const lengthCount = (lengths: Lengths) => (lengths instanceof Tensor ? lengths.size : lengths.length);

function checkLengths(
  op: string,
  name: string,
  device: Device,
  lengths: Lengths | null,
  batch: number,
  rows: number,
  packed: boolean,
): { tensor: Tensor | null; longest: number } {
  if (lengths === null) return { tensor: null, longest: rows };
  if (lengths instanceof Tensor) {
    checkDType(op, name, lengths, 'int32');
    checkShape(op, name, lengths, [batch]);
    return { tensor: contiguous(lengths), longest: rows };
  }
  if (lengths.length !== batch) throw new ShapeError(`${op}: ${name} has ${lengths.length} entries, expected ${batch}`);
  let longest = 0;
  let total = 0;
  for (const length of lengths) {
    checkNumber(op, `a length in ${name}`, length, (n) => isWhole(n) && n <= rows, `0 to ${rows}`);
    longest = Math.max(longest, length);
    total += length;
  }
  if (packed && total !== rows) throw new ShapeError(`${op}: ${name} adds up to ${total}, but there are ${rows} rows`);
  return { tensor: device.tensor(Int32Array.from(lengths)), longest };
}

type BiasLimits = Pick<AttentionInputs, 'batch' | 'heads' | 'packed' | 'maxQ' | 'maxK'>;

function checkBias(op: string, bias: Tensor | null, { batch, heads, packed, maxQ, maxK }: BiasLimits) {
  if (bias === null) return { biasRows: 0, biasCols: 0, biasBatch: 0, biasHead: 0, biasRow: 0 };
  const rank = bias.shape.length;
  const [items, itemHeads, rows, cols] = [...Array(Math.max(0, 4 - rank)).fill(1), ...bias.shape] as [
    number,
    number,
    number,
    number,
  ];
  // The lengths of packed items may be known to the kernel only: it checks them against the bias.
  const fits = packed || (rows === maxQ && cols === maxK);
  if (rank < 2 || rank > 4 || !fits || (items !== 1 && items !== batch) || (itemHeads !== 1 && itemHeads !== heads)) {
    const expected: Shape = [batch, heads, maxQ, maxK];
    throw new ShapeError(
      `${op}: bias is ${describeShape(bias.shape)}, expected ${describeShape(expected)}, ` +
        'the first two 1 or left out',
    );
  }
  return {
    biasRows: rows,
    biasCols: cols,
    biasBatch: items === 1 ? 0 : itemHeads * rows * cols,
    biasHead: itemHeads === 1 ? 0 : rows * cols,
    biasRow: cols,
  };
}
