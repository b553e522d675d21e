// Bodies of requests in Ollama's API.

import { DURATION } from '../keep-alive.js';
import { fieldOf } from '../sampling.js';
import {
  anyObject,
  anyOf,
  array,
  boolean,
  integer,
  number,
  object,
  oneOf,
  optional,
  type Read,
  type Schema,
  string,
  withJson,
} from '../schema.js';

const INT = { min: -(2 ** 31), max: 2 ** 31 - 1 };
/** Beyond these limits, different numbers of a request's JSON would become the same number. */
const SAFE = { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER };

const noEffect = optional(anyOf('a number or true or false', number(SAFE), boolean()));

/** Options that clients send with every request, and that change nothing here: penalties count all tokens. */
const WITHOUT_EFFECT = [
  'num_ctx',
  'num_batch',
  'num_gpu',
  'main_gpu',
  'num_thread',
  'num_keep',
  'use_mmap',
  'use_mlock',
  'numa',
  'low_vram',
  'f16_kv',
  'logits_all',
  'vocab_only',
  'repeat_last_n',
  'penalize_newline',
  'mirostat_eta',
  'mirostat_tau',
];

/** Sampling by Ollama's names. Sizes of the context and of batches were chosen when the server began. */
export const options = optional(
  object({
    temperature: fieldOf('temperature'),
    top_k: fieldOf('topK'),
    top_p: fieldOf('topP'),
    min_p: fieldOf('minP'),
    typical_p: fieldOf('typicalP'),
    repeat_penalty: fieldOf('repetitionPenalty'),
    presence_penalty: fieldOf('presencePenalty'),
    frequency_penalty: fieldOf('frequencyPenalty'),
    seed: optional(integer(SAFE)),
    num_predict: optional(integer({ min: -2, max: INT.max })),
    stop: optional(array(string({ minLength: 1, maxLength: 256 }), { max: 4 })),
    mirostat: optional(integer({ min: 0, max: 0 })),
    tfs_z: optional(integer({ min: 1, max: 1 })),
    ...Object.fromEntries(WITHOUT_EFFECT.map((name) => [name, noEffect])),
  }),
);

const format = optional(anyOf("'json', or a JSON Schema", oneOf(['json', '']), anyObject));
/** Fields of chats and of prompts. */
export const shared = {
  options,
  format,
  stream: optional(boolean('Default: true.')),
  logprobs: optional(boolean()),
  top_logprobs: optional(integer({ min: 0, max: 20 })),
  think: optional(anyOf('true, false or an effort', boolean(), oneOf(['low', 'medium', 'high']))),
  keep_alive: optional(
    withJson(
      anyOf(
        "a number of seconds, or a duration such as '5m'; negative ones mean forever",
        number(SAFE),
        string({ maxLength: 32, pattern: DURATION }),
      ),
      { description: 'How long the model stays in memory after its last use.' },
    ),
  ),
};
/** Images as base64, as Ollama's clients send them. */
const images = optional(array(string({ minLength: 1 }), { max: 256 }));

const call = object({
  id: optional(string({ maxLength: 256 })),
  type: optional(oneOf(['function'])),
  function: object({
    name: string({ minLength: 1, maxLength: 256 }),
    arguments: anyObject,
    index: optional(integer({ min: 0, max: 1024 })),
  }),
});
const message = object({
  role: oneOf(['system', 'user', 'assistant', 'tool']),
  content: optional(string()),
  thinking: optional(string()),
  images,
  tool_calls: optional(array(call, { max: 128 })),
  tool_name: optional(string({ maxLength: 256 })),
  tool_call_id: optional(string({ maxLength: 256 })),
});
const tool = object({
  type: oneOf(['function']),
  function: object({
    name: string({ minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9_-]+$' }),
    description: optional(string()),
    parameters: optional(anyObject),
  }),
});

/** The body of `/api/chat`. `model` names the models for conversations. */
export const chatBody = (model: Schema<string>) =>
  object({
    model,
    messages: array(message, { max: 2048 }),
    tools: optional(array(tool, { max: 128 })),
    ...shared,
  });
/** Texts that older clients send empty. */
const emptyText = optional(string({ maxLength: 0 }));

/** The body of `/api/generate`. */
export const generateBody = (model: Schema<string>) =>
  object({
    model,
    prompt: optional(string()),
    system: optional(string()),
    images,
    ...shared,
    suffix: emptyText,
    template: emptyText,
    raw: optional(oneOf([false])),
    context: optional(array(integer(INT), { max: 0 })),
  });

/** The body of `/api/embed`. `model` names the models for embeddings. */
export const embedBody = (model: Schema<string>) =>
  object({
    model,
    input: anyOf(
      'text, or an array of texts',
      string({ minLength: 1 }),
      array(string({ minLength: 1 }), { min: 1, max: 2048 }),
    ),
    truncate: optional(boolean('Default: true.')),
    dimensions: optional(integer({ min: 1, max: INT.max })),
    options,
    keep_alive: shared.keep_alive,
  });

/** The body of `/api/chat`. */
export type ChatBody = Read<ReturnType<typeof chatBody>>;
