import { isObject } from '../../core/check.js';
import type { ChatMessage, ChatToolCall } from '../../tokenizers/chat-template.js';

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
