// Requests of the Responses API as chats of OpenAI's API.

import type { ConversationRequest } from '../conversation.js';
import { ApiError } from '../errors.js';
import { effortVariables } from '../reasoning-effort.js';
import type { Read } from '../schema.js';
import type { messageContent, ResponseRequest } from './body.js';
import { idOf } from './items.js';

/** Returns the items of a request with ids and with their text in parts. */
export function inputItems(input: ResponseRequest['input']): object[] {
  const items: Items = typeof input === 'string' ? [{ role: 'user', content: input } as Items[number]] : input;
  return items.map((item) => {
    if (!('role' in item)) return { ...item, id: item.id ?? idOf('item') };
    const type = item.role === 'assistant' ? 'output_text' : 'input_text';
    const parts = typeof item.content === 'string' ? [{ type, text: item.content }] : item.content;
    const { id = idOf('msg'), status: itemStatus = 'completed', role } = item;
    return { id, type: 'message', status: itemStatus, role, content: parts };
  });
}

/** Converts a request to the form of OpenAI's chats. Instructions apply to one answer only. */
export function requestOf(body: ResponseRequest, messages: readonly object[]): ConversationRequest {
  const { instructions, tools, tool_choice: choice, reasoning } = body;
  const first = instructions === undefined ? [] : [{ role: 'system', content: instructions }];
  const wanted = body.text?.format;
  return {
    model: body.model,
    messages: [...first, ...messages] as ConversationRequest['messages'],
    max_tokens: body.max_output_tokens,
    temperature: body.temperature,
    top_p: body.top_p,
    tools: tools?.map(({ type, ...called }) => ({ type, function: called })),
    tool_choice: typeof choice === 'object' ? { type: 'function', function: { name: choice.name } } : choice,
    parallel_tool_calls: body.parallel_tool_calls,
    response_format: wanted?.type === 'json_schema' ? { type: wanted.type, json_schema: wanted } : wanted,
    chat_template_kwargs: effortVariables(reasoning?.effort),
    verbosity: body.text?.verbosity,
  } as ConversationRequest;
}

type Items = Exclude<ResponseRequest['input'], string>;

/** Converts items to messages of chats. Consecutive calls belong to one message, with the reasoning before them. */
export function messagesOf(input: ResponseRequest['input']): object[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  const messages: { role: string; tool_calls?: object[]; reasoning_content?: string; content?: string | object[] }[] =
    [];
  let reasoning: { reasoning_content?: string } = {};
  for (const item of input as Items) {
    if ('role' in item) {
      messages.push({ role: item.role, content: messageOfRole(item.role, item.content), ...reasoning });
    } else if (item.type === 'function_call_output') {
      messages.push({ role: 'tool', tool_call_id: item.call_id, content: messageOfRole('tool', item.output) } as never);
    } else if (item.type === 'function_call') {
      const call = { id: item.call_id, type: 'function', function: { name: item.name, arguments: item.arguments } };
      const last = messages.at(-1);
      if (last?.role === 'assistant') last.tool_calls = [...(last.tool_calls ?? []), call];
      else messages.push({ role: 'assistant', content: '', tool_calls: [call], ...reasoning });
    }
    const reasoningText = 'role' in item || item.type !== 'reasoning' ? '' : joined(item.content ?? '');
    reasoning = reasoningText === '' ? {} : { reasoning_content: reasoningText };
  }
  return messages;
}

/** Throws ApiError 400 for the output of a tool that no item before it calls, as OpenAI does. */
export function checkOutputs(messages: readonly object[]): void {
  const called = new Set<string>();
  for (const message of messages as readonly { tool_calls?: { id: string }[]; tool_call_id?: string }[]) {
    for (const { id } of message.tool_calls ?? []) called.add(id);
    const { tool_call_id: output } = message;
    if (output === undefined || called.has(output)) continue;
    throw new ApiError(400, `No tool call found for function call output with call_id ${output}.`, null, 'input');
  }
}

/**
 * Returns the text of parts, or the parts of chats if there are images. Throws ApiError 400 for images of another role
 * than the user and tools.
 */
function messageOfRole(role: string, content: Read<typeof messageContent>): string | object[] {
  if (typeof content === 'string') return content;
  const texts = content.flatMap((part) => (part.type === 'input_image' ? [] : [part]));
  if (texts.length === content.length) return joined(texts);
  if (role !== 'user' && role !== 'tool')
    throw new ApiError(
      400,
      `A message of '${role}' has an image, expected images of 'user' only`,
      'invalid_value',
      'input',
    );
  return content.map((part) =>
    part.type === 'input_image'
      ? { type: 'image_url', image_url: { url: part.image_url } }
      : { type: 'text', text: part.text },
  );
}

const joined = (content: string | readonly { readonly text: string }[]) =>
  typeof content === 'string' ? content : content.map((part) => part.text).join('');
