// Conversations as clients send them, and as chat templates expect them.

import { withReadyCalls } from '../tasks/chat/call-arguments.js';
import type { ChatMessage, ChatTool } from '../tokenizers/chat-template.js';
import { chatPath, type FieldNames } from './dialect.js';
import { ApiError } from './errors.js';
import { checkNesting } from './nesting.js';
import {
  anyObject,
  anyOf,
  array,
  boolean,
  object,
  oneOf,
  optional,
  type Read,
  refusedField,
  string,
  tagged,
} from './schema.js';

const MAX_MESSAGES = 2048;
const MAX_PARTS = 256;

/** A part of a message. Audio and files are refused by name. */
const textPart = object({ type: oneOf(['text']), text: string() });
const content = anyOf(
  `text, or an array of 1 to ${MAX_PARTS} text parts`,
  string(),
  array(tagged('type', textPart), { min: 1, max: MAX_PARTS }),
);
/** Fields of an answer that OpenAI's agents send back in each of its parts. They have no effect. */
const answerFields = {
  role: optional(oneOf(['assistant'])),
  refusal: optional(string()),
  reasoning_content: optional(string()),
  annotations: optional(array(anyObject, { max: 0 })),
  tool_calls: optional(array(anyObject, { max: 128 })),
};
const answerPart = object({ ...answerFields, type: oneOf(['text']), text: string() });
/** A part of an answer in which a model refuses. Clients send it back. */
const refusalPart = object({ ...answerFields, type: oneOf(['refusal']), refusal: string() });
const assistantContent = anyOf(
  `text, or an array of 1 to ${MAX_PARTS} text and refusal parts`,
  string(),
  array(tagged('type', answerPart, refusalPart), { min: 1, max: MAX_PARTS }),
);
const imagePart = object({
  type: oneOf(['image_url']),
  image_url: object({ url: string(), detail: optional(oneOf(['auto', 'low', 'high'])) }),
});
const userContent = anyOf(
  `text, or an array of 1 to ${MAX_PARTS} text and image_url parts`,
  string(),
  array(tagged('type', textPart, imagePart), { min: 1, max: MAX_PARTS }),
);
const name = optional(string({ maxLength: 256 }));

const toolCall = object({
  id: string({ maxLength: 256 }),
  type: oneOf(['function']),
  function: object({ name: string({ minLength: 1, maxLength: 256 }), arguments: string() }),
});

const message = tagged(
  'role',
  object({ role: oneOf(['system']), content, name }),
  object({ role: oneOf(['developer']), content, name }),
  object({ role: oneOf(['user']), content: userContent, name }),
  object({
    role: oneOf(['assistant']),
    content: optional(assistantContent),
    name,
    refusal: optional(string()),
    reasoning_content: optional(string()),
    tool_calls: optional(array(toolCall, { min: 1, max: 128 })),
    // Clients send these fields of OpenAI's answers back.
    annotations: optional(array(anyObject, { max: 0 })),
    audio: refusedField('leave it out, models write text'),
    function_call: refusedField("give 'tool_calls'"),
  }),
  object({ role: oneOf(['tool']), content: userContent, tool_call_id: string({ maxLength: 256 }) }),
);

export const messages = array(message, { min: 1, max: MAX_MESSAGES });

export const tools = optional(
  array(
    tagged(
      'type',
      object({
        type: oneOf(['function']),
        function: object({
          name: string({ minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9_-]+$' }),
          description: optional(string()),
          parameters: optional(anyObject),
          strict: optional(boolean()),
        }),
      }),
    ),
    { max: 128 },
  ),
);

/**
 * Messages for templates: the text is one string unless there are images, and arguments of calls are objects. Throws
 * ApiError 400.
 */
export function templateMessages(requestMessages: Read<typeof messages>, fields: FieldNames): ChatMessage[] {
  checkArguments(requestMessages, fields);
  const written = requestMessages.map((item): ChatMessage => {
    const { role, content: parts } = item;
    const text = typeof parts === 'string' ? parts : contentOf(parts ?? []);
    const rest = 'tool_calls' in item && item.tool_calls ? { tool_calls: item.tool_calls } : {};
    const called = item.role === 'tool' ? { tool_call_id: item.tool_call_id } : {};
    const named = 'name' in item && item.name !== undefined ? { name: item.name } : {};
    const thought =
      'reasoning_content' in item && item.reasoning_content !== undefined
        ? { reasoning_content: item.reasoning_content }
        : {};
    return {
      role: role === 'developer' ? 'system' : role,
      content: text ?? '',
      ...named,
      ...called,
      ...rest,
      ...thought,
    };
  });
  return withReadyCalls(written);
}

/**
 * Throws ApiError 400 for the result of a tool that answers no call of the message before it, as OpenAI does. Only
 * other results may be between them.
 */
export function checkToolResults(requestMessages: Read<typeof messages>): void {
  let called: ReadonlySet<string> | null = null;
  for (const [i, item] of requestMessages.entries()) {
    if (item.role !== 'tool') {
      called = item.role === 'assistant' && item.tool_calls ? new Set(item.tool_calls.map(({ id }) => id)) : null;
    } else if (called === null) {
      const message = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.";
      throw new ApiError(400, `Invalid parameter: ${message}`, 'invalid_value', `messages[${i}].role`);
    } else if (!called.has(item.tool_call_id)) {
      const message = `'tool_call_id' of '${item.tool_call_id}' not found in 'tool_calls' of previous message.`;
      throw new ApiError(400, `Invalid parameter: ${message}`, 'invalid_value', `messages[${i}].tool_call_id`);
    }
  }
}

/** Joins parts to one text, unless some are images. */
function contentOf(parts: readonly PartOfMessage[]): ChatMessage['content'] {
  if (parts.some(({ type }) => type === 'image_url')) return parts as readonly Readonly<Record<string, unknown>>[];
  return parts.map((part) => (part.type === 'text' ? part.text : part.type === 'refusal' ? part.refusal : '')).join('');
}

type PartOfMessage =
  | Read<typeof textPart>
  | Read<typeof answerPart>
  | Read<typeof imagePart>
  | Read<typeof refusalPart>;

export function templateTools(requestTools: Read<typeof tools>): ChatTool[] {
  return (requestTools ?? []).map(({ type, function: called }) => ({
    type,
    function: { name: called.name, description: called.description ?? '', parameters: called.parameters ?? {} },
  }));
}

/** Checks the nesting of arguments. They are JSON in a string, which templates write recursively. */
function checkArguments(requestMessages: Read<typeof messages>, fields: FieldNames): void {
  for (const [i, message] of requestMessages.entries()) {
    if (message.role !== 'assistant') continue;
    for (const [j, call] of (message.tool_calls ?? []).entries()) {
      const param = chatPath(fields, `[${i}].tool_calls[${j}].function.arguments`);
      checkNesting(Buffer.from(call.function.arguments), `'${param}'`, param);
    }
  }
}

/** Returns the names of tools with `strict`: the arguments of their calls must satisfy their schemas. */
export function strictTools(requestTools: Read<typeof tools>): ReadonlySet<string> {
  return new Set((requestTools ?? []).flatMap(({ function: { name, strict } }) => (strict ? [name] : [])));
}
