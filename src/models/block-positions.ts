import type { GridSize } from '../nn/interpolation.js';

/** Row and column of each cell of a grid, in row-major square blocks with this side. */
export function* blockPositions(
  [height, width]: GridSize,
  side: number,
): Generator<readonly [row: number, column: number]> {
  for (let top = 0; top < height; top += side)
    for (let left = 0; left < width; left += side)
      for (let row = top; row < top + side; row++)
        for (let column = left; column < left + side; column++) yield [row, column];
}
