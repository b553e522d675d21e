/** Arrays of the references: everything in float64, as plainly as the formulas read. */
export interface Reals<Data extends Float64Array | Int32Array = Float64Array> {
  readonly shape: readonly number[];
  readonly data: Data;
}

export const lastOf = (shape: readonly number[]): number => shape[shape.length - 1] ?? 1;

/** An array of the shape whose i-th value is `f(i)`. */
export function build(shape: readonly number[], f: (i: number) => number): Reals {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  return { shape, data: Float64Array.from({ length: size }, (_, i) => f(i)) };
}

/** Applies `f` to each row (last dimension) of `x`; `f` returns the row that takes its place. */
export function eachRow(x: Reals, f: (row: Float64Array, r: number) => ArrayLike<number>): Reals {
  const cols = lastOf(x.shape);
  const data = new Float64Array(x.data.length);
  for (let r = 0; r * cols < data.length; r++) data.set(f(x.data.subarray(r * cols, (r + 1) * cols), r), r * cols);
  return { shape: x.shape, data };
}

export function sum(values: ArrayLike<number>, f: (value: number, i: number) => number = (value) => value): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += f(values[i]!, i);
  return total;
}

/** NumPy's broadcasting: the shape of both together. */
export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  const at = (shape: readonly number[], i: number) => shape[i - rank + shape.length] ?? 1;
  return Array.from({ length: rank }, (_, i) => (at(a, i) === 1 ? at(b, i) : at(a, i)));
}

/** Returns the index in an array of shape `from` of the element at index `i` of the broadcast shape. */
export function broadcastIndex(from: readonly number[], to: readonly number[], i: number): number {
  let index = 0;
  let stride = 1;
  let rest = i;
  for (let d = to.length - 1; d >= 0; d--) {
    const dimension = from[d - to.length + from.length] ?? 1;
    if (dimension > 1) index += (rest % to[d]!) * stride;
    stride *= dimension;
    rest = Math.floor(rest / to[d]!);
  }
  return index;
}

/** f(a, b) for each pair of elements, with broadcasting. */
export function elementwise(a: Reals, b: Reals, f: (a: number, b: number) => number): Reals {
  const shape = broadcastShape(a.shape, b.shape);
  return build(shape, (i) => f(a.data[broadcastIndex(a.shape, shape, i)]!, b.data[broadcastIndex(b.shape, shape, i)]!));
}
