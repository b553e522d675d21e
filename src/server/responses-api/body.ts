// Bodies of requests in OpenAI's Responses API.

import { EFFORTS } from '../reasoning-effort.js';
import { fieldOf } from '../sampling.js';
import {
  anyObject,
  anyOf,
  array,
  boolean,
  integer,
  object,
  oneOf,
  optional,
  type Read,
  record,
  refusedField,
  type Schema,
  string,
  tagged,
} from '../schema.js';
import { verbosity } from '../verbosity.js';

const ID = { maxLength: 256 };
const MAX_PARTS = 256;
const status = optional(string({ maxLength: 64 }));

const textParts = [
  object({ type: oneOf(['input_text']), text: string() }),
  object({
    type: oneOf(['output_text']),
    text: string(),
    annotations: optional(array(anyObject, { max: 0 })),
    logprobs: optional(array(anyObject, { max: 0 })),
  }),
] as const;

const imagePart = object({
  type: oneOf(['input_image']),
  image_url: string({ minLength: 1 }),
  detail: optional(oneOf(['auto', 'low', 'high', 'original'])),
  file_id: refusedField("give 'image_url'"),
});
/** The content of a message: text and images. */
export const messageContent = anyOf(
  `text, or an array of at most ${MAX_PARTS} text and input_image parts`,
  string(),
  array(tagged('type', ...textParts, imagePart), { max: MAX_PARTS }),
);

const callItem = object({
  type: oneOf(['function_call']),
  id: optional(string(ID)),
  call_id: string(ID),
  name: string({ minLength: 1, maxLength: 256 }),
  arguments: string(),
  parsed_arguments: optional(anyObject), // a helper of OpenAI's client adds it
  status,
});
const item = anyOf(
  'a message, a function_call or a function_call_output',
  object({
    type: optional(oneOf(['message'])),
    id: optional(string(ID)),
    role: oneOf(['user', 'assistant', 'system', 'developer']),
    content: messageContent,
    status,
    phase: optional(string({ maxLength: 64 })),
  }),
  callItem,
  object({
    type: oneOf(['function_call_output']),
    id: optional(string(ID)),
    call_id: string(ID),
    output: messageContent,
    status,
  }),
  object({
    type: oneOf(['reasoning']),
    id: optional(string(ID)),
    summary: optional(array(anyObject, { max: MAX_PARTS })),
    content: optional(array(object({ type: oneOf(['reasoning_text']), text: string() }), { max: MAX_PARTS })),
    encrypted_content: optional(string()),
    status,
  }),
);

const tool = tagged(
  'type',
  object({
    type: oneOf(['function']),
    name: string({ minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9_-]+$' }),
    description: optional(string()),
    parameters: optional(anyObject),
    strict: optional(boolean()),
  }),
);

const format = tagged(
  'type',
  object({ type: oneOf(['text']) }),
  object({ type: oneOf(['json_object']) }),
  object({
    type: oneOf(['json_schema']),
    name: string({ minLength: 1, maxLength: 64 }),
    description: optional(string()),
    schema: anyObject,
    strict: optional(boolean()),
  }),
);

/** The fields that make the prompt. `model` names the models for conversations. */
const promptFields = (model: Schema<string>) => ({
  model,
  input: anyOf('text, or an array of items', string({ minLength: 1 }), array(item, { min: 1, max: 2048 })),
  instructions: optional(string()),
  previous_response_id: optional(string(ID)),
  tools: optional(array(tool, { max: 128 })),
  tool_choice: optional(
    anyOf(
      "one of none, auto, required, or an object like { type: 'function', name }",
      oneOf(['none', 'auto', 'required']),
      object({ type: oneOf(['function']), name: string({ minLength: 1, maxLength: 64 }) }),
    ),
  ),
  parallel_tool_calls: optional(boolean()),
  text: optional(object({ format: optional(format), verbosity })),
  reasoning: optional(
    object({
      effort: optional(oneOf(EFFORTS)),
      summary: optional(oneOf(['auto', 'concise', 'detailed'])),
    }),
  ),
  truncation: optional(oneOf(['disabled', 'auto'])),
  conversation: refusedField("give 'previous_response_id'"),
});

/** The body of `/v1/responses/input_tokens`. */
export const inputTokensBody = (model: Schema<string>) => object(promptFields(model));

/** The body of `/v1/responses`. */
export const responseBody = (model: Schema<string>) =>
  object({
    ...promptFields(model),
    max_output_tokens: optional(integer({ min: 1, max: 2 ** 31 - 1 })),
    temperature: fieldOf('temperature'),
    top_p: fieldOf('topP'),
    stream: optional(boolean()),
    stream_options: optional(object({ include_obfuscation: optional(boolean()) })),
    store: optional(boolean('False forgets the response at once. Default: true.')),
    metadata: optional(record(string({ maxLength: 512 }), { max: 16 })),
    include: optional(array(string(), { max: 16 })),
    user: optional(string({ maxLength: 512 })),
    safety_identifier: optional(string({ maxLength: 512 })),
    prompt_cache_key: optional(string({ maxLength: 512 })),
    service_tier: optional(oneOf(['auto', 'default'])),
    background: optional(oneOf([false])),
    prompt: refusedField("give 'input'"),
    max_tool_calls: refusedField('tools are called by the client'),
    top_logprobs: refusedField('use /v1/chat/completions'),
  });

export type ResponseRequest = Read<ReturnType<typeof responseBody>>;
