// Resizes tables of positions on a grid.

import { checkSizes } from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { type InterpolateOptions, interpolate as resize } from '../ops/interpolate.js';

/** The size of a grid. */
export type GridSize = readonly [height: number, width: number];

/**
 * Resizes a table [height·width, features] from one grid to another: the op `interpolate` in this mode. `options` are
 * further options of the op. The table receives the gradient. Throws ShapeError, DTypeError.
 */
export function interpolate(
  mode: 'bilinear' | 'bicubic',
  table: Tensor,
  from: GridSize,
  to: GridSize,
  options: Pick<InterpolateOptions, 'alignCorners' | 'antialias'> = {},
): Tensor {
  for (const [height, width] of [from, to]) checkSizes(mode, { height, width }, 1);
  const [rows, features] = table.shape as [number, number];
  if (table.shape.length !== 2 || rows !== from[0] * from[1])
    throw new ShapeError(`${mode}: the table has ${rows} rows, expected ${from[0]}·${from[1]}`);
  return table.device.scope(() => {
    const image = resize(table.reshape(1, ...from, features), { size: to, mode, channelsLast: true, ...options });
    return image.reshape(to[0] * to[1], features);
  });
}
