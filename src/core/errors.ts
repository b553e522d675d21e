/** The base of every error that simdformer throws. */
export class SimdformerError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Shapes that do not fit the op or each other. */
export class ShapeError extends SimdformerError {}

/** A tensor or array of the wrong element type. */
export class DTypeError extends SimdformerError {}

/** Tensors of different devices, a closed device, or a device that cannot be made. */
export class DeviceError extends SimdformerError {}

/** A tensor or program used after its memory was given back. */
export class DisposedError extends SimdformerError {}

/** An argument or option outside what the function accepts. */
export class ArgumentError extends SimdformerError {}

/** Automatic differentiation asked for what it cannot give. */
export class AutogradError extends SimdformerError {}

/** The device's memory cannot grow further. */
export class OutOfMemoryError extends SimdformerError {}

/** A file or buffer that is not what its format demands. */
export class FormatError extends SimdformerError {}

/** A command that the engine refused or that met bad data: an id outside the vocabulary, a negative length. */
export class CommandError extends SimdformerError {
  constructor(
    /** Position in the command list that was run. */
    readonly index: number,
    /** The op as the engine calls it. */
    readonly op: string,
    readonly reason: string,
  ) {
    super(`${op} (command ${index}): ${reason}`);
  }
}
