import { differentiable } from '../core/autograd.js';
import { checkDevice, checkDType, checkOptions } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';
import { checkPositions, type EmbeddingOptions, embeddingOptions, scatterGrad } from './embedding.js';
import { checkHostIds } from './host-ids.js';
import type { PackedMatrix } from './packed.js';

/**
 * Like `embedding`, with a packed table [rows, features], which gets no gradient; `positions` may get one. Throws
 * ShapeError, DTypeError, ArgumentError.
 */
export function quantizedEmbedding(table: PackedMatrix, rawIds: Tensor, options: EmbeddingOptions = {}): Tensor {
  const { positions, positionIds: rawPositionIds } = checkOptions('embedding', options, embeddingOptions);
  const device = checkDevice('embedding', { ids: rawIds }, { positions, positionIds: rawPositionIds });
  table.words.assertUsable('embedding: table');
  checkDType('embedding', 'ids', rawIds, 'int32');
  const { scale = 1 } = options;
  return device.scope(() => {
    const ids = contiguous(rawIds);
    const positionIds = checkPositions(options, ids, table.cols);
    checkHostIds('embedding', 'ids', ids, table.rows);
    const y = device.empty([...ids.shape, table.cols]);
    const sizes = { count: ids.size, cols: table.cols, tableRows: table.rows, scale };
    const rest = {
      format: table.format.code,
      positionRows: positions?.shape[0] ?? 0,
      positionStride: positions?.rowStride ?? 0,
    };
    const operands = { table: table.words, ids, positions, positionIds, y, ...sizes, ...rest };
    device.emit('quantizedEmbedding', operands, 2 * y.size);
    const backward = (dy: Tensor) => {
      if (positions && positionIds) scatterGrad(positions, dy, positionIds, 1);
    };
    return differentiable(y, [positions], backward, [ids, positionIds]);
  });
}
