import { ArgumentError } from '../core/errors.js';

/** A response format that is wrong, too large or not supported. */
export class ResponseFormatError extends ArgumentError {
  override get name() {
    return 'ResponseFormatError';
  }

  constructor(
    /** The message without the option's name, for callers that know the option by another name. */
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`responseFormat: ${reason}`, options);
  }
}

/** The shortest text of the format may have more tokens than are left. */
export class NoRoomError extends ResponseFormatError {
  override get name() {
    return 'NoRoomError';
  }

  constructor(
    /** The number of tokens that were generated. */
    readonly generated: number,
    /** The number of tokens that are left. */
    readonly left: number,
  ) {
    super(
      `the shortest text of this format may need more tokens than are left: after ${generated} generated tokens, ${left} are left. Raise maxNewTokens, or lower minLength, minItems and the like`,
    );
  }
}
