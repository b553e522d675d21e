/** Base class of all errors that simdformer throws. */
export class SimdformerError extends Error {
  constructor(message?: string, options?: ErrorOptions) {
    super(message, options);
    // Minifiers shorten names of classes, and Node prints them.
    if (Object.hasOwn(new.target.prototype, 'name')) Object.defineProperty(new.target, 'name', { value: this.name });
    Object.defineProperty(this, 'name', { value: this.name, writable: true, configurable: true });
  }

  // The stack is written before a field of the class would be set.
  override get name() {
    return 'SimdformerError';
  }
}

/** Shapes that do not fit the op or each other. */
export class ShapeError extends SimdformerError {
  override get name() {
    return 'ShapeError';
  }
}

/** A tensor or array of the wrong element type. */
export class DTypeError extends SimdformerError {
  override get name() {
    return 'DTypeError';
  }
}

/** Tensors of different devices, a closed device, or a device that cannot be opened. */
export class DeviceError extends SimdformerError {
  override get name() {
    return 'DeviceError';
  }
}

/** Use of a tensor or program after its memory was freed, or of a file after it was closed. */
export class DisposedError extends SimdformerError {
  override get name() {
    return 'DisposedError';
  }
}

/** An argument or option outside the accepted values. */
export class ArgumentError extends SimdformerError {
  override get name() {
    return 'ArgumentError';
  }
}

/** An impossible request to automatic differentiation. */
export class AutogradError extends SimdformerError {
  override get name() {
    return 'AutogradError';
  }
}

/** The device's memory cannot grow further. */
export class OutOfMemoryError extends SimdformerError {
  override get name() {
    return 'OutOfMemoryError';
  }
}

/** A number that became NaN or infinite, such as the loss of a diverging training run. */
export class NonFiniteError extends SimdformerError {
  override get name() {
    return 'NonFiniteError';
  }

  constructor(
    message: string,
    /** The training step at which it was found; undefined outside of training. */
    readonly step?: number | undefined,
  ) {
    super(message);
  }
}

/** A file or buffer that does not follow its format. */
export class FormatError extends SimdformerError {
  override get name() {
    return 'FormatError';
  }
}

/** A file that the network or its server did not deliver. */
export class FetchError extends SimdformerError {
  override get name() {
    return 'FetchError';
  }
}

/** A refusal or failure of Hugging Face's hub, or of a server in its place. */
export class HubError extends FetchError {
  override get name() {
    return 'HubError';
  }

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

/** One of several cooperating processes failed, ended, or did not answer. */
export class WorldError extends SimdformerError {
  override get name() {
    return 'WorldError';
  }
}

/**
 * A command that the engine refused, or that met bad data such as an id outside the vocabulary or a negative length.
 */
export class CommandError extends SimdformerError {
  override get name() {
    return 'CommandError';
  }

  constructor(
    /** Position in the command list that ran. */
    readonly index: number,
    /** The engine's name of the op. */
    readonly op: string,
    readonly reason: string,
  ) {
    super(`${op}: ${reason}`);
  }
}
