import { differentiable, type GradientTarget, gradOf } from '../core/autograd.js';
import { checkDevice, checkDType, checkOptions, checkShape, describeShape, orNull } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { equal, where } from './binary.js';
import { contiguous } from './contiguous.js';
import { checkHostIds } from './host-ids.js';

export interface EmbeddingOptions {
  /** Multiplies the rows of the table: √d in "Attention Is All You Need", §3.4. Default: 1. */
  scale?: number | undefined;
  /** A second table, float32 [maxLength, d]. Its rows `positionIds` are added without a scale. Default: none. */
  positions?: Tensor | null | undefined;
  /** int32, shaped like `ids`. Required with `positions`. */
  positionIds?: Tensor | null | undefined;
  /** The id whose row of `table` gets no gradient here, like PyTorch's padding_idx. Default: none. */
  paddingId?: number | null | undefined;
}

/** @internal */
export const embeddingOptions = {
  scale: 'number',
  positions: orNull('tensor'),
  positionIds: orNull('tensor'),
  paddingId: orNull('number'),
} as const;

/**
 * Rows of a table: `y[i] = scale · table[ids[i]] + positions[positionIds[i]]`.
 *
 * `table` is float32 [vocabulary, d], `ids` int32 of any shape; the result is float32 [...ids.shape, d]. Gradients are
 * added in the order of the ids. An id outside its table throws ArgumentError if the host wrote it. A computed one
 * gives a row of zeros and fails the run (CommandError) for everyone who uses the device.
 *
 * Throws ShapeError, DTypeError, ArgumentError.
 */
export function embedding(table: Tensor, ids: Tensor, options: EmbeddingOptions = {}): Tensor {
  const { positions, positionIds } = checkOptions('embedding', options, embeddingOptions);
  const device = checkDevice('embedding', { table, ids }, { positions, positionIds });
  // The scope frees contiguous copies of ids after the backward pass.
  return device.scope(() => embeddingOf(device, table, ids, options));
}

function embeddingOf(device: Device, table: Tensor, rawIds: Tensor, options: EmbeddingOptions): Tensor {
  const { scale = 1, positions, paddingId = null } = options;
  checkTable('table', table);
  checkDType('embedding', 'ids', rawIds, 'int32');
  const ids = contiguous(rawIds);
  const [tableRows, cols] = table.shape as [number, number];
  const positionIds = checkPositions(options, ids, cols);
  checkHostIds('embedding', 'ids', ids, tableRows);
  const y = device.empty([...ids.shape, cols]);
  const rowsAndStrides = {
    tableRows,
    tableStride: table.rowStride,
    positionRows: positions?.shape[0] ?? 0,
    positionStride: positions?.rowStride ?? 0,
  };
  device.emit(
    'embedding',
    { table, ids, positions, positionIds, y, count: ids.size, cols, ...rowsAndStrides, scale },
    2 * y.size,
  );
  const backward = (dy: Tensor) => {
    scatterGrad(table, paddingId === null ? dy : withoutRows(dy, ids, paddingId), ids, scale);
    if (positions && positionIds) scatterGrad(positions, dy, positionIds, 1);
  };
  return differentiable(y, [table, positions], backward, [ids, positionIds]);
}

/** @internal Checks the second table, which must have `cols` features. Returns its ids, contiguous. */
export function checkPositions(
  { positions, positionIds: rawPositionIds }: EmbeddingOptions,
  ids: Tensor,
  cols: number,
) {
  if (!positions !== !rawPositionIds) {
    throw new ArgumentError('embedding: positions and positionIds come together or not at all');
  }
  const positionIds = rawPositionIds && contiguous(rawPositionIds);
  if (positions && positionIds) {
    checkTable('positions', positions);
    checkShape('embedding', 'positions', positions, [positions.shape[0] as number, cols]);
    checkDType('embedding', 'positionIds', positionIds, 'int32');
    checkShape('embedding', 'positionIds', positionIds, ids.shape);
    checkHostIds('embedding', 'positionIds', positionIds, positions.shape[0] as number);
  }
  return positionIds;
}

/** Returns `dy` with zeros in rows whose id is `id`. */
function withoutRows(dy: Tensor, ids: Tensor, id: number): Tensor {
  return where(equal(ids.reshape(...ids.shape, 1), id), 0, dy);
}

/** @internal */
export function scatterGrad(table: Tensor, dy: Tensor, ids: Tensor, scale: number): void {
  const dtable = gradOf(table);
  if (dtable) scatterRows(dtable, table.shape[0] as number, dtable.tensor.rowStride, dy, ids, scale);
}

/** Adds `scale`·dy[i] to row ids[i] of a gradient of `rows` rows, `stride` words apart. */
export function scatterRows(
  { tensor, accumulate }: GradientTarget,
  rows: number,
  stride: number,
  dy: Tensor,
  ids: Tensor,
  scale = 1,
): void {
  const cols = dy.size / ids.size;
  const layout = { count: ids.size, cols, dyStride: cols, tableRows: rows, tableStride: stride };
  dy.device.emit('embeddingBackward', { dy, ids, dtable: tensor, ...layout, scale, accumulate }, 2 * dy.size);
}

function checkTable(name: string, table: Tensor): void {
  checkDType('embedding', name, table, 'float32');
  if (table.shape.length !== 2) {
    throw new ShapeError(`embedding: ${name} is ${describeShape(table.shape)}, expected [rows, features]`);
  }
}
