// Errors as data, for the border between threads: a structured clone of an error of ours is a plain Error.
import { ArgumentError, DeviceError, OutOfMemoryError, type SimdformerError } from './errors.js';

export interface ErrorData {
  readonly name: string;
  readonly message: string;
}

export function dataOf({ name, message }: Error): ErrorData {
  return { name, message };
}

/** Returns our error with that name. Any other becomes a DeviceError, because the engine did not do what was asked. */
export function errorOf({ name, message }: ErrorData): SimdformerError {
  switch (name) {
    case 'ArgumentError':
      return new ArgumentError(message);
    case 'OutOfMemoryError':
      return new OutOfMemoryError(message);
    default:
      return new DeviceError(message);
  }
}
