// OpenAI's Responses API.

import { randomUUID } from 'node:crypto';
import {
  type Backend,
  type Conversation,
  type ConversationRequest,
  converse,
  type Part,
  wholeAnswer,
} from './conversation.js';
import { RESPONSES } from './dialect.js';
import { type Call, type Endpoint, endpoint } from './endpoint.js';
import { ApiError } from './errors.js';
import { ResponseStore } from './response-store.js';
import { constant, count, listOf, nullable, shape, text } from './responses.js';
import {
  anyObject,
  anyOf,
  array,
  boolean,
  integer,
  number,
  object,
  oneOf,
  optional,
  type Read,
  record,
  refusedField,
  type Schema,
  string,
  tagged,
} from './schema.js';

const ID = { maxLength: 256 };
const MAX_PARTS = 256;
const status = optional(string({ maxLength: 64 }));

const textParts = [
  object({ type: oneOf(['input_text']), text: string() }),
  object({
    type: oneOf(['output_text']),
    text: string(),
    annotations: optional(array(anyObject, { max: 0 })),
    logprobs: optional(array(anyObject, { max: 0 })),
  }),
] as const;
const part = tagged('type', ...textParts);
const content = anyOf(
  `text, or an array of at most ${MAX_PARTS} text parts`,
  string(),
  array(part, { max: MAX_PARTS }),
);

const imagePart = object({
  type: oneOf(['input_image']),
  image_url: string({ minLength: 1 }),
  detail: optional(oneOf(['auto', 'low', 'high', 'original'])),
  file_id: refusedField("give 'image_url'"),
});
const messageContent = anyOf(
  `text, or an array of at most ${MAX_PARTS} text and input_image parts`,
  string(),
  array(tagged('type', ...textParts, imagePart), { max: MAX_PARTS }),
);

const callItem = object({
  type: oneOf(['function_call']),
  id: optional(string(ID)),
  call_id: string(ID),
  name: string({ minLength: 1, maxLength: 256 }),
  arguments: string(),
  parsed_arguments: optional(anyObject), // a helper of OpenAI's client adds it
  status,
});
const item = anyOf(
  'a message, a function_call or a function_call_output',
  object({
    type: optional(oneOf(['message'])),
    id: optional(string(ID)),
    role: oneOf(['user', 'assistant', 'system', 'developer']),
    content: messageContent,
    status,
    phase: optional(string({ maxLength: 64 })),
  }),
  callItem,
  object({
    type: oneOf(['function_call_output']),
    id: optional(string(ID)),
    call_id: string(ID),
    output: content,
    status,
  }),
  object({
    type: oneOf(['reasoning']),
    id: optional(string(ID)),
    summary: optional(array(anyObject, { max: MAX_PARTS })),
    content: optional(array(object({ type: oneOf(['reasoning_text']), text: string() }), { max: MAX_PARTS })),
    encrypted_content: optional(string()),
    status,
  }),
);

const tool = object({
  type: oneOf(['function']),
  name: string({ minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9_-]+$' }),
  description: optional(string()),
  parameters: optional(anyObject),
  strict: optional(boolean()),
});

const format = tagged(
  'type',
  object({ type: oneOf(['text']) }),
  object({ type: oneOf(['json_object']) }),
  object({
    type: oneOf(['json_schema']),
    name: string({ minLength: 1, maxLength: 64 }),
    description: optional(string()),
    schema: anyObject,
    strict: optional(boolean()),
  }),
);

const responseBody = (model: Schema<string>) =>
  object({
    model,
    input: anyOf('text, or an array of items', string({ minLength: 1 }), array(item, { min: 1, max: 2048 })),
    instructions: optional(string()),
    previous_response_id: optional(string(ID)),
    max_output_tokens: optional(integer({ min: 1, max: 2 ** 31 - 1 })),
    temperature: optional(number({ min: 0, max: 2 })),
    top_p: optional(number({ min: 0, max: 1, above: true })),
    stream: optional(boolean()),
    stream_options: optional(object({ include_obfuscation: optional(boolean()) })),
    store: optional(boolean('False forgets the response at once. Default: true.')),
    tools: optional(array(tool, { max: 128 })),
    tool_choice: optional(
      anyOf(
        "one of none, auto, required, or an object like { type: 'function', name }",
        oneOf(['none', 'auto', 'required']),
        object({ type: oneOf(['function']), name: string({ minLength: 1, maxLength: 64 }) }),
      ),
    ),
    parallel_tool_calls: optional(boolean()),
    text: optional(object({ format: optional(format), verbosity: refusedField('say it in a message') })),
    reasoning: optional(
      object({
        effort: optional(oneOf(['none', 'minimal', 'low', 'medium', 'high', 'xhigh'])),
        summary: optional(oneOf(['auto', 'concise', 'detailed'])),
      }),
    ),
    metadata: optional(record(string({ maxLength: 512 }), { max: 16 })),
    include: optional(array(string(), { max: 16 })),
    truncation: optional(oneOf(['disabled'])),
    user: optional(string({ maxLength: 512 })),
    safety_identifier: optional(string({ maxLength: 512 })),
    prompt_cache_key: optional(string({ maxLength: 512 })),
    service_tier: optional(oneOf(['auto', 'default'])),
    background: optional(oneOf([false])),
    conversation: refusedField("give 'previous_response_id'"),
    prompt: refusedField("give 'input'"),
    max_tool_calls: refusedField('tools are called by the client'),
    top_logprobs: refusedField('use /v1/chat/completions'),
  });

type ResponseRequest = Read<ReturnType<typeof responseBody>>;

const RESPONSE = shape({
  id: text,
  object: constant('response'),
  created_at: count,
  status: { enum: ['completed', 'incomplete'] },
  model: text,
  output: listOf({ type: 'object' }),
  previous_response_id: nullable(text),
  usage: shape({ input_tokens: count, output_tokens: count, total_tokens: count }),
});

/** The endpoints of responses, which share what is kept of them. */
export function responses(backend: Backend, name: Schema<string>): Endpoint[] {
  const store = new ResponseStore();
  return [createResponse(backend, name, store), ...keptResponses(store)];
}

function keptResponses(store: ResponseStore): Endpoint[] {
  const parameters = [{ name: 'response_id', schema: { type: 'string' } }];
  const path = '/v1/responses/{response_id}';
  return [
    endpoint({
      ...{ method: 'get', path, parameters, operationId: 'retrieveResponse', response: RESPONSE },
      summary: 'Returns a response that the server keeps.',
      handle: async ({ prefixScope }, { response_id: id = '' }) => ({ json: store.get(id, prefixScope).response }),
    }),
    endpoint({
      ...{ method: 'delete', path, parameters, operationId: 'deleteResponse' },
      summary: 'Forgets a response.',
      response: shape({ id: text, object: constant('response'), deleted: { const: true } }),
      async handle({ prefixScope }, { response_id: id = '' }) {
        store.delete(id, prefixScope);
        return { json: { id, object: 'response', deleted: true } };
      },
    }),
    endpoint({
      ...{ method: 'get', path: `${path}/input_items`, parameters, operationId: 'listInputItems' },
      summary: 'Lists the items of the request of a response.',
      response: shape({ object: constant('list'), data: listOf({ type: 'object' }), has_more: { const: false } }),
      async handle({ prefixScope }, { response_id: id = '' }) {
        const data = store.get(id, prefixScope).input as readonly { id: string }[];
        const ends = { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
        return { json: { object: 'list', data, ...ends, has_more: false } };
      },
    }),
  ];
}

function createResponse(backend: Backend, name: Schema<string>, store: ResponseStore): Endpoint {
  return endpoint({
    method: 'post',
    path: '/v1/responses',
    operation: 'chat',
    operationId: 'createResponse',
    summary: 'Continues a conversation, by the Responses API.',
    dialect: RESPONSES,
    body: responseBody(name),
    response: RESPONSE,
    links: {
      parameter: 'response_id',
      operationIds: ['retrieveResponse', 'deleteResponse', 'listInputItems'],
    },
    streams: true,
    async handle(call) {
      const { body, prefixScope } = call;
      const before = body.previous_response_id ? store.get(body.previous_response_id, prefixScope).messages : [];
      const messages = [...before, ...messagesOf(body.input)];
      const conversation = await converse(backend, call, requestOf(body, messages));
      const answer = new ResponseAnswer(conversation, call);
      const keep = () => {
        if (body.store === false) return;
        const whole = [...messages, ...messagesOf(answer.items as never)];
        store.add(answer.id, prefixScope, { messages: whole, response: answer.json, input: inputItems(body.input) });
      };
      if (body.stream) return { events: answer.events(keep) };
      answer.add(await wholeAnswer(conversation));
      keep();
      return { json: answer.json };
    },
  });
}

/** Returns the items of a request with ids and with their text in parts. */
function inputItems(input: ResponseRequest['input']): object[] {
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
function requestOf(body: ResponseRequest, messages: readonly object[]): ConversationRequest {
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
function messagesOf(input: ResponseRequest['input']): object[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  const messages: { role: string; tool_calls?: object[]; reasoning_content?: string; content?: string | object[] }[] =
    [];
  let reasoning: { reasoning_content?: string } = {};
  for (const each of input as Items) {
    if ('role' in each) {
      messages.push({ role: each.role, content: saidOf(each.role, each.content), ...reasoning });
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
function saidOf(role: string, given: Read<typeof messageContent>): string | object[] {
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

const idOf = (prefix: string) => `${prefix}_${randomUUID().replaceAll('-', '')}`;

interface TextItem {
  readonly type: 'message' | 'reasoning';
  readonly id: string;
  status: string;
  readonly content: { readonly type: string; text: string }[];
}
interface CallItem {
  readonly type: 'function_call';
  readonly id: string;
  status: string;
  readonly call_id: string;
  readonly name: string;
  arguments: string;
}
type Item = TextItem | CallItem;

const messageItem = () => ({
  id: idOf('msg'),
  type: 'message' as const,
  status: 'in_progress',
  role: 'assistant',
  content: [{ type: 'output_text', text: '', annotations: [], logprobs: [] }],
});
const reasoningItem = () => ({
  id: idOf('rs'),
  type: 'reasoning' as const,
  status: 'in_progress',
  summary: [],
  content: [{ type: 'reasoning_text', text: '' }],
});
const callOf = (id: string, name: string) => ({
  id: idOf('fc'),
  type: 'function_call' as const,
  status: 'in_progress',
  call_id: id,
  name,
  arguments: '',
});

interface Event {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** An answer as a list of items. */
class ResponseAnswer {
  readonly id = idOf('resp');
  readonly items: Item[] = [];
  readonly #created = Math.floor(Date.now() / 1000);
  #status: 'in_progress' | 'completed' | 'incomplete' = 'in_progress';
  #reasoningTokens = 0;
  #sequence = 0;

  constructor(
    private readonly conversation: Conversation,
    private readonly call: Call<ResponseRequest>,
  ) {}

  add({ text: said, reasoning, reasoningTokens, calls, reason }: Awaited<ReturnType<typeof wholeAnswer>>): void {
    const completed = (each: Item): Item => Object.assign(each, { status: 'completed' });
    const fill = (each: TextItem, content: string) => {
      (each.content[0] as { text: string }).text = content;
      this.items.push(completed(each));
    };
    if (reasoning !== '') fill(reasoningItem(), reasoning);
    if (said !== '' || (calls.length === 0 && reasoning === '')) fill(messageItem(), said);
    for (const { id, name, arguments: given } of calls)
      this.items.push(completed({ ...callOf(id, name), arguments: given }));
    this.#reasoningTokens = reasoningTokens;
    this.#status = reason === 'length' ? 'incomplete' : 'completed';
  }

  get json() {
    const { body } = this.call;
    const { served, usage } = this.conversation;
    const isOver = this.#status !== 'in_progress';
    return {
      id: this.id,
      object: 'response',
      created_at: this.#created,
      status: this.#status,
      background: false,
      error: null,
      incomplete_details: this.#status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      instructions: body.instructions ?? null,
      max_output_tokens: body.max_output_tokens ?? null,
      metadata: body.metadata ?? {},
      model: served.id,
      output: this.items,
      parallel_tool_calls: body.parallel_tool_calls ?? true,
      previous_response_id: body.previous_response_id ?? null,
      reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
      store: body.store ?? true,
      temperature: body.temperature ?? 1,
      text: body.text ?? { format: { type: 'text' } },
      tool_choice: body.tool_choice ?? 'auto',
      tools: body.tools ?? [],
      top_p: body.top_p ?? 1,
      truncation: 'disabled',
      usage: isOver
        ? {
            input_tokens: usage.prompt,
            input_tokens_details: { cached_tokens: usage.cached },
            output_tokens: usage.completion,
            output_tokens_details: { reasoning_tokens: this.#reasoningTokens },
            total_tokens: usage.prompt + usage.completion,
          }
        : null,
    };
  }

  /** The events of the answer. `keep` is called before the last one. */
  async *events(keep: () => void): AsyncGenerator<object, void, void> {
    const event = (type: string, fields: object) => ({ type, sequence_number: this.#sequence++, ...fields });
    const copy = () => structuredClone(this.json);
    yield event('response.created', { response: copy() });
    yield event('response.in_progress', { response: copy() });
    for await (const each of this.conversation.parts()) {
      for (const { type, ...fields } of this.#eventsOf(each)) yield event(type, fields);
      if (each.type === 'reasoning') this.#reasoningTokens = this.conversation.usage.completion;
    }
    keep();
    yield event(`response.${this.#status}`, { response: copy() });
  }

  *#eventsOf(each: Part): Generator<Event, void, void> {
    const last = this.items.at(-1);
    const open = last?.status === 'in_progress' ? last : undefined;
    const kind = { text: 'message', reasoning: 'reasoning', arguments: 'function_call' } as const;
    if (each.type === 'end' || each.type === 'call' || (open && open.type !== kind[each.type])) {
      if (open) yield* this.#close(open);
    }
    if (each.type === 'end') {
      if (this.items.length === 0) {
        yield* this.#open(messageItem());
        yield* this.#close(this.items[0] as Item);
      }
      this.#status = each.reason === 'length' ? 'incomplete' : 'completed';
      return;
    }
    if (each.type === 'call') return yield* this.#open(callOf(each.id, each.name));
    if (this.items.at(-1)?.status !== 'in_progress')
      yield* this.#open(each.type === 'text' ? messageItem() : reasoningItem());
    const current = this.items.at(-1) as Item;
    const place = { item_id: current.id, output_index: this.items.length - 1 };
    if (current.type === 'function_call') {
      current.arguments += each.text;
      yield { type: 'response.function_call_arguments.delta', ...place, delta: each.text };
    } else {
      (current.content[0] as { text: string }).text += each.text;
      const logprobs = current.type === 'message' ? { logprobs: [] } : {};
      yield { type: `${textEvent(current)}.delta`, ...place, content_index: 0, delta: each.text, ...logprobs };
    }
  }

  *#open(opened: Item): Generator<Event, void, void> {
    this.items.push(opened);
    const place = { output_index: this.items.length - 1 };
    const shown = structuredClone(opened);
    yield {
      type: 'response.output_item.added',
      ...place,
      item: 'content' in shown ? { ...shown, content: [] } : shown,
    };
    if (opened.type === 'function_call') return;
    const first = structuredClone(opened.content[0]);
    yield { type: 'response.content_part.added', ...place, item_id: opened.id, content_index: 0, part: first };
  }

  *#close(closed: Item): Generator<Event, void, void> {
    closed.status = 'completed';
    const place = { item_id: closed.id, output_index: this.items.indexOf(closed) };
    if (closed.type === 'function_call') {
      const { name, arguments: given } = closed;
      yield { type: 'response.function_call_arguments.done', ...place, name, arguments: given };
    } else {
      const [first] = structuredClone(closed.content);
      const logprobs = closed.type === 'message' ? { logprobs: [] } : {};
      yield { type: `${textEvent(closed)}.done`, ...place, content_index: 0, text: first?.text, ...logprobs };
      yield { type: 'response.content_part.done', ...place, content_index: 0, part: first };
    }
    const { output_index } = place;
    yield { type: 'response.output_item.done', output_index, item: structuredClone(closed) };
  }
}

const textEvent = ({ type }: TextItem) => (type === 'message' ? 'response.output_text' : 'response.reasoning_text');
