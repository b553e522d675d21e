// Requests of the Responses API as chats of OpenAI's API.

import type { ConversationRequest } from '../conversation.js';
import { ApiError } from '../errors.js';
import type { Read } from '../schema.js';
import type { messageContent, ResponseRequest } from './body.js';
import { idOf } from './items.js';

/** Returns the items of a request with ids and with their text in parts. */
export function inputItems(input: ResponseRequest['input']): object[] {
  const items: Items = typeof input === 'string' ? [{ role: 'user', content: input } as Items[number]] : input;
  return items.map((each) => {
    if (!('role' in each)) return { ...each, id: each.id ?? idOf('item') };
    const type = each.role === 'assistant' ? 'output_text' : 'input_text';
    const parts = typeof each.content === 'string' ? [{ type, text: each.content }] : each.content;
    const { id = idOf('msg'), status: given = 'completed', role } = each;
    return { id, type: 'message', status: given, role, content: parts };
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
    chat_template_kwargs: reasoning?.effort && {
      enable_thinking: reasoning.effort !== 'none',
      reasoning_effort: reasoning.effort,
    },
  } as ConversationRequest;
}

type Items = Exclude<ResponseRequest['input'], string>;

/** Converts items to messages of chats. Consecutive calls belong to one message, with the reasoning before them. */
export function messagesOf(input: ResponseRequest['input']): object[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  const messages: { role: string; tool_calls?: object[]; reasoning_content?: string; content?: string | object[] }[] =
    [];
  let reasoning: { reasoning_content?: string } = {};
  for (const each of input as Items) {
    if ('role' in each) {
      messages.push({ role: each.role, content: messageOfRole(each.role, each.content), ...reasoning });
    } else if (each.type === 'function_call_output') {
      messages.push({ role: 'tool', tool_call_id: each.call_id, content: joined(each.output) } as never);
    } else if (each.type === 'function_call') {
      const call = { id: each.call_id, type: 'function', function: { name: each.name, arguments: each.arguments } };
      const last = messages.at(-1);
      if (last?.role === 'assistant') last.tool_calls = [...(last.tool_calls ?? []), call];
      else messages.push({ role: 'assistant', content: '', tool_calls: [call], ...reasoning });
    }
    const said = 'role' in each || each.type !== 'reasoning' ? '' : joined(each.content ?? '');
    reasoning = said === '' ? {} : { reasoning_content: said };
  }
  return messages;
}

/**
 * Returns the text of parts, or the parts of chats if there are images. Throws ApiError 400 for images of another role
 * than the user.
 */
function messageOfRole(role: string, given: Read<typeof messageContent>): string | object[] {
  if (typeof given === 'string') return given;
  const texts = given.flatMap((each) => (each.type === 'input_image' ? [] : [each]));
  if (texts.length === given.length) return joined(texts);
  if (role !== 'user')
    throw new ApiError(
      400,
      `A message of '${role}' has an image, expected images of 'user' only`,
      'invalid_value',
      'input',
    );
  return given.map((each) =>
    each.type === 'input_image'
      ? { type: 'image_url', image_url: { url: each.image_url } }
      : { type: 'text', text: each.text },
  );
}

const joined = (given: string | readonly { readonly text: string }[]) =>
  typeof given === 'string' ? given : given.map((each) => each.text).join('');
