// Requests of version 1 of Cohere's chats, as chats of OpenAI's API.

import type { ConversationRequest } from '../conversation.js';
import {
  anyObject,
  array,
  boolean,
  object,
  oneOf,
  optional,
  type Read,
  record,
  refusedField,
  type Schema,
  string,
  tagged,
} from '../schema.js';
import { jsonFormat, samplingOf, sharedFields } from './fields.js';

const NAME = { minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9_-]+$' };

const call = object({ name: string({ minLength: 1, maxLength: 256 }), parameters: anyObject });
const toolResults = array(object({ call, outputs: array(anyObject, { max: 256 }) }), { min: 1, max: 128 });

/** A message of the history. Answers of the server are sent back in this form. */
const message = tagged(
  'role',
  object({ role: oneOf(['USER']), message: string() }),
  object({ role: oneOf(['SYSTEM']), message: string() }),
  object({ role: oneOf(['CHATBOT']), message: string(), tool_calls: optional(array(call, { max: 128 })) }),
  object({ role: oneOf(['TOOL']), tool_results: toolResults }),
);

/** The types of JSON Schema by their names there and in Python. Types of elements, as in List[str], have no effect. */
const TYPES: Readonly<Record<string, string>> = {
  str: 'string',
  string: 'string',
  int: 'integer',
  integer: 'integer',
  float: 'number',
  number: 'number',
  bool: 'boolean',
  boolean: 'boolean',
  list: 'array',
  List: 'array',
  array: 'array',
  dict: 'object',
  Dict: 'object',
  object: 'object',
};

const tool = object({
  name: string(NAME),
  description: string(),
  parameter_definitions: optional(
    record(
      object({
        description: optional(string()),
        type: string({ maxLength: 64, pattern: `^(${Object.keys(TYPES).join('|')})(\\[[A-Za-z, ]+\\])?$` }),
        required: optional(boolean()),
      }),
      { max: 128 },
    ),
  ),
});

const format = tagged(
  'type',
  object({ type: oneOf(['text']) }),
  object({ type: oneOf(['json_object']), schema: optional(anyObject) }),
);

export const chatBody = (model: Schema<string>) =>
  object({
    model,
    message: string(),
    preamble: optional(string()),
    chat_history: optional(array(message, { max: 2048 })),
    tools: optional(array(tool, { max: 128 })),
    tool_results: optional(toolResults),
    response_format: optional(format),
    force_single_step: optional(boolean('Has no effect: an answer is one step.')),
    raw_prompting: optional(oneOf([false])),
    prompt_truncation: optional(oneOf(['OFF'])),
    search_queries_only: optional(oneOf([false])),
    citation_quality: optional(oneOf(['off', 'OFF'])),
    connectors: refusedField('write the texts that they find into a message'),
    conversation_id: refusedField("give 'chat_history'"),
    max_input_tokens: refusedField('the server has its own limit'),
    return_prompt: optional(oneOf([false])),
    ...sharedFields,
  });

export type ChatBody = Read<ReturnType<typeof chatBody>>;

/** Converts a request to the form of OpenAI's chats. */
export function requestOf(body: ChatBody): ConversationRequest {
  const { model, preamble, message: question, chat_history: history = [], tool_results: results, tools } = body;
  const { response_format: wanted } = body;
  const messages = new Messages();
  if (preamble !== undefined) messages.add({ role: 'system', content: preamble });
  for (const item of history) messages.addItem(item);
  if (question !== '') messages.add({ role: 'user', content: question });
  if (results !== undefined) messages.addResults(results);
  if (messages.all.length === 0) messages.add({ role: 'user', content: '' });
  return {
    ...samplingOf(body),
    model,
    messages: messages.all as ConversationRequest['messages'],
    tools: tools?.map(toolOf),
    response_format: jsonFormat(wanted, wanted?.type === 'json_object' ? wanted.schema : undefined),
  };
}

function toolOf({ name, description, parameter_definitions: parameters = {} }: Read<typeof tool>) {
  const entries = Object.entries(parameters);
  const properties = entries.map(([key, { type, description: about }]) => {
    return [key, { type: TYPES[type.replace(/\[.*/, '')], ...(about === undefined ? {} : { description: about }) }];
  });
  const required = entries.flatMap(([key, parameter]) => (parameter.required ? [key] : []));
  const schema = { type: 'object', properties: Object.fromEntries(properties), required, additionalProperties: false };
  return { type: 'function' as const, function: { name, description, parameters: schema, strict: undefined } };
}

type Results = Read<typeof toolResults>;

/** Messages of OpenAI's form. Calls of version 1 have no ids, so that they get some. */
class Messages {
  readonly all: object[] = [];
  /** The calls of the last message that have no result yet. */
  #open: { readonly id: string; readonly name: string }[] = [];
  #count = 0;

  add(item: object): void {
    this.all.push(item);
    this.#open = [];
  }

  addItem(item: NonNullable<ChatBody['chat_history']>[number]): void {
    if (item.role === 'USER') this.add({ role: 'user', content: item.message });
    else if (item.role === 'SYSTEM') this.add({ role: 'system', content: item.message });
    else if (item.role === 'TOOL') this.addResults(item.tool_results);
    else if (item.tool_calls === undefined || item.tool_calls.length === 0)
      this.add({ role: 'assistant', content: item.message });
    else this.#addCalls(item.message, item.tool_calls);
  }

  /** Adds results. If the message before them has none of their calls, a message with the calls comes first. */
  addResults(results: Results): void {
    if (!results.some(({ call: { name } }) => this.#open.some((open) => open.name === name)))
      this.#addCalls(
        '',
        results.map((result) => result.call),
      );
    for (const { call: called, outputs } of results) {
      const index = this.#open.findIndex(({ name }) => name === called.name);
      const [open] = this.#open.splice(Math.max(index, 0), 1);
      const content = JSON.stringify(outputs.length === 1 ? outputs[0] : outputs);
      const tool_call_id = open?.id ?? `call${this.#count++}`;
      this.all.push({ role: 'tool', name: called.name, tool_call_id, content });
    }
  }

  #addCalls(content: string, calls: readonly Read<typeof call>[]): void {
    const open = calls.map(({ name, parameters }) => ({ id: `call${this.#count++}`, name, parameters }));
    const tool_calls = open.map(({ id, name, parameters }) => {
      return { id, type: 'function', function: { name, arguments: JSON.stringify(parameters) } };
    });
    this.add({ role: 'assistant', content, tool_calls });
    this.#open = open;
  }
}
