// Checks and operands that `attention` and `attentionWeights` share.

import { checkDevice, checkDType, checkNumber, checkOptions, describeShape, matrixOf } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import { type Biases, checkBiases } from './attention-biases.js';
import { checkLengths, lengthCount, lengthsTensor } from './attention-lengths.js';
import type { AttentionOptions, AttentionValueOptions } from './attention-options.js';
import { type CacheType, cacheWords } from './kv-cache.js';

/**
 * Checks the options by `kinds`, and that all given tensors are on one device, which it returns. `required`: the
 * tensors that the op has besides its options.
 */
export function checkTensors<Options extends AttentionOptions>(
  op: string,
  required: Record<string, Tensor>,
  options: Options,
  kinds: Parameters<typeof checkOptions<Options>>[2],
): Device {
  checkOptions(op, options, kinds);
  const { bias, mask, relativeBias, relativeKeys, relativeValues }: AttentionValueOptions = options;
  const lengthsQ = lengthsTensor(op, 'lengthsQ', options.lengthsQ);
  const lengthsK = lengthsTensor(op, 'lengthsK', options.lengthsK);
  return checkDevice(op, required, { bias, mask, relativeBias, relativeKeys, relativeValues, lengthsQ, lengthsK });
}

/** Checked inputs. */
export interface AttentionInputs {
  readonly device: Device;
  readonly q: Tensor;
  readonly k: Tensor;
  readonly sizes: Sizes;
  readonly lengths: LengthsOfItems;
  readonly sight: VisibleRange;
  readonly biases: Biases;
  readonly factors: { readonly scale: number; readonly softcap: number };
  /**
   * Length of the longest item. If lengths of packed rows are tensors: the length that biases and masks allow, or the
   * number of all rows.
   */
  readonly maxQ: number;
  readonly maxK: number;
}

/** Checks everything that `checkTensors` does not check. */
export function checkAttention(
  op: string,
  device: Device,
  q: Tensor,
  k: Tensor,
  options: AttentionOptions,
  type: CacheType = 'float32',
): AttentionInputs {
  const sizes = divide(op, q, k, options, type);
  const { batch, heads, width, packed } = sizes;
  const { lengths, maxQ, maxK } = checkItems(op, device, sizes, options);
  const biases = checkBiases(op, options, q, width, { batch, heads, maxQ, maxK, packed });
  const { bias, biasGrid, mask, maskGrid } = biases;
  const max = (longest: number, ...limits: number[]) => {
    return packed ? Math.min(longest, ...limits.filter((limit) => limit > 1)) : longest;
  };
  return {
    device,
    q,
    k,
    sizes,
    lengths,
    sight: visibleRangeOf(op, options),
    biases,
    factors: { scale: options.scale ?? 1 / Math.sqrt(width), softcap: options.softcap ?? 0 },
    maxQ: bias || mask ? max(maxQ, biasGrid.rows, maskGrid.rows) : maxQ,
    maxK: bias || mask ? max(maxK, biasGrid.cols, maskGrid.cols) : maxK,
  };
}

/**
 * Returns the operands that all kernels have. `v` is null for kernels without values. `scoreDistances`: number of
 * distances in relativeKeys or relativeValues; 0 if there are none.
 */
export function operandsOf(
  { q, k, sizes, lengths, sight, biases, factors }: AttentionInputs,
  v: Tensor | null,
  valueWidth: number,
  scoreDistances: number,
) {
  const { distances, scoreDistances: _, ...rest } = biases;
  return {
    q,
    k,
    v,
    sizes: { valueWidth, distances, scoreDistances, ...sizes },
    strides: { q: matrixOf(q).stride, k: matrixOf(k).stride, v: v === null ? 0 : matrixOf(v).stride },
    sight,
    factors,
    ...lengths,
    ...rest,
  };
}

interface Sizes {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Number of features of a head. */
  readonly width: number;
  readonly packed: boolean;
  /** Storage type of k and v. */
  readonly cells: number;
  /** `rowsQ` and `rowsK`: number of rows of each item if padded, of all items if packed. */
  readonly rowsQ: number;
  readonly rowsK: number;
}

/** Reads batch, heads and rows from the shapes of q and k. */
function divide(
  op: string,
  q: Tensor,
  k: Tensor,
  { heads = 1, kvHeads = heads, lengthsQ }: AttentionOptions,
  type: CacheType,
): Sizes {
  checkDType(op, 'q', q, 'float32');
  checkDType(op, 'k', k, type === 'float32' ? 'float32' : 'int32');
  checkNumber(op, 'kvHeads', kvHeads, (count) => heads % count === 0, `a divisor of heads (${heads})`);
  const { length: rank } = q.shape;
  if ((rank !== 2 && rank !== 3) || k.shape.length !== rank)
    throw new ShapeError(`${op}: ${shapesOf({ q, k })}: expected [B, T, width], or [rows, width] with lengths`);
  const width = headWidth(op, 'q', q, heads);
  if (headWidth(op, 'k', k, kvHeads) !== cacheWords(q.device, { type, headSize: width })) {
    const problem = `a head of q (of ${heads}) and of k (of ${kvHeads}) differ in width`;
    throw new ShapeError(`${op}: ${shapesOf({ q, k })}: ${problem}`);
  }
  const packed = rank === 2 && lengthsQ !== null && lengthsQ !== undefined;
  const batch = packed ? lengthCount(lengthsQ) : rank === 3 ? (q.shape[0] as number) : 1;
  if (rank === 3 && k.shape[0] !== batch) throw new ShapeError(`${op}: ${shapesOf({ q, k })}: batches differ`);
  const [rowsQ, rowsK] = [q, k].map((tensor) => tensor.shape[rank - 2] as number) as [number, number];
  const cells = q.device.constant(`cache.${type}`);
  return { batch, heads, kvHeads, width, packed, cells, rowsQ, rowsK };
}

/** Returns the number of features of a head. Throws ShapeError. */
export function headWidth(op: string, name: string, tensor: Tensor, heads: number): number {
  const width = lastOf(tensor.shape) / heads;
  const max = tensor.device.constant('attention.maxWidth');
  if (!Number.isInteger(width) || width > max) {
    const expected = `a last dimension of ${heads} heads of at most ${max} each`;
    throw new ShapeError(`${op}: ${name} is ${describeShape(tensor.shape)}, expected ${expected}`);
  }
  return width;
}

function shapesOf(tensors: Record<string, Tensor>): string {
  return Object.entries(tensors)
    .map(([name, tensor]) => `${name} is ${describeShape(tensor.shape)}`)
    .join(', ');
}

interface LengthsOfItems {
  readonly lengthsQ: Tensor | null;
  readonly lengthsK: Tensor | null;
  /** Memory in which the kernel computes the first row of each packed item. Null if padded. */
  readonly offsets: Tensor | null;
}

/** Checks the lengths of all items, and returns the longest. */
function checkItems(op: string, device: Device, sizes: Sizes, options: AttentionOptions) {
  const { batch, packed, rowsQ, rowsK } = sizes;
  const lengthsQ = options.lengthsQ ?? null;
  const lengthsK = options.lengthsK ?? (packed ? lengthsQ : null);
  const queries = checkLengths(op, 'lengthsQ', device, lengthsQ, { batch, rows: rowsQ, packed });
  const keys =
    lengthsK === lengthsQ && rowsK === rowsQ
      ? queries
      : checkLengths(op, 'lengthsK', device, lengthsK, { batch, rows: rowsK, packed });
  const lengths: LengthsOfItems = {
    lengthsQ: queries.tensor,
    lengthsK: keys.tensor,
    offsets: packed ? device.empty([2, batch + 1], 'int32') : null,
  };
  return { lengths, maxQ: packed ? queries.longest : rowsQ, maxK: packed ? keys.longest : rowsK };
}

type VisibleRange = {
  /**
   * True if the position of the last query is that of the last key. Otherwise the position of the first query is
   * `offset`.
   */
  readonly lowerRight: boolean;
  readonly offset: number;
  /** `left` and `right`: number of keys before and after its own position to which a query attends; -1: no limit. */
  readonly left: number;
  readonly right: number;
};

/** Returns the keys to which a query attends. */
function visibleRangeOf(op: string, { causal = false, window, offset }: AttentionOptions): VisibleRange {
  if (offset !== undefined && typeof causal === 'string')
    throw new ArgumentError(`${op}: causal is '${causal}' and offset is ${offset}, expected one of them: causal: true`);
  const [left, right] = window ?? [-1, -1];
  const limited = causal !== false || left >= 0 || right >= 0;
  return {
    lowerRight: limited && causal !== 'upper-left' && offset === undefined,
    offset: offset ?? 0,
    left,
    right: causal === false ? right : 0,
  };
}

/** Returns the number of pairs of a query and a key in one head. It is approximate if the lengths are tensors. */
export function countProducts({ sizes, sight }: AttentionInputs): number {
  const { batch, heads, rowsQ, rowsK, packed } = sizes;
  const pairs = packed ? (rowsQ * rowsK) / batch : batch * rowsQ * rowsK;
  const seen = (heads * pairs) / (sight.right === 0 ? 2 : 1);
  if (sight.left < 0 || sight.right < 0) return seen;
  return Math.min(seen, heads * (packed ? rowsQ : batch * rowsQ) * (sight.left + 1 + sight.right));
}
