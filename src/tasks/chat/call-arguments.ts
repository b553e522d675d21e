import { isObject } from '../../core/check.js';
import type { ChatMessage, ChatToolCall } from '../../tokenizers/chat-template.js';

/**
 * Parses the arguments of tool calls, as templates write objects as JSON. OpenAI's clients send JSON, which many templates
 * would quote once more. Arguments that are not valid JSON stay unchanged.
 */
export function withParsedArguments(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map((message) =>
    Array.isArray(message.tool_calls) ? { ...message, tool_calls: message.tool_calls.map(parsed) } : message,
  );
}

/** Leaves malformed calls to the template, whose error says what is wrong. */
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
