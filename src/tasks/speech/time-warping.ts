// Alignment of tokens with sound: the cross-attention of some heads, made monotonic by dynamic time warping.

/** Numbers between two pauses. */
const NUMBERS = 1 << 13;

/**
 * Averages attention maps of heads, [heads, rows, width], whose first `columns` columns count. Before that, each column
 * of a head is normalized to mean 0 and deviation 1 over the rows. Then it is smoothed by the median of `filter`
 * neighbours in time. Pauses after every few milliseconds.
 */
export function* alignmentMatrix(
  weights: Float32Array,
  [heads, rows, width]: readonly [number, number, number],
  columns: number,
  filter: number,
): Generator<undefined, Float64Array> {
  const pause = pausesOf(NUMBERS);
  const sums = new Float64Array(rows * columns);
  const normalized = new Float64Array(rows * columns);
  for (let head = 0; head < heads; head++) {
    const map = weights.subarray(head * rows * width);
    for (let column = 0; column < columns; column++) {
      if (pause(rows)) yield;
      const { mean, scale } = momentsOf(map, column, rows, width);
      for (let row = 0; row < rows; row++)
        normalized[row * columns + column] = ((map[row * width + column] as number) - mean) * scale;
    }
    for (let row = 0; row < rows; row++) {
      if (pause(columns)) yield;
      const line = normalized.subarray(row * columns, (row + 1) * columns);
      const smooth = medianFilter(line, filter);
      for (let column = 0; column < columns; column++)
        sums[row * columns + column] = (sums[row * columns + column] as number) + (smooth[column] as number) / heads;
    }
  }
  return sums;
}

/** Returns the mean of a column of [rows, width], and 1 / its deviation; 0 if all values are equal. */
function momentsOf(map: Float32Array, column: number, rows: number, width: number): { mean: number; scale: number } {
  let mean = 0;
  for (let row = 0; row < rows; row++) mean += (map[row * width + column] as number) / rows;
  let variance = 0;
  for (let row = 0; row < rows; row++) variance += ((map[row * width + column] as number) - mean) ** 2 / rows;
  return { mean, scale: variance > 0 ? 1 / Math.sqrt(variance) : 0 };
}

/**
 * Replaces each value by the median of `width` neighbours, an odd number. The ends are mirrored. A line that is not
 * longer than width / 2 stays unchanged.
 */
function medianFilter(line: Float64Array, width: number): Float64Array {
  const half = (width - 1) / 2;
  const last = line.length - 1;
  if (last < half) return line;
  const around = new Float64Array(width);
  return line.map((_, i) => {
    for (let k = 0; k < width; k++) {
      const index = Math.abs(i + k - half);
      around[k] = line[index > last ? 2 * last - index : index] as number;
    }
    return around.sort()[half] as number;
  });
}

/** Returns a function that adds up numbers, and returns true each time that their sum has grown by `step`. */
function pausesOf(step: number): (count: number) => boolean {
  let open = 0;
  return (count) => {
    open += count;
    if (open < step) return false;
    open = 0;
    return true;
  };
}

/**
 * Dynamic time warping (Sakoe and Chiba, 1978). Finds the path from the first to the last element of a matrix with the
 * greatest sum. Each step goes down, to the right, or both. Returns the column at which the path enters each row. Sums
 * are rounded to float32, as in transformers. Pauses after every few milliseconds.
 */
export function* warp(matrix: Float64Array, rows: number, columns: number): Generator<undefined, Int32Array> {
  const pause = pausesOf(8 * NUMBERS);
  const width = columns + 1;
  const costs = new Float32Array((rows + 1) * width).fill(Number.POSITIVE_INFINITY);
  const steps = new Uint8Array((rows + 1) * width); // DOWN_RIGHT, DOWN or RIGHT
  costs[0] = 0;
  for (let row = 1; row <= rows; row++) {
    if (pause(columns)) yield;
    for (let column = 1; column <= columns; column++) {
      const to = row * width + column;
      const both = costs[to - width - 1] as number;
      const down = costs[to - width] as number;
      const right = costs[to - 1] as number;
      const step = cheapest(both, down, right);
      const before = step === DOWN_RIGHT ? both : step === DOWN ? down : right;
      costs[to] = before - (matrix[(row - 1) * columns + column - 1] as number);
      steps[to] = step;
    }
  }
  return columnsOf(steps, rows, columns);
}

/** Returns the step with the lowest cost before it. If costs are equal, RIGHT. */
function cheapest(both: number, down: number, right: number): number {
  if (both < down && both < right) return DOWN_RIGHT;
  return down < both && down < right ? DOWN : RIGHT;
}

/** Follows the steps from the last element to the first. Returns the column at which the path enters each row. */
function columnsOf(steps: Uint8Array, rows: number, columns: number): Int32Array {
  const entered = new Int32Array(rows);
  let [row, column] = [rows, columns];
  while (row > 0) {
    entered[row - 1] = Math.max(0, column - 1);
    const step = column === 0 ? DOWN : (steps[row * (columns + 1) + column] as number);
    if (step !== RIGHT) row--;
    if (step !== DOWN) column--;
  }
  return entered;
}

const DOWN_RIGHT = 0;
const DOWN = 1;
const RIGHT = 2;
