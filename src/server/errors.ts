// Errors in OpenAI's shape. OpenAI's clients choose an error class by the status, and show the message.

import { ArgumentError, DisposedError, NonFiniteError, ShapeError, SimdformerError } from '../core/errors.js';
import { QueueFullError } from '../generate/index.js';
import { UnknownTokenError } from '../tokenizers/index.js';

/** The statuses of errors, with OpenAI's type for each. */
const TYPES = {
  400: 'invalid_request_error',
  401: 'invalid_request_error',
  404: 'invalid_request_error',
  405: 'invalid_request_error',
  413: 'invalid_request_error',
  415: 'invalid_request_error',
  429: 'rate_limit_error',
  499: 'request_cancelled',
  500: 'server_error',
  503: 'server_error',
} as const;

export type ErrorStatus = keyof typeof TYPES;

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** An error whose status and message are sent to the client. */
export class ApiError extends SimdformerError {
  override get name() {
    return 'ApiError';
  }

  constructor(
    readonly status: ErrorStatus,
    message: string,
    readonly code: string | null = null,
    /** The field that is wrong. */
    readonly param: string | null = null,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }

  get body(): ErrorBody {
    const { message, param, code } = this;
    return { error: { message, type: TYPES[this.status], param, code } };
  }
}

/** Converts an error for the client. Details of internal errors are not sent. */
export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof QueueFullError) {
    const message = 'The server is busy: the queue is full. Try again later.';
    return new ApiError(429, message, 'queue_full', null, { 'retry-after': String(error.retryAfterSeconds) });
  }
  if (error instanceof DisposedError) return new ApiError(503, 'The server is shutting down.', 'shutting_down');
  if (error instanceof UnknownTokenError) return new ApiError(400, error.message, 'unknown_token');
  if (error instanceof ArgumentError || error instanceof ShapeError) return new ApiError(400, error.message);
  if (error instanceof NonFiniteError) return new ApiError(500, 'The model computed numbers that are not finite.');
  if ((error as Error | null)?.name === 'AbortError') return new ApiError(499, 'The client has left.', 'cancelled');
  return new ApiError(500, 'The server had an error while processing the request.');
}
