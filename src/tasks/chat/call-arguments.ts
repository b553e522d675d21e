import { isObject } from '../../core/check.js';
import type { ChatMessage, ChatToolCall } from '../../tokenizers/chat-template.js';

/**
 * Messages whose calls of tools have objects as arguments, which templates write as JSON: OpenAI's clients send JSON, which
 * many templates would quote once more. What a model wrote may be no JSON, and stays as it is.
 */
export function withParsedArguments(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map((message) =>
    Array.isArray(message.tool_calls) ? { ...message, tool_calls: message.tool_calls.map(parsed) } : message,
  );
}

/** Templates say what is wrong with what is no call. */
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
