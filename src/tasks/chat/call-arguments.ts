// Messages with tool calls, as chat templates expect them.

import { isObject } from '../../core/check.js';
import type { ChatMessage, ChatToolCall } from '../../tokenizers/chat-template.js';

/** Returns messages for a template: arguments are objects, and ids do not differ from run to run. */
export function withReadyCalls(messages: readonly ChatMessage[]): ChatMessage[] {
  return withNumberedCalls(withParsedArguments(messages));
}

/** An id as simdformer and OpenAI write them. */
const RANDOM_ID = /^call_[A-Za-z0-9]{24}$/;

/**
 * Replaces random ids of tool calls, and of the messages that answer them, by the number of the call in the
 * conversation. Templates that write ids then give equal prompts for equal conversations. Mistral's templates need
 * nine characters.
 */
function withNumberedCalls(messages: readonly ChatMessage[]): ChatMessage[] {
  const numbered = new Map<unknown, string>();
  let count = 0;
  const ofCall = (call: ChatToolCall): ChatToolCall => {
    const newId = `call${String(++count).padStart(5, '0')}`;
    const id: unknown = call?.id;
    if (typeof id !== 'string' || !RANDOM_ID.test(id)) return call;
    numbered.set(id, newId);
    return { ...call, id: newId };
  };
  return messages.map((message) => {
    const { tool_calls: calls, tool_call_id: answered } = message;
    const newId = numbered.get(answered);
    return {
      ...message,
      ...(Array.isArray(calls) ? { tool_calls: calls.map(ofCall) } : {}),
      ...(newId === undefined ? {} : { tool_call_id: newId }),
    };
  });
}

/**
 * Parses the arguments of tool calls. OpenAI's clients send them as JSON in a string. Templates expect objects and
 * write them as JSON themselves; they would quote a string again. Arguments that are not valid JSON stay unchanged.
 */
export function withParsedArguments(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map((message) =>
    Array.isArray(message.tool_calls) ? { ...message, tool_calls: message.tool_calls.map(parsed) } : message,
  );
}

/** Parses the arguments of a call. Malformed calls stay unchanged, because the error of the template describes them. */
function parsed(call: ChatToolCall): ChatToolCall {
  const json: unknown = call?.function?.arguments;
  if (typeof json !== 'string') return call;
  try {
    const value: unknown = JSON.parse(json || '{}');
    return isObject(value) ? { ...call, function: { ...call.function, arguments: value } } : call;
  } catch {
    return call;
  }
}
