import { ArgumentError } from '../core/errors.js';

/** A response format that is wrong, too large or not supported. */
export class ResponseFormatError extends ArgumentError {
  override name = 'ResponseFormatError';

  constructor(
    /** The message without the option's name, for callers that know the option by another name. */
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`responseFormat: ${reason}`, options);
  }
}

/** The shortest text of the format has more bytes than tokens are left. */
export class NoRoomError extends ResponseFormatError {
  override name = 'NoRoomError';

  constructor(
    /** The number of tokens that were generated. */
    readonly generated: number,
    /** The number of tokens that are left. */
    readonly left: number,
  ) {
    super(
      `this format may need more tokens than are left, one for each byte of its shortest text: after ${generated} generated tokens, ${left} are left. Raise maxNewTokens, or lower minLength, minItems and the like`,
    );
  }
}
