// Conversations as clients send them, and as chat templates take them.

import { withParsedArguments } from '../tasks/chat/call-arguments.js';
import type { ChatMessage, ChatTool } from '../tokenizers/chat-template.js';
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

const MOST_MESSAGES = 2048;
const MOST_PARTS = 256;

/** Images, recordings and files are refused by what they are called. */
const textPart = tagged('type', { text: object({ type: oneOf(['text']), text: string() }) });
const content = anyOf<[string, Read<typeof textPart>[]]>(string(), array(textPart, { min: 1, max: MOST_PARTS }));
const name = optional(string({ maxLength: 256 }));

const toolCall = object({
  id: string({ maxLength: 256 }),
  type: oneOf(['function']),
  function: object({ name: string({ minLength: 1, maxLength: 256 }), arguments: string() }),
});

const message = tagged('role', {
  system: object({ role: oneOf(['system']), content, name }),
  developer: object({ role: oneOf(['developer']), content, name }),
  user: object({ role: oneOf(['user']), content, name }),
  assistant: object({
    role: oneOf(['assistant']),
    content: optional(content),
    name,
    refusal: optional(string()),
    tool_calls: optional(array(toolCall, { min: 1, max: 128 })),
    // What clients have of an answer of OpenAI's, and send back.
    annotations: optional(array(anyObject, { max: 0 })),
    audio: refusedField('leave it out, models write text'),
    function_call: refusedField("give 'tool_calls'"),
  }),
  tool: object({ role: oneOf(['tool']), content, tool_call_id: string({ maxLength: 256 }) }),
});

export const messages = array(message, { min: 1, max: MOST_MESSAGES });

export const tools = optional(
  array(
    object({
      type: oneOf(['function']),
      function: object({
        name: string({ minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9_-]+$' }),
        description: optional(string()),
        parameters: optional(anyObject),
        strict: optional(boolean),
      }),
    }),
    { max: 128 },
  ),
);

/** Messages as templates take them: text is one string, and the arguments of calls are objects. */
export function templateMessages(given: Read<typeof messages>): ChatMessage[] {
  const written = given.map((each): ChatMessage => {
    const { role, content: parts } = each;
    const text = typeof parts === 'string' ? parts : parts?.map((part) => part.text).join('');
    const rest = 'tool_calls' in each && each.tool_calls ? { tool_calls: each.tool_calls } : {};
    const called = each.role === 'tool' ? { tool_call_id: each.tool_call_id } : {};
    const named = 'name' in each && each.name !== undefined ? { name: each.name } : {};
    return { role: role === 'developer' ? 'system' : role, content: text ?? '', ...named, ...called, ...rest };
  });
  return withParsedArguments(written);
}

export function templateTools(given: Read<typeof tools>): ChatTool[] {
  return (given ?? []).map(({ type, function: called }) => ({
    type,
    function: { name: called.name, description: called.description ?? '', parameters: called.parameters ?? {} },
  }));
}

/** The names of tools whose calls are to fit their schemas. */
export function strictTools(given: Read<typeof tools>): ReadonlySet<string> {
  return new Set((given ?? []).flatMap(({ function: { name, strict } }) => (strict ? [name] : [])));
}
