// Converts LangChain's messages to messages of chat templates.

import type { AIMessage, BaseMessage, ToolMessage } from '@langchain/core/messages';
import { describeValue } from '../core/check.js';
import { bytesOf } from '../frameworks/base64.js';
import { ArgumentError } from '../index.js';
import type { ChatMessage } from '../tokenizers/index.js';

const ROLES: Readonly<Record<string, string>> = { human: 'user', developer: 'system' };

/** Converts messages. Throws ArgumentError for content of other kinds than texts and images. */
export function templateMessages(messages: readonly BaseMessage[]): ChatMessage[] {
  return messages.map((message): ChatMessage => {
    const content = contentOf(message);
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

type Part = Exclude<BaseMessage['content'], string>[number];

/** One text, or parts if there are images. */
function contentOf({ content, text }: BaseMessage): ChatMessage['content'] {
  if (typeof content === 'string') return text;
  const other = content.find(({ type }) => !['text', 'image', 'image_url', ...OWN_KINDS].includes(type));
  if (other !== undefined)
    throw new ArgumentError(`ChatSimdformer: a message has content of type '${other.type}', expected text or images`);
  if (content.every(({ type }) => !type.startsWith('image'))) return text;
  return content.flatMap((part) => {
    if (OWN_KINDS.includes(part.type)) return [];
    return [part.type === 'text' ? { type: 'text', text: part.text } : { type: 'image', image: imageOf(part) }];
  });
}

/**
 * The bytes of an image: LangChain's blocks with `data`, or a data URL, as OpenAI's `image_url`. Remote images are not
 * fetched, because an address may come from a stranger.
 */
function imageOf(part: Part): Uint8Array {
  const { data, image_url: image, url = typeof image === 'object' ? (image as { url?: unknown })?.url : image } = part;
  if (data instanceof Uint8Array) return data;
  const [, base64] = /^(?:data:image\/[\w.+-]+;base64,)?([A-Za-z0-9+/=\s]+)$/.exec(String(data ?? url)) ?? [];
  if (base64 !== undefined) return bytesOf(base64);
  const expected = 'base64 in data, or a data URL: download remote images first';
  throw new ArgumentError(`ChatSimdformer: an image is ${describeValue(data ?? url)}, expected ${expected}`);
}

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
