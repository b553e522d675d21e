// Values that tensors are made from.

import { describeShape, describeValue } from './check-values.js';
import { DTypeError, ShapeError } from './errors.js';
import { isTyped } from './kinds.js';
import { type DType, type Shape, sameShape, sizeOf } from './shape.js';

/** Numbers nested as deep as the tensor has dimensions. */
export type NestedNumbers = number | readonly NestedNumbers[];
/** The values of a tensor: flat in a typed array, nested, or a single number for a scalar. */
export type TensorData = Float32Array | Int32Array | readonly NestedNumbers[] | number;

/** Returns the values in row-major order and the shape of nested numbers. Throws ShapeError if they are ragged. */
export function flatten(
  op: string,
  data: TensorData,
  dtype: DType,
): { values: Float32Array | Int32Array; shape: Shape } {
  if (ArrayBuffer.isView(data)) {
    const wanted = dtype === 'float32' ? 'Float32Array' : 'Int32Array';
    if (!isTyped(data, wanted)) {
      throw new DTypeError(
        `${op}: expected a ${wanted} for a ${dtype} tensor, got a ${(data as ArrayBufferView).constructor.name}: ` +
          `convert it with ${wanted}.from()`,
      );
    }
    return { values: data, shape: [data.length] };
  }
  const shape: number[] = [];
  for (let level: NestedNumbers | undefined = data as NestedNumbers; Array.isArray(level); level = level[0]) {
    shape.push(level.length);
  }
  const size = sizeOf(shape);
  const values = dtype === 'float32' ? new Float32Array(size) : new Int32Array(size);
  let index = 0;
  const visit = (level: NestedNumbers, depth: number): void => {
    if (typeof level === 'number') {
      if (depth !== shape.length) throw new ShapeError(`${op}: nested numbers must be equally deep everywhere`);
      if (dtype === 'int32' && level !== (level | 0)) throw new DTypeError(`${op}: ${level} is not a 32-bit integer`);
      values[index++] = level;
    } else {
      if (!Array.isArray(level)) throw new DTypeError(`${op}: expected numbers, got ${describeValue(level)}`);
      if (depth >= shape.length || level.length !== shape[depth]) {
        throw new ShapeError(`${op}: nested numbers must be equally long at each depth`);
      }
      for (const inner of level) visit(inner, depth + 1);
    }
  };
  visit(data as NestedNumbers, 0);
  return { values, shape };
}

/** Returns the values of a whole tensor, given nested in its shape or flat. Throws ShapeError for another shape. */
export function valuesFor(
  op: string,
  data: TensorData,
  tensor: { readonly dtype: DType; readonly shape: Shape; readonly size: number },
): Float32Array | Int32Array {
  const { values, shape } = flatten(op, data, tensor.dtype);
  if (values.length !== tensor.size || !(shape.length === 1 || sameShape(shape, tensor.shape))) {
    throw new ShapeError(`${op}: the data is ${describeShape(shape)}, the tensor is ${describeShape(tensor.shape)}`);
  }
  return values;
}
