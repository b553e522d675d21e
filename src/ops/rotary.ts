import { differentiable, gradOf } from '../core/autograd.js';
import {
  checkDevice,
  checkDType,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkShape,
  describeShape,
  isWhole,
  matrixOf,
} from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';

export interface RotaryOptions {
  /** Rotates the first `columns` features, whole heads; the others pass unchanged. Default: all. */
  columns?: number | undefined;
  /** A pair: neighbours (`interleaved`, default), or one of each half of a head (`halves`, as in GPT-NeoX and LLaMA). */
  layout?: 'interleaved' | 'halves' | undefined;
}

/**
 * Rotary positions (Su et al. 2021, arXiv 2104.09864): in each head, pairs of features turn by the angles of their
 * position, so that the product of a query and a key depends on how far they are apart.
 *
 * `x` is float32 [..., n], heads of d features side by side; `positions` int32 [...]; `table` float32 [length, 2·d], what
 * `rotations` gives for this layout; the result is float32 [..., n]. A position outside the table fails the run
 * (CommandError) and gives a row of zeros. Gradients go to `x`. Throws ShapeError, DTypeError, ArgumentError.
 */
export function rotary(x: Tensor, positions: Tensor, table: Tensor, options: RotaryOptions = {}): Tensor {
  const device = checkDevice('rotary', { x, positions, table });
  const { rows, cols } = matrixOf(x);
  const { columns = cols, layout = 'interleaved' } = checkOptions('rotary', options);
  checkDType('rotary', 'x', x, 'float32');
  checkDType('rotary', 'positions', positions, 'int32');
  checkShape('rotary', 'positions', positions, x.shape.slice(0, -1));
  checkDType('rotary', 'table', table, 'float32');
  const [tableRows, doubled = 0] = table.shape as [number, number?];
  const width = doubled / 2;
  if (table.shape.length !== 2 || width === 0 || width % 2 !== 0) {
    throw new ShapeError(`rotary: table is ${describeShape(table.shape)}, expected [length, 2·d] for an even d`);
  }
  const isHeads = (value: number) => isWhole(value) && value <= cols && value % width === 0;
  checkNumber('rotary', 'columns', columns, isHeads, `a multiple of ${width} up to ${cols}`);
  checkOneOf('rotary', 'layout', layout, ['interleaved', 'halves']);

  return device.scope(() => {
    const input = contiguous(x);
    const shared = { positions: contiguous(positions), table: contiguous(table) };
    const sizes = { rows, cols, turned: columns, width, tableRows, halves: layout === 'halves' };
    const y = device.empty(x.shape);
    device.emit('rotary', { x: input, ...shared, y, ...sizes, back: 0, accumulate: 0 }, 3 * x.size);
    const backward = (dy: Tensor) => {
      const dx = gradOf(input);
      if (!dx) return;
      const target = { y: dx.tensor, accumulate: dx.accumulate };
      device.emit('rotary', { x: dy, ...shared, ...target, ...sizes, back: 1 }, 3 * x.size);
    };
    return differentiable(y, [input], backward, Object.values(shared));
  });
}
