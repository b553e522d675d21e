// Attention of one layer to the patches of a picture or a spectrogram.

/** Attention within windows of `size` × `size` patches. The first window begins `shift` patches from the corner. */
export interface Windows {
  readonly size: number;
  readonly shift: number;
  /** Rows and columns of the patches that the layer reads. */
  readonly side: number;
  /**
   * Sections of time, one below the other, into which a spectrogram is folded, low tones first. Null: the patches are
   * those of a picture.
   */
  readonly sections: number | null;
}

export interface PatchMap {
  readonly kind: 'encoder' | 'cross';
  readonly layer: number;
  readonly heads: number;
  readonly queries: number;
  /** Number of keys that are not patches, which come first: the class token and registers. */
  readonly extra: number;
  /** Rows and columns of the patches as they are drawn. Queries and keys are in this order. */
  readonly rows: number;
  readonly columns: number;
  /** Null if patches attend to all patches. */
  readonly windows: Windows | null;
  /** [heads, queries, extra + rows · columns], or [windows, heads, size², size²] */
  readonly weights: Float32Array;
}

/** Weights of a query over the patches, in one head counted from 1, or the mean of all heads. */
export function weightsOf(map: PatchMap, head: number, query: number): Float32Array {
  const { heads, queries, extra, rows, columns, weights } = map;
  const count = rows * columns;
  const sums = new Float32Array(count);
  const some = head > 0 ? [head - 1] : Array.from({ length: heads }, (_, i) => i);
  if (map.windows) return inWindow(map, map.windows, some, query);
  for (const each of some) {
    const from = (each * queries + query) * (extra + count) + extra;
    for (let i = 0; i < count; i++) sums[i] = (sums[i] as number) + (weights[from + i] as number) / some.length;
  }
  return sums;
}

/** The weights of a patch in its window, and 0 in all others. Windows may exceed the patches, and wrap around. */
function inWindow(map: PatchMap, windows: Windows, heads: readonly number[], query: number): Float32Array {
  const { size, shift, side } = windows;
  const { weights } = map;
  const around = Math.ceil(side / size) * size;
  const at = readAt(map, windows, query);
  const [down, right] = [(at.row - shift + around) % around, (at.column - shift + around) % around];
  const [top, left] = [down - (down % size), right - (right % size)];
  const window = ((top / size) * around) / size + left / size;
  const inside = (down - top) * size + right - left;
  const area = size * size;
  const sums = new Float32Array(map.rows * map.columns);
  for (const drawn of sums.keys()) {
    const { row, column } = readAt(map, windows, drawn);
    const [below, beside] = [(row - shift + around) % around, (column - shift + around) % around];
    const [i, j] = [below - top, beside - left];
    if (i < 0 || j < 0 || i >= size || j >= size) continue;
    for (const head of heads) {
      const from = ((window * map.heads + head) * area + inside) * area;
      sums[drawn] = (sums[drawn] as number) + (weights[from + i * size + j] as number) / heads.length;
    }
  }
  return sums;
}

/** Place in the layer's square of the patch that is drawn at an index. */
function readAt({ rows, columns }: PatchMap, { side, sections }: Windows, index: number) {
  const [row, column] = [Math.floor(index / columns), index % columns];
  if (sections === null) return { row, column };
  return { row: Math.floor(column / side) * rows + rows - 1 - row, column: column % side };
}

/** Weights of a layer as `computedAttention` returns them: [windows, heads, T, T]. */
export interface LayerWeights {
  /** Index of the attention in its pass. */
  readonly layer: number;
  readonly shape: readonly number[];
  readonly weights: Float32Array;
}

/** Input of layers: a square of `side` × `side` patches, which each further stage halves. */
export interface Square {
  readonly side: number;
  /** True if every second layer of a stage shifts its windows (Swin). */
  readonly shifts: boolean;
  readonly sections: number | null;
}

export function mapsOfLayers(layers: readonly LayerWeights[], square: Square): PatchMap[] {
  const { shifts, sections } = square;
  let [side, inStage] = [square.side, 0];
  return layers.map(({ layer, shape, weights }) => {
    const [count, heads, area] = shape as [number, number, number];
    const size = Math.sqrt(area);
    if (shifts && Math.ceil(side / size) ** 2 > count) [side, inStage] = [side / 2, 0];
    const isShifted = shifts && inStage++ % 2 === 1 && side > size;
    const windows = { size, side, sections, shift: isShifted ? Math.floor(size / 2) : 0 };
    const [rows, columns] = [side / (sections ?? 1), side * (sections ?? 1)];
    return { kind: 'encoder', layer, heads, queries: side * side, extra: 0, rows, columns, windows, weights };
  });
}
