// Bilinear interpolation of maps in JavaScript's memory.

export type MapSize = readonly [height: number, width: number];

/** Resizes the upper left part of a map by bilinear interpolation, as torch does without aligned corners. */
export function bilinear(map: ArrayLike<number>, [, stride]: MapSize, part: MapSize, size: MapSize): Float32Array {
  const rows = samplesOf(part[0], size[0]);
  const columns = samplesOf(part[1], size[1]);
  const result = new Float32Array(rows.length * columns.length);
  for (const [y, row] of rows.entries())
    for (const [x, column] of columns.entries()) {
      const [upper, lower] = [row.first * stride, row.last * stride];
      const at = (start: number) =>
        (map[start + column.first] as number) * (1 - column.share) +
        (map[start + column.last] as number) * column.share;
      result[y * columns.length + x] = at(upper) * (1 - row.share) + at(lower) * row.share;
    }
  return result;
}

/** The two positions that each of `count` new ones is between, and the share of the second. */
function samplesOf(length: number, count: number) {
  return Array.from({ length: count }, (_, i) => {
    const position = Math.max(0, ((i + 0.5) * length) / count - 0.5);
    const first = Math.min(Math.floor(position), length - 1);
    return { first, last: Math.min(first + 1, length - 1), share: position - first };
  });
}
