// The assignment problem, as scipy's linear_sum_assignment solves it, so that ties are resolved alike.

/**
 * Returns min(rows, columns) pairs [row, column] of least total cost, by row. `costs` has `rows` rows of `columns`
 * finite numbers. Shortest augmenting paths (Crouse 2016, "On implementing 2D rectangular assignment algorithms").
 */
export function assign(costs: Float64Array, rows: number, columns: number): [row: number, column: number][] {
  if (rows === 0 || columns === 0) return [];
  if (columns < rows) {
    const transposed = Float64Array.from({ length: costs.length }, (_, i) => {
      return costs[(i % rows) * columns + Math.floor(i / rows)] as number;
    });
    const pairs = assign(transposed, columns, rows).map(([column, row]): [number, number] => [row, column]);
    return pairs.sort(([a], [b]) => a - b);
  }
  const state: Search = {
    costs,
    columns,
    byRow: new Float64Array(rows),
    byColumn: new Float64Array(columns),
    rowOf: new Int32Array(columns).fill(-1),
    pathRow: new Int32Array(columns),
  };
  const columnOf = new Int32Array(rows).fill(-1);
  for (let row = 0; row < rows; row++) {
    let column = augment(state, row, columnOf);
    for (let current = -1; current !== row; ) {
      current = state.pathRow[column] as number;
      state.rowOf[column] = current;
      const next = columnOf[current] as number;
      columnOf[current] = column;
      column = next;
    }
  }
  return Array.from(columnOf, (column, row) => [row, column]);
}

interface Search {
  readonly costs: Float64Array;
  readonly columns: number;
  /** Potentials of rows and columns. */
  readonly byRow: Float64Array;
  readonly byColumn: Float64Array;
  /** The row that has a column; -1 for none. */
  readonly rowOf: Int32Array;
  /** The row before a column on the shortest path. */
  readonly pathRow: Int32Array;
}

/** Returns the free column at the end of the shortest path from a row, and updates the potentials. */
function augment({ costs, columns, byRow, byColumn, rowOf, pathRow }: Search, start: number, columnOf: Int32Array) {
  const shortest = new Float64Array(columns).fill(Number.POSITIVE_INFINITY);
  // In reverse order, equal costs give the identity, as in scipy.
  const remaining = Int32Array.from({ length: columns }, (_, i) => columns - 1 - i);
  const [seenRows, seenColumns]: [number[], number[]] = [[], []];
  let [row, left, length] = [start, columns, 0];
  for (;;) {
    seenRows.push(row);
    let [bestIndex, lowest] = [-1, Number.POSITIVE_INFINITY];
    for (let i = 0; i < left; i++) {
      const column = remaining[i] as number;
      const cost = costs[row * columns + column] as number;
      const reduced = length + cost - (byRow[row] as number) - (byColumn[column] as number);
      if (reduced < (shortest[column] as number)) {
        shortest[column] = reduced;
        pathRow[column] = row;
      }
      // Among equal columns, a free one ends the path.
      const distance = shortest[column] as number;
      if (distance < lowest || (distance === lowest && rowOf[column] === -1)) [bestIndex, lowest] = [i, distance];
    }
    length = lowest;
    const column = remaining[bestIndex] as number;
    seenColumns.push(column);
    if (rowOf[column] === -1) break;
    row = rowOf[column] as number;
    remaining[bestIndex] = remaining[--left] as number;
  }
  byRow[start] = (byRow[start] as number) + length;
  for (const seen of seenRows) {
    if (seen !== start) byRow[seen] = (byRow[seen] as number) + length - (shortest[columnOf[seen] as number] as number);
  }
  for (const seen of seenColumns) byColumn[seen] = (byColumn[seen] as number) - (length - (shortest[seen] as number));
  return seenColumns.at(-1) as number;
}
