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
}: ChatBody): ConversationRequest {
  const {
    num_predict: max,
    repeat_penalty,
    ...sampling
  } = (modelOptions ?? {}) as Partial<NonNullable<ChatBody['options']>>;
  const choosing = ['temperature', 'top_k', 'top_p', 'min_p', 'typical_p', 'seed', 'stop'];
  const known = [...choosing, 'presence_penalty', 'frequency_penalty'];
  let calls = 0;
  let answered = 0;
  return {
    ...Object.fromEntries(Object.entries(sampling).filter(([name]) => known.includes(name))),
    repetition_penalty: repeat_penalty,
    model,
    // Calls may have no ids in Ollama's API; then results answer them in order.
    messages: messages.map(({ role, content = '', thinking, tool_calls, tool_name, tool_call_id }) => ({
      role,
      content,
      ...(thinking === undefined ? {} : { reasoning_content: thinking }),
      ...(tool_name === undefined ? {} : { name: tool_name }),
      ...(role === 'tool' ? { tool_call_id: tool_call_id ?? `call${answered++}` } : {}),
      ...(tool_calls === undefined || tool_calls.length === 0
        ? {}
        : {
            tool_calls: tool_calls.map(({ id, function: called }) => ({
              id: id ?? `call${calls++}`,
              type: 'function',
              function: { name: called.name, arguments: JSON.stringify(called.arguments) },
            })),
          }),
    })),
    tools,
    max_tokens: max !== undefined && max > 0 ? max : undefined,
    response_format: formatOf(wanted),
    chat_template_kwargs: typeof think === 'boolean' ? { enable_thinking: think } : effortVariables(think),
  } as unknown as ConversationRequest;
}

function formatOf(wanted: ChatBody['format']) {
  if (wanted === undefined || wanted === '') return undefined;
  if (wanted === 'json') return { type: 'json_object' };
  return { type: 'json_schema', json_schema: { name: 'answer', schema: wanted } };
}
