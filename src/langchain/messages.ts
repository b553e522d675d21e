// Converts LangChain's messages to messages of chat templates.

import type { AIMessage, BaseMessage, ToolMessage } from '@langchain/core/messages';
import { ArgumentError } from '../index.js';
import type { ChatMessage } from '../tokenizers/index.js';

const ROLES: Readonly<Record<string, string>> = { human: 'user', developer: 'system' };

/** Converts messages. Throws ArgumentError for content that is not text. */
export function templateMessages(messages: readonly BaseMessage[]): ChatMessage[] {
  return messages.map((message): ChatMessage => {
    const content = textOf(message);
    switch (message.type) {
      case 'ai':
        return { role: 'assistant', content, ...callsOf(message as AIMessage), ...reasoningOf(message) };
      case 'tool': {
        const { tool_call_id, name } = message as ToolMessage;
        return { role: 'tool', content, tool_call_id, ...(name === undefined ? {} : { name }) };
      }
      case 'generic':
        return { role: (message as unknown as { role: string }).role, content };
      default:
        return { role: ROLES[message.type] ?? message.type, content };
    }
  });
}

/**
 * Kinds of content, other than text, that a model's own messages may have. Other fields contain them, too, so they are
 * skipped.
 */
const OWN_KINDS = ['reasoning', 'tool_call', 'tool_use'];

function textOf({ content, text }: BaseMessage): string {
  const other = typeof content === 'string' ? undefined : content.find(({ type }) => !isText(type));
  if (other === undefined) return text;
  throw new ArgumentError(`ChatSimdformer: a message has content of type '${other.type}', expected text`);
}

const isText = (type: string) => type === 'text' || OWN_KINDS.includes(type);

function callsOf({ tool_calls: calls = [] }: AIMessage): Partial<ChatMessage> {
  if (calls.length === 0) return {};
  return {
    tool_calls: calls.map(({ id, name, args }) => {
      return { ...(id === undefined ? {} : { id }), type: 'function' as const, function: { name, arguments: args } };
    }),
  };
}

function reasoningOf({ additional_kwargs: { reasoning_content: reasoning } }: BaseMessage): Partial<ChatMessage> {
  return typeof reasoning === 'string' ? { reasoning_content: reasoning } : {};
}
