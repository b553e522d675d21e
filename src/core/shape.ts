// Shapes and element types of tensors.

/** The type of a tensor's elements. */
export type DType = 'float32' | 'int32';
/** The size of each dimension, the outermost first; [] is the shape of a scalar. */
export type Shape = readonly number[];

export function sizeOf(shape: Shape): number {
  return shape.reduce((size, dimension) => size * dimension, 1);
}

/** The last dimension; 1 for a scalar. */
export function lastOf(shape: Shape): number {
  return shape.length === 0 ? 1 : (shape[shape.length - 1] as number);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dimension, i) => dimension === b[i]);
}

/**
 * Replaces a dimension of -1, if there is one, so that the shape has `size` elements. Returns null if that is
 * impossible.
 */
export function inferShape(dimensions: Shape, size: number): Shape | null {
  if (!dimensions.every((dimension) => dimension === -1 || isPositive(dimension))) return null;
  const known = dimensions.reduce((product, dimension) => (dimension === -1 ? product : product * dimension), 1);
  const shape = dimensions.map((dimension) => (dimension === -1 ? size / known : dimension));
  const isOne = dimensions.indexOf(-1) === dimensions.lastIndexOf(-1);
  return isOne && shape.every(isPositive) && sizeOf(shape) === size ? shape : null;
}

/** True if `start` ≤ i < `end` selects at least one entry of a dimension of size `limit`. */
export function isRange(start: number, end: number, limit: number): boolean {
  return Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start < end && end <= limit;
}

const isPositive = (dimension: number) => Number.isInteger(dimension) && dimension > 0;
