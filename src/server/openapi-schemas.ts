// JSON Schemas of answers, for the OpenAPI document.

import type { JsonSchema } from './schema.js';

export const text: JsonSchema = { type: 'string' };
export const count: JsonSchema = { type: 'integer', minimum: 0 };

export function shape(properties: Readonly<Record<string, JsonSchema>>, optional: readonly string[] = []): JsonSchema {
  return { type: 'object', properties, required: Object.keys(properties).filter((name) => !optional.includes(name)) };
}

export const listOf = (items: JsonSchema): JsonSchema => ({ type: 'array', items });
export const nullable = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: 'null' }] });
export const constant = (value: string): JsonSchema => ({ const: value });

export const usage = shape({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: shape({ cached_tokens: count }),
});

export const model = shape({
  id: text,
  object: constant('model'),
  created: count,
  owned_by: text,
  status: shape({ value: { enum: ['unloaded', 'loading', 'loaded'] } }),
  type: constant('model'),
  display_name: text,
  created_at: text,
});

const tokenLogprob = { id: count, token: text, logprob: { type: 'number' }, bytes: nullable(listOf(count)) };

const chatLogprobs = shape({
  content: listOf(shape({ ...tokenLogprob, top_logprobs: listOf(shape(tokenLogprob)) })),
  refusal: { type: 'null' },
});

export const toolCall = shape({
  id: text,
  type: constant('function'),
  function: shape({ name: text, arguments: text }),
});

export const chatCompletion = shape({
  id: text,
  object: constant('chat.completion'),
  created: count,
  model: text,
  choices: listOf(
    shape({
      index: count,
      message: shape(
        {
          role: constant('assistant'),
          content: nullable(text),
          refusal: { type: 'null' },
          reasoning_content: text,
          tool_calls: listOf(toolCall),
        },
        ['reasoning_content', 'tool_calls'],
      ),
      logprobs: nullable(chatLogprobs),
      finish_reason: { enum: ['stop', 'length', 'tool_calls'] },
    }),
  ),
  usage,
  system_fingerprint: text,
});

export const completion = shape({
  id: text,
  object: constant('text_completion'),
  created: count,
  model: text,
  choices: listOf(
    shape({
      index: count,
      text,
      logprobs: nullable(
        shape({
          tokens: listOf(text),
          token_logprobs: listOf({ type: 'number' }),
          top_logprobs: listOf({ type: 'object', additionalProperties: { type: 'number' } }),
          text_offset: listOf(count),
        }),
      ),
      finish_reason: { enum: ['stop', 'length'] },
    }),
  ),
  usage,
  system_fingerprint: text,
});

export const error = shape({
  error: shape({ message: text, type: text, param: nullable(text), code: nullable(text) }),
});
