import type { Tensor } from '../core/tensor.js';
import { gather } from '../ops/move.js';
import type { GridSize } from './interpolation.js';

/**
 * Groups patches in square blocks of side × side. `x`: float32 [N, d], the patches of each image row by row. Returns
 * [blocks, side², d]; blocks, and patches in a block, are row by row. `grids`: rows and columns of each image.
 * Incomplete blocks at the right and lower edges are left out.
 */
export function patchBlocks(x: Tensor, grids: readonly GridSize[], side: number): Tensor {
  const order: number[] = [];
  let first = 0;
  for (const [height, width] of grids) {
    for (let top = 0; top + side <= height; top += side)
      for (let left = 0; left + side <= width; left += side)
        for (let row = top; row < top + side; row++)
          for (let column = left; column < left + side; column++) order.push(first + row * width + column);
    first += height * width;
  }
  return gather(x, x.device.tensor(Int32Array.from(order))).reshape(order.length / side ** 2, side ** 2, -1);
}
