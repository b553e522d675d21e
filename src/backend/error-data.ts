// Converts errors to data and back, for messages between threads. A structured clone would lose the class of the error.
import { ArgumentError, DeviceError, OutOfMemoryError, type SimdformerError } from './errors.js';

export interface ErrorData {
  readonly name: string;
  readonly message: string;
}

export function dataOf({ name, message }: Error): ErrorData {
  return { name, message };
}

/** Returns an error of the class with that name. An error of any other class becomes a DeviceError. */
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
