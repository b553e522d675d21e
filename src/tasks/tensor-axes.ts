// Reductions and permutations of arrays of numbers in JavaScript's memory.

/** Strides of a contiguous array. */
const stridesOf = (dims: readonly number[]) =>
  dims.map((_, axis) => dims.slice(axis + 1).reduce((product, n) => product * n, 1));

/** Applies a function to the numbers along an axis, or to all of them. `keepdim` keeps the axis with one entry. */
export function reduced(
  data: ArrayLike<number | bigint>,
  dims: readonly number[],
  axis: number | null,
  keepdim: boolean,
  ofNumbers: (numbers: readonly number[]) => number,
): { values: number[]; dims: number[] } {
  if (axis === null) return { values: [ofNumbers(Array.from(data, Number))], dims: keepdim ? dims.map(() => 1) : [] };
  const count = dims[axis] as number;
  const stride = stridesOf(dims)[axis] as number;
  const values = Array.from({ length: data.length / count }, (_, i) => {
    const start = Math.floor(i / stride) * stride * count + (i % stride);
    return ofNumbers(Array.from({ length: count }, (__, j) => Number(data[start + j * stride])));
  });
  const others = dims.filter((_, other) => other !== axis);
  return { values, dims: keepdim ? dims.map((n, other) => (other === axis ? 1 : n)) : others };
}

/** Returns a copy of the array in which dimension `i` is that of `axes[i]`. */
export function permuted<Data extends Float32Array | Int8Array | Uint8Array | BigInt64Array>(
  data: Data,
  dims: readonly number[],
  axes: readonly number[],
): Data {
  const strides = stridesOf(dims);
  const result = data.slice() as Data;
  const sizes = axes.map((axis) => dims[axis] as number);
  const steps = axes.map((axis) => strides[axis] as number);
  for (let to = 0; to < result.length; to++) {
    let [from, rest] = [0, to];
    for (let axis = axes.length - 1; axis >= 0; axis--) {
      const size = sizes[axis] as number;
      from += (rest % size) * (steps[axis] as number);
      rest = Math.floor(rest / size);
    }
    result[to] = data[from] as Data[number];
  }
  return result;
}
