// Requests of Ollama's API as chats of OpenAI's API.

import type { ConversationRequest } from '../conversation.js';
import { effortVariables } from '../reasoning-effort.js';
import type { ChatBody } from './bodies.js';

/** Converts a request to the form of OpenAI's chats. */
export function requestOf({
  model,
  messages,
  tools,
  options: modelOptions,
  format: wanted,
  think,
  logprobs,
  top_logprobs,
}: ChatBody): ConversationRequest {
  const {
    num_predict: max,
    repeat_penalty,
    ...sampling
  } = (modelOptions ?? {}) as Partial<NonNullable<ChatBody['options']>>;
  const choosing = ['temperature', 'top_k', 'top_p', 'min_p', 'typical_p', 'seed', 'stop'];
  const known = [...choosing, 'presence_penalty', 'frequency_penalty'];
  return {
    ...Object.fromEntries(Object.entries(sampling).filter(([name]) => known.includes(name))),
    repetition_penalty: repeat_penalty,
    model,
    messages: messagesOf(messages),
    tools,
    logprobs,
    top_logprobs,
    max_tokens: max !== undefined && max > 0 ? max : undefined,
    response_format: formatOf(wanted),
    chat_template_kwargs: typeof think === 'boolean' ? { enable_thinking: think } : effortVariables(think),
  } as unknown as ConversationRequest;
}

/**
 * Converts messages. Calls and results may have no ids in Ollama's API. A result without one answers the first open
 * call of its tool, or else the first open call. As at Ollama, a result may also answer no call.
 */
function messagesOf(messages: ChatBody['messages']): object[] {
  let count = 0;
  const open: { id: string; name: string }[] = [];
  const answered = (tool: string | undefined) =>
    (open.find(({ name }) => name === tool) ?? open[0])?.id ?? `call${count++}`;
  return messages.map((message) => {
    const { role, content = '', images = [], thinking, tool_calls: calls = [], tool_name, tool_call_id } = message;
    const tool_calls = calls.map(({ id = `call${count++}`, function: { name, arguments: args } }) => {
      open.push({ id, name });
      return { id, type: 'function', function: { name, arguments: JSON.stringify(args) } };
    });
    const result = role === 'tool' ? (tool_call_id ?? answered(tool_name)) : undefined;
    const index = open.findIndex(({ id }) => id === result);
    if (index >= 0) open.splice(index, 1);
    const parts = images.map((url) => ({ type: 'image_url', image_url: { url } }));
    return {
      role,
      content: parts.length > 0 ? [...parts, { type: 'text', text: content }] : content,
      ...(thinking === undefined ? {} : { reasoning_content: thinking }),
      ...(tool_name === undefined ? {} : { name: tool_name }),
      ...(result === undefined ? {} : { tool_call_id: result }),
      ...(tool_calls.length === 0 ? {} : { tool_calls }),
    };
  });
}

function formatOf(wanted: ChatBody['format']) {
  if (wanted === undefined || wanted === '') return undefined;
  if (wanted === 'json') return { type: 'json_object' };
  return { type: 'json_schema', json_schema: { name: 'answer', schema: wanted } };
}
