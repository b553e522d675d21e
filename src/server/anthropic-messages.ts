// Anthropic's Messages API.

import { randomUUID } from 'node:crypto';
import { appliedEdits, checkEdits, contextManagement } from './anthropic-context.js';
import { type ChatRequest, promptTokens } from './chat-completions.js';
import { type Conversation, type ConversationRequest, converse, wholeAnswer } from './conversation.js';
import { ANTHROPIC } from './dialect.js';
import { type Endpoint, endpoint } from './endpoint.js';
import { ApiError } from './errors.js';
import { constant, count, listOf, nullable, shape, text } from './openapi-schemas.js';
import { effortVariables } from './reasoning-effort.js';
import { fieldOf } from './sampling.js';
import {
  anyObject,
  anyOf,
  array,
  boolean,
  integer,
  object,
  oneOf,
  optional,
  type Read,
  refusedField,
  type Schema,
  string,
  tagged,
} from './schema.js';
import { textModelOf } from './served-model.js';

const MAX_PARTS = 256;
const CALL_ID = { maxLength: 256 };

/** Prefixes are always cached, so the mark has no effect. */
const marks = { cache_control: optional(anyObject), citations: optional(array(anyObject, { max: 0 })) };
const textBlock = object({ type: oneOf(['text']), text: string(), ...marks });
const texts = anyOf(
  `text, or an array of at most ${MAX_PARTS} text blocks`,
  string(),
  array(tagged('type', textBlock), { max: MAX_PARTS }),
);

const imageBlock = object({
  type: oneOf(['image']),
  source: tagged(
    'type',
    object({
      type: oneOf(['base64']),
      media_type: oneOf(['image/jpeg', 'image/png', 'image/gif', 'image/webp']),
      data: string({ minLength: 1 }),
    }),
    object({ type: oneOf(['url']), url: string({ minLength: 1 }) }),
  ),
  cache_control: optional(anyObject),
});

/** A document is text here. Answers have no citations. */
const documentBlock = object({
  type: oneOf(['document']),
  source: tagged(
    'type',
    object({ type: oneOf(['text']), media_type: oneOf(['text/plain']), data: string() }),
    object({ type: oneOf(['content']), content: texts }),
  ),
  title: optional(string()),
  context: optional(string()),
  citations: optional(object({ enabled: optional(oneOf([false])) })),
  cache_control: optional(anyObject),
});

const block = tagged(
  'type',
  textBlock,
  imageBlock,
  documentBlock,
  object({
    type: oneOf(['tool_use']),
    id: string(CALL_ID),
    name: string({ minLength: 1, maxLength: 256 }),
    input: anyObject,
    caller: optional(anyObject),
    ...marks,
  }),
  object({
    type: oneOf(['tool_result']),
    tool_use_id: string(CALL_ID),
    content: optional(
      anyOf(
        `text, or an array of at most ${MAX_PARTS} text and image blocks`,
        string(),
        array(tagged('type', textBlock, imageBlock), { max: MAX_PARTS }),
      ),
    ),
    is_error: optional(boolean()),
    ...marks,
  }),
  object({ type: oneOf(['thinking']), thinking: string(), signature: optional(string()) }),
);

const message = object({
  role: oneOf(['user', 'assistant', 'system']),
  content: anyOf(`text, or an array of at most ${MAX_PARTS} blocks`, string(), array(block, { max: MAX_PARTS })),
});

const tool = object({
  type: optional(oneOf(['custom'])),
  name: string({ minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9_-]+$' }),
  description: optional(string()),
  input_schema: anyObject,
  strict: optional(boolean()),
  cache_control: optional(anyObject),
});

const parallel = { disable_parallel_tool_use: optional(boolean()) };
const toolChoice = tagged(
  'type',
  object({ type: oneOf(['auto']), ...parallel }),
  object({ type: oneOf(['any']), ...parallel }),
  object({ type: oneOf(['none']) }),
  object({ type: oneOf(['tool']), name: string({ minLength: 1, maxLength: 64 }), ...parallel }),
);

const ANTHROPIC_EFFORTS = ['low', 'medium', 'high', 'xhigh', 'max'] as const;
const thinking = tagged(
  'type',
  object({ type: oneOf(['enabled']), budget_tokens: optional(integer({ min: 1, max: 2 ** 31 - 1 })) }),
  object({ type: oneOf(['adaptive']) }),
  object({ type: oneOf(['disabled']) }),
);

const format = object({ type: oneOf(['json_schema']), schema: anyObject });

const promptFields = (model: Schema<string>) => ({
  model,
  messages: array(message, { min: 1, max: 2048 }),
  system: optional(texts),
  stop_sequences: optional(array(string({ minLength: 1, maxLength: 256 }), { max: 4 })),
  stream: optional(boolean()),
  temperature: fieldOf('temperature'),
  top_k: fieldOf('topK'),
  top_p: fieldOf('topP'),
  tools: optional(array(tool, { max: 128 })),
  tool_choice: optional(toolChoice),
  thinking: optional(thinking),
  output_config: optional(object({ format: optional(format), effort: optional(oneOf(ANTHROPIC_EFFORTS)) })),
  metadata: optional(object({ user_id: optional(string({ maxLength: 512 })) })),
  service_tier: optional(oneOf(['auto', 'standard_only'])),
  context_management: contextManagement,
  container: refusedField('leave it out'),
  mcp_servers: refusedField('let the client call them'),
  thread: refusedField('send all messages of the conversation'),
});

const messagesBody = (model: Schema<string>) =>
  object({ ...promptFields(model), max_tokens: integer({ min: 1, max: 2 ** 31 - 1 }) });

/** A request whose prompt is counted: the same without a limit of the answer. */
const countBody = (model: Schema<string>) => object(promptFields(model));

type MessagesRequest = Read<ReturnType<typeof messagesBody>>;

export function anthropicMessages(name: Schema<string>): Endpoint {
  return endpoint({
    method: 'post',
    path: '/v1/messages',
    operation: 'chat',
    operationId: 'createMessage',
    summary: "Continues a conversation, by Anthropic's API.",
    dialect: ANTHROPIC,
    body: messagesBody(name),
    response: shape({
      id: text,
      type: constant('message'),
      role: constant('assistant'),
      model: text,
      content: listOf({ type: 'object' }),
      stop_reason: { enum: ['end_turn', 'max_tokens', 'stop_sequence', 'tool_use'] },
      stop_sequence: nullable(text),
      usage: shape({ input_tokens: count, output_tokens: count, cache_read_input_tokens: count }),
    }),
    streams: true,
    async handle(call) {
      const { stream, model, context_management: edits } = call.body;
      if (edits) checkEdits(edits, textModelOf(await call.use(model)));
      const conversation = await converse(call, requestOf(call.body));
      if (stream) return { events: events(conversation, appliedEdits(edits)) };
      const { text: answerText, reasoning, calls, reason, stop } = await wholeAnswer(conversation);
      const content = [
        ...(reasoning === '' ? [] : [{ type: 'thinking', thinking: reasoning, signature: '' }]),
        ...(answerText === '' ? [] : [{ type: 'text', text: answerText, citations: null }]),
        ...calls.map(({ id, name: called, arguments: args }) => {
          return { type: 'tool_use', id, name: called, input: JSON.parse(args) };
        }),
      ];
      return {
        json: {
          ...messageOf(conversation),
          content,
          stop_reason: stopReason(reason, stop, calls.length > 0),
          stop_sequence: stop,
          ...appliedEdits(edits),
        },
      };
    },
  });
}

export function countMessageTokens(name: Schema<string>): Endpoint {
  return endpoint({
    method: 'post',
    path: '/v1/messages/count_tokens',
    operationId: 'countMessageTokens',
    summary: "Counts the tokens of a conversation, by Anthropic's API.",
    dialect: ANTHROPIC,
    body: countBody(name),
    response: shape({ input_tokens: count }),
    async handle(call) {
      const body = requestOf({ ...call.body, max_tokens: 1 }) as ChatRequest;
      const textModel = textModelOf(await call.use(body.model));
      return { json: { input_tokens: await promptTokens({ ...call, body }, textModel) } };
    },
  });
}

function messageOf({ served, usage }: Conversation) {
  return {
    id: `msg_${randomUUID().replaceAll('-', '')}`,
    type: 'message',
    role: 'assistant',
    model: served.id,
    content: [] as object[],
    stop_reason: null,
    stop_sequence: null,
    usage: {
      input_tokens: usage.prompt - usage.cached,
      cache_read_input_tokens: usage.cached,
      cache_creation_input_tokens: 0,
      output_tokens: usage.completion,
    },
  };
}

function stopReason(reason: 'stop' | 'length', stop: string | null, called: boolean): string {
  if (reason === 'length') return 'max_tokens';
  if (stop !== null) return 'stop_sequence';
  return called ? 'tool_use' : 'end_turn';
}

/** Blocks of the answer as they are generated. `edits` are fields for its end. */
async function* events(conversation: Conversation, edits: object): AsyncGenerator<object, void, void> {
  yield { type: 'message_start', message: messageOf(conversation) };
  let index = -1;
  let open: string | null = null;
  let called = false;
  const close = function* () {
    if (open !== null) yield { type: 'content_block_stop', index };
    open = null;
  };
  const begin = function* (kind: string, content_block: object) {
    yield* close();
    open = kind;
    index++;
    yield { type: 'content_block_start', index, content_block };
  };
  const delta = (fields: object) => ({ type: 'content_block_delta', index, delta: fields });
  for await (const part of conversation.parts()) {
    switch (part.type) {
      case 'text':
        if (open !== 'text') yield* begin('text', { type: 'text', text: '' });
        yield delta({ type: 'text_delta', text: part.text });
        break;
      case 'reasoning':
        if (open !== 'reasoning') yield* begin('reasoning', { type: 'thinking', thinking: '', signature: '' });
        yield delta({ type: 'thinking_delta', thinking: part.text });
        break;
      case 'call':
        called = true;
        yield* begin('call', { type: 'tool_use', id: part.id, name: part.name, input: {} });
        break;
      case 'arguments':
        yield delta({ type: 'input_json_delta', partial_json: part.text });
        break;
      case 'end': {
        yield* close();
        const stop_reason = stopReason(part.reason, part.stop, called);
        const { usage } = messageOf(conversation);
        yield { type: 'message_delta', delta: { stop_reason, stop_sequence: part.stop }, usage, ...edits };
      }
    }
  }
  yield { type: 'message_stop' };
}

/** Converts a request to the form of OpenAI's chats. */
function requestOf(body: MessagesRequest): ConversationRequest {
  const { system, tools, tool_choice: choice, thinking: thought, output_config: output } = body;
  checkToolResults(body.messages);
  const converted = body.messages.flatMap(messagesOf);
  const first = system === undefined ? [] : [{ role: 'system' as const, content: joined(system) }];
  const sampling = { temperature: body.temperature, top_p: body.top_p, top_k: body.top_k };
  return {
    model: body.model,
    messages: [...first, ...converted] as ConversationRequest['messages'],
    max_tokens: body.max_tokens,
    stop: body.stop_sequences,
    ...sampling,
    tools: tools?.map(({ name, description, input_schema: parameters, strict }) => {
      return { type: 'function' as const, function: { name, description, parameters, strict } };
    }),
    tool_choice: choiceOf(choice),
    parallel_tool_calls: choice && choice.type !== 'none' ? !choice.disable_parallel_tool_use : undefined,
    response_format: output?.format && {
      type: 'json_schema',
      json_schema: { name: 'answer', schema: output.format.schema, description: undefined, strict: true },
    },
    chat_template_kwargs: {
      ...effortVariables(output?.effort),
      ...(thought && { enable_thinking: thought.type !== 'disabled' }),
    },
  };
}

function choiceOf(choice: MessagesRequest['tool_choice']): ConversationRequest['tool_choice'] {
  if (choice === undefined) return undefined;
  if (choice.type === 'tool') return { type: 'function', function: { name: choice.name } };
  return choice.type === 'any' ? 'required' : choice.type;
}

const joined = (content: Read<typeof texts>) =>
  typeof content === 'string' ? content : content.map((part) => part.text).join('');

type Blocks = Exclude<MessagesRequest['messages'][number]['content'], string>;

/**
 * Returns the text of blocks, or OpenAI's parts if there are images. Throws ApiError 400 for images of the assistant.
 */
function messageOfRole(role: string, content: string | Blocks): string | object[] {
  if (typeof content === 'string') return content;
  const parts = content.flatMap(
    (part): ({ type: 'text'; text: string } | { type: 'image_url'; image_url: object })[] => {
      if (part.type === 'text') return [{ type: 'text', text: part.text }];
      if (part.type === 'document') return [{ type: 'text', text: documentText(part) }];
      if (part.type !== 'image') return [];
      const { source } = part;
      const url = source.type === 'url' ? source.url : `data:${source.media_type};base64,${source.data}`;
      return [{ type: 'image_url', image_url: { url } }];
    },
  );
  const hasImages = parts.some(({ type }) => type === 'image_url');
  if (hasImages && role === 'assistant')
    throw new ApiError(
      400,
      `A message of '${role}' has an image, expected images of 'user' only`,
      'invalid_value',
      'messages',
    );
  if (hasImages) return parts;
  return parts.map((part) => ('text' in part ? part.text : '')).join('');
}

/** Returns the text of a document, with an empty line below it. */
function documentText({ title, context, source }: Read<typeof documentBlock>): string {
  const content = source.type === 'text' ? source.data : joined(source.content);
  return [title, context, content, '\n'].filter((part) => part !== undefined).join('\n');
}

/** Throws ApiError 400 for the result of a tool that answers no call of the assistant's message before it, as Anthropic does. */
function checkToolResults(messages: MessagesRequest['messages']): void {
  let called: ReadonlySet<string> = new Set();
  for (const [i, { role, content }] of messages.entries()) {
    const blocks = typeof content === 'string' ? [] : content;
    for (const [j, part] of blocks.entries())
      if (part.type === 'tool_result' && !called.has(part.tool_use_id)) {
        const param = `messages[${i}].content[${j}].tool_use_id`;
        const expected = "expected the id of a 'tool_use' block in the message of 'assistant' before it";
        throw new ApiError(
          400,
          `'${param}' is ${JSON.stringify(part.tool_use_id)}, ${expected}`,
          'invalid_value',
          param,
        );
      }
    if (role === 'assistant') called = new Set(blocks.flatMap((part) => (part.type === 'tool_use' ? [part.id] : [])));
  }
}

/**
 * Converts a message. OpenAI has separate messages for the results of tools; they come before the text of the same
 * message.
 */
function messagesOf({ role, content }: MessagesRequest['messages'][number]): object[] {
  if (typeof content === 'string') return [{ role, content }];
  const messageContent = messageOfRole(role, content);
  const reasoning = content.map((part) => (part.type === 'thinking' ? part.thinking : '')).join('');
  const calls = content.flatMap((part) =>
    part.type === 'tool_use'
      ? [{ id: part.id, type: 'function', function: { name: part.name, arguments: JSON.stringify(part.input) } }]
      : [],
  );
  const results = content.flatMap((part) =>
    part.type === 'tool_result'
      ? [{ role: 'tool', tool_call_id: part.tool_use_id, content: messageOfRole('tool', part.content ?? '') }]
      : [],
  );
  const isMessage = messageContent !== '' || calls.length > 0 || results.length === 0;
  const message = {
    role,
    content: messageContent,
    ...(calls.length > 0 ? { tool_calls: calls } : {}),
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
  };
  return [...results, ...(isMessage ? [message] : [])];
}
