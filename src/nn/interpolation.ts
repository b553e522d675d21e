// Resizes tables of positions on a grid.

import { checkSizes } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { contiguous } from '../ops/contiguous.js';
import { matmul } from '../ops/matmul.js';

/** The size of a grid. */
export type Grid = readonly [height: number, width: number];

/** Keys' cubic kernel with a = -3/4 (1981), as in OpenCV and PyTorch, for distances below 2. */
function cubic(distance: number): number {
  const [a, x] = [-0.75, Math.abs(distance)];
  return x <= 1 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((x - 5) * x + 8) * x * a - 4 * a;
}

/** The kernel of linear interpolation, for distances below 1. */
function triangle(distance: number): number {
  return 1 - Math.abs(distance);
}

/** An interpolation kernel in one dimension. */
interface Kernel {
  /** Number of taps on each side of a place. */
  readonly reach: number;
  /** The weight of a tap at this distance. */
  readonly weight: (distance: number) => number;
  /** True if places before the first number are moved to it. */
  readonly clamps: boolean;
}

const kernels = {
  bilinear: { reach: 1, weight: triangle, clamps: true },
  bicubic: { reach: 2, weight: cubic, clamps: false },
} as const satisfies Record<string, Kernel>;

/** The matrix [to, from] that interpolates a row of numbers. */
function weights(device: Device, from: number, to: number, kernel: Kernel, antialias: boolean): Tensor {
  const values = antialias ? stretched(from, to, kernel) : clamped(from, to, kernel);
  return device.tensor(values, [to, from]);
}

/** Weights whose kernel covers `from / to` numbers, at least one, and whose sum is 1. */
function stretched(from: number, to: number, { reach, weight }: Kernel): Float32Array {
  const values = new Float32Array(to * from);
  const width = Math.max(from / to, 1);
  for (let i = 0; i < to; i++) {
    const at = (from / to) * (i + 0.5) - 0.5;
    const taps = Array.from({ length: from }, (_, tap) => {
      const distance = (at - tap) / width;
      return Math.abs(distance) < reach ? weight(distance) : 0;
    });
    const sum = taps.reduce((total, tap) => total + tap, 0);
    values.set(
      taps.map((tap) => tap / sum),
      i * from,
    );
  }
  return values;
}

/** Weights of the nearest numbers. The end values continue beyond the ends. */
function clamped(from: number, to: number, { reach, weight, clamps }: Kernel): Float32Array {
  const values = new Float32Array(to * from);
  for (let i = 0; i < to; i++) {
    const place = (from / to) * (i + 0.5) - 0.5;
    const at = clamps ? Math.max(0, place) : place;
    const first = Math.floor(at) + 1 - reach;
    for (let tap = first; tap < first + 2 * reach; tap++) {
      const column = i * from + Math.min(from - 1, Math.max(0, tap));
      values[column] = (values[column] as number) + weight(at - tap);
    }
  }
  return values;
}

/**
 * Resizes a table [height·width, features] from one grid to another: torch's `interpolate` in this mode, with
 * align_corners false. `antialias` stretches the kernel when the grid becomes smaller. The table receives the gradient. Throws ShapeError, DTypeError.
 */
export function interpolate(
  mode: keyof typeof kernels,
  table: Tensor,
  from: Grid,
  to: Grid,
  { antialias = false }: { readonly antialias?: boolean | undefined } = {},
): Tensor {
  for (const [height, width] of [from, to]) checkSizes(mode, { height, width }, 1);
  const [rows, features] = table.shape as [number, number];
  if (table.shape.length !== 2 || rows !== from[0] * from[1])
    throw new ShapeError(`${mode}: the table has ${rows} rows, expected ${from[0]}·${from[1]}`);
  const { device } = table;
  const matrix = (axis: 0 | 1) => weights(device, from[axis], to[axis], kernels[mode], antialias);
  return device.scope(() => {
    const tall = matmul(matrix(0), contiguous(table).reshape(from[0], from[1] * features)); // [to[0], from[1]·features]
    const wide = matmul(matrix(1), tall.reshape(to[0], from[1], features)); // [to[0], to[1], features]
    return wide.reshape(to[0] * to[1], features);
  });
}
