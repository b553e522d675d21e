// The format that a request demands of its answer, by the fields of OpenAI and of llama.cpp's server.

import { constrain, NoRoomError, ResponseFormatError } from '../constrain/index.js';
import { FormatError } from '../core/errors.js';
import type { BatchedOptions, ResponseFormat } from '../generate/index.js';
import type { FieldNames } from './dialect.js';
import { ApiError } from './errors.js';
import { anyObject, boolean, object, oneOf, optional, type Read, string, tagged, withJson } from './schema.js';
import type { ServedTextModel } from './served-model.js';

/** The maximum number of characters of a grammar, as in `ebnf`. */
const MAX_GRAMMAR = 2 ** 15;

const responseFormat = tagged(
  'type',
  object({ type: oneOf(['text']) }),
  object({ type: oneOf(['json_object']) }),
  object({
    type: oneOf(['json_schema']),
    json_schema: object({
      name: string({ minLength: 1, maxLength: 64 }),
      description: optional(string()),
      schema: optional(anyObject),
      strict: optional(boolean()),
    }),
  }),
);

const grammar = string({
  minLength: 1,
  maxLength: MAX_GRAMMAR,
  description: "An extension: a grammar of the answer, in llama.cpp's GBNF.",
});

/** Fields of llama.cpp's server. */
export const grammarFields = {
  grammar: optional(grammar),
  json_schema: withJson(optional(anyObject), { description: 'An extension: a JSON Schema of the answer.' }),
} as const;

/** Fields of requests. At most one of them may be given. */
export const formatFields = { response_format: optional(responseFormat), ...grammarFields } as const;

/** A format, and the field of the request that it comes from. */
export interface WantedFormat {
  readonly param: string;
  readonly format: ResponseFormat;
}

type FormatFields = { readonly [Name in keyof typeof formatFields]?: Read<(typeof formatFields)[Name]> };

/** Returns the format that a request demands; null for any text. Throws ApiError 400 for several formats. */
export function formatOf(
  { response_format: requestedFormat, grammar, json_schema: schema }: FormatFields,
  fields: FieldNames,
): WantedFormat | null {
  const wanted: WantedFormat[] = [
    ...(requestedFormat === undefined || requestedFormat.type === 'text'
      ? []
      : [{ param: fields.format, format: requestedFormat }]),
    ...(grammar === undefined ? [] : [{ param: 'grammar', format: { grammar } }]),
    ...(schema === undefined ? [] : [{ param: 'json_schema', format: { type: 'json_schema' as const, schema } }]),
  ];
  const [first, second] = wanted;
  if (second === undefined) return first ?? null;
  const message = `'${first?.param}' together with '${second.param}' is not supported: give one of them`;
  throw new ApiError(400, message, 'invalid_value', second.param);
}

/**
 * Restricts an answer to a format, or to none for null: returns `options` with what the format adds. The answer ends
 * with one of `stopTokens`. Throws ApiError 400, which names the field, for a format that is not supported.
 */
export async function constrainedTo(
  wanted: WantedFormat | null,
  options: BatchedOptions,
  { tokenizer }: ServedTextModel,
  stopTokens: readonly number[],
  fields: FieldNames,
): Promise<BatchedOptions> {
  if (wanted === null) return options;
  try {
    const { logitsProcessors, ...others } = await constrain(tokenizer, wanted.format, { stopTokens });
    return { ...options, ...others, logitsProcessors: [...(options.logitsProcessors ?? []), ...logitsProcessors] };
  } catch (error) {
    throw formatRefusal(error, wanted, fields);
  }
}

/** Converts an error of a format to ApiError 400, which names the fields of the request. Returns others unchanged. */
export function formatRefusal(error: unknown, wanted: WantedFormat | null, { maxTokens }: FieldNames): unknown {
  if (wanted === null || !(error instanceof ResponseFormatError || error instanceof FormatError)) return error;
  const { param } = wanted;
  if (error instanceof NoRoomError) {
    const message =
      `The format of '${param}' may need more tokens than are left for its shortest answer: ` +
      `after ${error.generated} tokens of the answer, ${error.left} are left. ` +
      `Raise '${maxTokens.join("' or '")}', shorten the prompt, or lower minLength, minItems and the like`;
    return new ApiError(400, message, 'response_format_too_long', maxTokens[0]);
  }
  const reason = error instanceof ResponseFormatError ? error.reason : error.message;
  return new ApiError(400, `'${param}': ${reason}`, 'invalid_value', param);
}
