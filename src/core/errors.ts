/** The base of every error that simdformer throws. */
export class SimdformerError extends Error {
  // Written out, as minifiers shorten the names of classes.
  override name = 'SimdformerError';
}

/** Shapes that do not fit the op or each other. */
export class ShapeError extends SimdformerError {
  override name = 'ShapeError';
}

/** A tensor or array of the wrong element type. */
export class DTypeError extends SimdformerError {
  override name = 'DTypeError';
}

/** Tensors of different devices, a closed device, or a device that cannot be made. */
export class DeviceError extends SimdformerError {
  override name = 'DeviceError';
}

/** A tensor or program used after its memory was given back, or a file after it was closed. */
export class DisposedError extends SimdformerError {
  override name = 'DisposedError';
}

/** An argument or option outside what the function accepts. */
export class ArgumentError extends SimdformerError {
  override name = 'ArgumentError';
}

/** Automatic differentiation asked for what it cannot give. */
export class AutogradError extends SimdformerError {
  override name = 'AutogradError';
}

/** The device's memory cannot grow further. */
export class OutOfMemoryError extends SimdformerError {
  override name = 'OutOfMemoryError';
}

/** A number that has become NaN or infinite, such as the loss of a training that diverges. */
export class NonFiniteError extends SimdformerError {
  override name = 'NonFiniteError';

  constructor(
    message: string,
    /** The step of the training at which that was seen; undefined outside of training. */
    readonly step?: number | undefined,
  ) {
    super(message);
  }
}

/** A file or buffer that is not what its format demands. */
export class FormatError extends SimdformerError {
  override name = 'FormatError';
}

/** A file that the network or its server did not deliver. */
export class FetchError extends SimdformerError {
  override name = 'FetchError';
}

/** What Hugging Face's hub, or a server in its place, refused or did not deliver. */
export class HubError extends FetchError {
  override name = 'HubError';

  constructor(
    message: string,
    readonly url: string,
    /** The HTTP status; undefined if there was no answer. */
    readonly status?: number | undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A process of several that work together has failed, ended, or not been heard of. */
export class WorldError extends SimdformerError {
  override name = 'WorldError';
}

/** A command that the engine refused or that met bad data: an id outside the vocabulary, a negative length. */
export class CommandError extends SimdformerError {
  override name = 'CommandError';

  constructor(
    /** Position in the command list that was run. */
    readonly index: number,
    /** The op as the engine calls it. */
    readonly op: string,
    readonly reason: string,
  ) {
    super(`${op}: ${reason}`);
  }
}
