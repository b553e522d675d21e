// Checks of values to load: names and shapes must be those of the model.

import { describeShape, describeValue } from '../core/check.js';
import { ArgumentError, DTypeError, ShapeError } from '../core/errors.js';
import { type Shape, sameShape, sizeOf } from '../core/tensor.js';
import { type StatePiece, shapeOf } from './state-names.js';

/** A tensor for `loadStateDict`: a Tensor, an entry of a state dict or of a safetensors file, or an array. */
export interface LoadableTensor {
  readonly shape: Shape;
  readonly data: ArrayBufferView | (() => unknown);
  dataSync?(): ArrayBufferView;
}

/** Checks the argument for callers without types. */
export function checkGiven(tensors: object): void {
  if (typeof tensors !== 'object' || tensors === null) {
    throw new ArgumentError(
      `loadStateDict: the tensors are ${describeValue(tensors)}, expected an object or a Map of them`,
    );
  }
  for (const [name, entry] of tensors instanceof Map ? tensors : Object.entries(tensors)) {
    if (!Array.isArray(entry?.shape)) {
      throw new ArgumentError(
        `loadStateDict: ${name} is ${describeValue(entry)}, expected a tensor or an object with shape and data`,
      );
    }
  }
}

/** Renames a value that was given under another name of a shared parameter to the first name. */
export function adopt<T extends LoadableTensor>(tensors: Map<string, T>, alias: string, name: string): void {
  const other = tensors.get(alias);
  if (other === undefined) return;
  tensors.delete(alias);
  const tensor = tensors.get(name);
  if (tensor === undefined) {
    tensors.set(name, other);
    return;
  }
  const a = valuesOf(name, tensor, sizeOf(tensor.shape));
  const b = valuesOf(alias, other, sizeOf(other.shape));
  if (!sameShape(tensor.shape, other.shape) || a.some((value, i) => value !== b[i] && !Object.is(value, b[i]))) {
    throw new ArgumentError(
      `loadStateDict: ${alias} and ${name} differ, but this model shares one parameter between them`,
    );
  }
}

export function checkNames(pieces: readonly StatePiece[], tensors: ReadonlyMap<string, LoadableTensor>): void {
  const known = new Set(pieces.map(({ name }) => name));
  const missing = [...known].filter((name) => !tensors.has(name));
  const unexpected = [...tensors.keys()].filter((name) => !known.has(name));
  const misshapen = pieces.flatMap((piece) => {
    const shape = tensors.get(piece.name)?.shape;
    const expected = shapeOf(piece);
    if (shape === undefined || sameShape(shape, expected)) return [];
    return [`${piece.name} is ${describeShape(shape)}, expected ${describeShape(expected)}`];
  });
  const problems = Object.entries({ missing, unexpected, 'of another shape': misshapen })
    .filter(([, list]) => list.length > 0)
    .map(
      ([kind, list]) =>
        `${kind}: ${list.slice(0, 10).join(', ')}${list.length > 10 ? ` and ${list.length - 10} more` : ''}`,
    );
  if (problems.length === 0) return;
  const Kind = missing.length + unexpected.length > 0 ? ArgumentError : ShapeError;
  throw new Kind(`loadStateDict: the tensors do not fit this model; ${problems.join('; ')}`);
}

export function valuesOf(name: string, entry: LoadableTensor, size: number): Float32Array {
  const { data } = entry;
  const values = entry.dataSync?.() ?? (typeof data === 'function' ? data.call(entry) : data);
  if (!(values instanceof Float32Array)) throw new DTypeError(`loadStateDict: ${name} is not float32`);
  if (values.length !== size)
    throw new ShapeError(`loadStateDict: ${name} has ${values.length} values, its shape ${size}`);
  return values;
}
