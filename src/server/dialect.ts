// The forms in which APIs send errors and streams.

import type { ApiError, ErrorStatus } from './errors.js';
import { constant, error, shape, text } from './openapi-schemas.js';
import type { JsonSchema } from './schema.js';

/** The names that an API has for fields of a request, for errors. */
export interface FieldNames {
  /** The prompt or the messages. */
  readonly input: string;
  /** The format of the answer. */
  readonly format: string;
  /** The maximum number of tokens of the answer, with other spellings after the first. */
  readonly maxTokens: readonly [string, ...string[]];
}

export interface Dialect {
  readonly fields: FieldNames;
  readonly mediaType: 'text/event-stream' | 'application/x-ndjson';
  /** Returns the text of an object in a stream. */
  frame(value: object): string;
  /** The text that ends a stream. */
  readonly lastFrame: string;
  errorBody(error: ApiError): object;
  /** The name of its errors in the OpenAPI document, and their JSON Schema. */
  readonly errorName: string;
  readonly errorSchema: JsonSchema;
  /** Returns the object for an error in the middle of a stream. */
  errorEvent(error: ApiError): object;
}

const dataFrame = (value: object) => `data: ${JSON.stringify(value)}\n\n`;
/** An event whose name is the `type` of its data. */
const namedFrame = (value: object) => `event: ${(value as { type: string }).type}\n${dataFrame(value)}`;

export const OPENAI: Dialect = {
  fields: { input: 'messages', format: 'response_format', maxTokens: ['max_completion_tokens', 'max_tokens'] },
  mediaType: 'text/event-stream',
  frame: dataFrame,
  lastFrame: 'data: [DONE]\n\n',
  errorName: 'Error',
  errorSchema: error,
  errorBody: ({ body }) => body,
  errorEvent: ({ body }) => body,
};

/** OpenAI's API for prompts. */
export const COMPLETIONS: Dialect = {
  ...OPENAI,
  fields: { ...OPENAI.fields, input: 'prompt', maxTokens: ['max_tokens'] },
};

/** The path of a value in a chat's `messages`. Other APIs write them in other forms, so that their whole field is named. */
export const chatPath = (fields: FieldNames, path: string): string =>
  fields === OPENAI.fields ? `messages${path}` : fields.input;

/** The Responses API of OpenAI. */
export const RESPONSES: Dialect = {
  ...OPENAI,
  fields: { input: 'input', format: 'text.format', maxTokens: ['max_output_tokens'] },
  frame: namedFrame,
  lastFrame: '',
  errorEvent: ({ message, code, param }) => ({ type: 'error', code, message, param }),
};

const ANTHROPIC_TYPES: Partial<Record<ErrorStatus, string>> = {
  401: 'authentication_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  503: 'overloaded_error',
};

/** With these details, Anthropic's client sends the request again without a thread. */
const UNTHREADED = { error_code: 'thread_unsupported_request', unsupported: ['thread'] };

const anthropicError = ({ status, message, param }: ApiError) => {
  const details = param === 'thread' ? { details: UNTHREADED } : {};
  return { type: 'error', error: { type: ANTHROPIC_TYPES[status] ?? 'invalid_request_error', message, ...details } };
};

export const ANTHROPIC: Dialect = {
  ...OPENAI,
  fields: { input: 'messages', format: 'output_config.format', maxTokens: ['max_tokens'] },
  frame: namedFrame,
  lastFrame: '',
  errorName: 'AnthropicError',
  errorSchema: shape({ type: constant('error'), error: shape({ type: text, message: text }) }),
  errorBody: anthropicError,
  errorEvent: anthropicError,
};

const lineFrame = (value: object) => `${JSON.stringify(value)}\n`;

export const OLLAMA: Dialect = {
  fields: { input: 'messages', format: 'format', maxTokens: ['options.num_predict'] },
  mediaType: 'application/x-ndjson',
  frame: lineFrame,
  lastFrame: '',
  errorName: 'OllamaError',
  errorSchema: shape({ error: text }),
  errorBody: ({ message }) => ({ error: message }),
  errorEvent: ({ message }) => ({ error: message }),
};

/** Cohere reads the message at the top. Jina's clients read OpenAI's form. */
export const COHERE: Dialect = {
  ...OPENAI,
  errorName: 'CohereError',
  errorSchema: { allOf: [error, shape({ message: text })] },
  errorBody: ({ body, message }) => ({ message, ...body }),
};

/** Chats of Cohere's version 2. */
export const COHERE_CHAT: Dialect = {
  ...COHERE,
  fields: { input: 'messages', format: 'response_format', maxTokens: ['max_tokens'] },
  frame: namedFrame,
  errorEvent: ({ message }) => ({ type: 'message-end', delta: { finish_reason: 'ERROR', error: message } }),
};

/** Chats of Cohere's version 1. */
export const COHERE_FORMER_CHAT: Dialect = {
  ...COHERE,
  fields: { input: 'message', format: 'response_format', maxTokens: ['max_tokens'] },
  mediaType: 'application/x-ndjson',
  frame: lineFrame,
  lastFrame: '',
  errorEvent: ({ message }) => ({
    is_finished: true,
    event_type: 'stream-end',
    finish_reason: 'ERROR',
    error: message,
  }),
};
