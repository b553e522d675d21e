// Fields that both versions of Cohere's chats have.

import type { Usage } from '../answers.js';
import { maxTokens } from '../chat-completions.js';
import type { ConversationRequest } from '../conversation.js';
import { count, shape } from '../openapi-schemas.js';
import { fieldOf, samplingFields } from '../sampling.js';
import { array, boolean, integer, oneOf, optional, refusedField, string, withJson } from '../schema.js';

/** Sampling by Cohere's names, and fields that change nothing here. */
export const sharedFields = {
  stream: optional(boolean()),
  max_tokens: maxTokens,
  stop_sequences: optional(array(string({ minLength: 1, maxLength: 256 }), { max: 5 })),
  temperature: fieldOf('temperature'),
  k: fieldOf('topK'),
  p: fieldOf('topP'),
  seed: samplingFields.seed,
  frequency_penalty: fieldOf('frequencyPenalty'),
  presence_penalty: fieldOf('presencePenalty'),
  priority: optional(integer({ min: 0, max: 999, description: 'Has no effect.' })),
  safety_mode: optional(
    withJson(oneOf(['CONTEXTUAL', 'OFF', 'NONE']), {
      description: 'Has no effect: prompts have no instruction of ours.',
    }),
  ),
  documents: refusedField('write their texts into a message'),
} as const;

interface Sampling {
  readonly max_tokens?: number | undefined;
  readonly stop_sequences?: string[] | undefined;
  readonly temperature?: number | undefined;
  readonly k?: number | undefined;
  readonly p?: number | undefined;
  readonly seed?: number | undefined;
  readonly frequency_penalty?: number | undefined;
  readonly presence_penalty?: number | undefined;
}

/** Converts the sampling of a request to OpenAI's names. */
export function samplingOf(body: Sampling): Partial<ConversationRequest> {
  const { max_tokens, stop_sequences: stop, temperature, k, p, seed, frequency_penalty, presence_penalty } = body;
  // The number fields have types by their names in a table.
  const numbers = { temperature, top_k: k, top_p: p, frequency_penalty, presence_penalty };
  return { max_tokens, stop, seed, ...numbers };
}

/** Returns the format of an answer that is JSON; undefined for any text. */
export function jsonFormat(
  format: { readonly type: 'text' | 'json_object' } | undefined,
  schema: Readonly<Record<string, unknown>> | undefined,
): ConversationRequest['response_format'] {
  if (format === undefined || format.type === 'text') return undefined;
  if (schema === undefined) return { type: 'json_object' };
  return { type: 'json_schema', json_schema: { name: 'answer', schema, description: undefined, strict: true } };
}

/** Returns the numbers of tokens of an answer. */
export function tokensOf({ prompt, completion, cached }: Usage) {
  const tokens = { input_tokens: prompt, output_tokens: completion };
  return { billed_units: tokens, tokens, cached_tokens: cached };
}

const tokens = shape({ input_tokens: count, output_tokens: count });
/** JSON Schemas of the fields of `tokensOf`. */
export const tokenSchemas = { billed_units: tokens, tokens, cached_tokens: count };
