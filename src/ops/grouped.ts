// Products of rows with the matrix of their group. A mixture of experts sorts its tokens by expert (`groupRows`), and
// each expert is one product (`groupedLinear`).

import { differentiable, gradOf } from '../core/autograd.js';
import { checkDevice, checkDType, checkSizes, describeShape } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';

/** Rows sorted by group. All tensors are int32. */
export interface GroupedRows {
  /** Shape [ids]: the row of each id, sorted by group. Ids of the same group keep their order. */
  readonly rows: Tensor;
  /** Shape [ids]: the index of each id in `rows`. */
  readonly inverse: Tensor;
  /** Shape [groups + 1]: the index in `rows` at which each group starts; last, the number of ids. */
  readonly offsets: Tensor;
}

/**
 * Sorts rows by their groups. `ids`: int32 [rows], or [rows, n] if each row belongs to n groups; each from 0 to below
 * `groups`. An id out of range fails the run (CommandError). There is no gradient. Throws DTypeError, ShapeError.
 */
export function groupRows(ids: Tensor, groups: number): GroupedRows {
  const device = checkDevice('groupRows', { ids });
  checkDType('groupRows', 'ids', ids, 'int32');
  checkSizes('groupRows', { groups }, 1);
  const [, perRow = 1, ...rest] = ids.shape;
  if (ids.shape.length === 0 || rest.length > 0)
    throw new ShapeError(`groupRows: ids is ${describeShape(ids.shape)}, expected [rows] or [rows, n]`);
  const count = ids.size;
  const [rows, inverse] = [device.empty([count], 'int32'), device.empty([count], 'int32')];
  const offsets = device.empty([groups + 1], 'int32');
  device.emit('groupRows', { ids: contiguous(ids), rows, places: inverse, offsets, count, perRow, groups });
  return { rows, inverse, offsets };
}

/**
 * Computes x[r] · w[g] for each row r of group g: float32 [rows, depth] → [rows, cols]. `x`: rows sorted by group. `w`:
 * float32 [depth, groups · cols], the matrices of the groups side by side. `offsets`: int32 [groups + 1], as
 * `groupRows` makes them; offsets that do not fit fail the run (CommandError). The bits of a row do not depend on the
 * other rows. Throws ShapeError, DTypeError.
 */
export function groupedLinear(x: Tensor, w: Tensor, offsets: Tensor): Tensor {
  const device = checkDevice('groupedLinear', { x, w, offsets });
  checkDType('groupedLinear', 'x', x, 'float32');
  checkDType('groupedLinear', 'w', w, 'float32');
  checkDType('groupedLinear', 'offsets', offsets, 'int32');
  const { groups, rows, depth, cols } = sizesOf(x, w, offsets);
  return device.scope(() => {
    const [left, right] = [contiguous(x), contiguous(w)];
    const y = device.empty([rows, cols]);
    const grouped = { offsets, rows, groups, wStride: groups * cols };
    const product = { x: left, w: right, y, ...grouped, wStep: cols, depth, cols, transposed: 0, accumulate: 0 };
    device.emit('groupedLinear', product, rows * cols * depth);
    const backward = (dy: Tensor) => {
      const dx = gradOf(left);
      if (dx) {
        const sizes = { ...grouped, wStep: cols, depth: cols, cols: depth, transposed: 1, accumulate: dx.accumulate };
        device.emit('groupedLinear', { x: dy, w: right, y: dx.tensor, ...sizes }, rows * cols * depth);
      }
      const dw = gradOf(right);
      if (dw) {
        const sizes = { ...grouped, depth, cols, accumulate: dw.accumulate };
        device.emit('groupedGradient', { x: left, dy, dw: dw.tensor, ...sizes }, rows * cols * depth);
      }
    };
    return differentiable(y, [left, right], backward, [offsets]);
  });
}

function sizesOf(x: Tensor, w: Tensor, offsets: Tensor) {
  const [rows, depth] = x.shape as readonly [number, number];
  const [inputs, outputs] = w.shape as readonly [number, number];
  const groups = (offsets.shape[0] ?? 0) - 1;
  const fits = x.shape.length === 2 && w.shape.length === 2 && offsets.shape.length === 1 && groups >= 1;
  if (!fits || inputs !== depth || outputs % groups !== 0) {
    const shapes = Object.entries({ x, w, offsets }).map(([name, { shape }]) => `${name} is ${describeShape(shape)}`);
    throw new ShapeError(
      `groupedLinear: ${shapes.join(', ')}, expected [rows, depth], [depth, groups · cols] and [groups + 1]`,
    );
  }
  return { groups, rows, depth, cols: outputs / groups };
}
