import { differentiable, gradOf } from '../core/autograd.js';
import {
  checkDevice,
  checkDType,
  checkNumber,
  checkOptions,
  checkShape,
  describeShape,
  isWhole,
  matrixOf,
} from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import { scale } from './binary.js';
import { contiguous } from './contiguous.js';
import { concat } from './move.js';

const layouts = ['interleaved', 'halves'] as const;

export interface RotaryOptions {
  /** Number of leading features to rotate, a multiple of `headSize`. The others are unchanged. Default: all. */
  columns?: number | undefined;
  /**
   * Features of a head. The first of them are rotated, as many as the table has. Default: the number of rotated
   * features.
   */
  headSize?: number | undefined;
  /**
   * The features of a pair: neighbours (`interleaved`), or one from each half of the rotated features (`halves`, as in
   * GPT-NeoX and LLaMA). Default: 'interleaved'.
   */
  layout?: (typeof layouts)[number] | undefined;
}

/**
 * Rotary positions (Su et al. 2021, arXiv 2104.09864). In each head, pairs of features are rotated by the angles of
 * their position. The product of a query and a key then depends on their distance.
 *
 * `x` is float32 [..., n], heads of `headSize` features side by side, and may be columns of a wider tensor. `table` is
 * float32 [length, 2·d] for the first d features of each head, made by `rotaryAngles` or `rotaryTable` for this layout.
 * `positions` is int32 [...], rows of the table, or null if the table has one row for each row of `x`, in order. The
 * result is float32 [..., n]. A position outside the table fails the run (CommandError) and gives a row of zeros.
 * Gradients go to `x`. Throws ShapeError, DTypeError, ArgumentError.
 */
export function rotary(x: Tensor, positions: Tensor | null, table: Tensor, options: RotaryOptions = {}): Tensor {
  const device = checkDevice('rotary', positions === null ? { x, table } : { x, positions, table });
  checkOptions('rotary', options, { columns: 'whole', headSize: 'whole', layout: layouts });
  const { rows, cols } = matrixOf(x);
  checkDType('rotary', 'x', x, 'float32');
  checkDType('rotary', 'table', table, 'float32');
  const [tableRows, doubled = 0] = table.shape as [number, number?];
  const width = doubled / 2;
  if (table.shape.length !== 2 || width === 0 || width % 2 !== 0) {
    throw new ShapeError(`rotary: table is ${describeShape(table.shape)}, expected [length, 2·d] for an even d`);
  }
  if (positions !== null) {
    checkDType('rotary', 'positions', positions, 'int32');
    checkShape('rotary', 'positions', positions, x.shape.slice(0, -1));
  } else if (tableRows !== rows) {
    const shapes = `table is ${describeShape(table.shape)}, x is ${describeShape(x.shape)}`;
    throw new ShapeError(`rotary: ${shapes}: without positions the table must have a row for each of the ${rows} of x`);
  }
  const { columns = cols, headSize = width, layout = 'interleaved' } = options;
  const isHead = (value: number) => isWhole(value) && value >= width && value <= cols;
  checkNumber('rotary', 'headSize', headSize, isHead, `a whole number from ${width} to ${cols}`);
  const isHeads = (value: number) => isWhole(value) && value <= cols && value % headSize === 0;
  checkNumber('rotary', 'columns', columns, isHeads, `a multiple of ${headSize} up to ${cols}`);

  return device.scope(() => {
    const positionRows = positions && contiguous(positions);
    const angles = contiguous(table);
    const shared = {
      positions: positionRows,
      table: angles,
      rows,
      cols,
      rotated: columns,
      head: headSize,
      width,
      tableRows,
    };
    const rotate = (from: Tensor, to: Tensor, back: boolean, accumulate: number) => {
      const strides = { x: from, y: to, xStride: from.rowStride, yStride: to.rowStride };
      const operands = Object.assign(strides, shared, { halves: layout === 'halves', back, accumulate });
      device.emit('rotary', operands, 3 * x.size);
    };
    const y = device.empty(x.shape);
    rotate(x, y, false, 0);
    const backward = (dy: Tensor) => {
      const dx = gradOf(x);
      if (dx) rotate(dy, dx.tensor, true, dx.accumulate);
    };
    return differentiable(y, [x], backward, [positionRows, angles]);
  });
}

/**
 * The table for `rotary`, from cosines and sines as in ONNX and Hugging Face, one for each pair. `cos` and `sin` are
 * float32 [..., d / 2] with any leading dimensions, `length` rows in all; the result is [length, 2·d], for this layout.
 * Throws ShapeError, DTypeError, ArgumentError.
 */
export function rotaryTable(cos: Tensor, sin: Tensor, options: Pick<RotaryOptions, 'layout'> = {}): Tensor {
  const device = checkDevice('rotaryTable', { cos, sin });
  const { layout = 'interleaved' } = checkOptions('rotaryTable', options, { layout: layouts });
  checkDType('rotaryTable', 'cos', cos, 'float32');
  checkDType('rotaryTable', 'sin', sin, 'float32');
  checkShape('rotaryTable', 'sin', sin, cos.shape);
  const pairs = lastOf(cos.shape);
  const length = cos.size / pairs;
  // The two features of a pair are adjacent, or half of the rotated features apart.
  const spread = (first: Tensor, second: Tensor) => {
    const shape = layout === 'halves' ? [length, pairs] : [length, pairs, 1];
    return concat([contiguous(first).reshape(shape), contiguous(second).reshape(shape)], -1).reshape(length, 2 * pairs);
  };
  return device.noGrad(() => device.scope(() => concat([spread(cos, cos), spread(scale(sin, -1), sin)], -1)));
}
