// Chats by version 2 of Cohere's API.

import { randomUUID } from 'node:crypto';
import type { TokenLogprobs } from '../answer-text.js';
import { checkToolResults, tools } from '../chat-messages.js';
import { type Conversation, type ConversationRequest, converse, wholeAnswer } from '../conversation.js';
import { COHERE_CHAT } from '../dialect.js';
import { type Endpoint, endpoint } from '../endpoint.js';
import { constant, count, listOf, shape, text, toolCall } from '../openapi-schemas.js';
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
  type Schema,
  string,
  tagged,
} from '../schema.js';
import { jsonFormat, samplingOf, sharedFields, tokenSchemas, tokensOf } from './fields.js';

const MAX_PARTS = 256;
const CALL_ID = { maxLength: 256 };

const textPart = object({ type: oneOf(['text']), text: string() });
const imagePart = object({
  type: oneOf(['image_url']),
  image_url: object({ url: string(), detail: optional(oneOf(['auto', 'low', 'high'])) }),
});
const thinkingPart = object({ type: oneOf(['thinking']), thinking: string() });
const documentPart = object({
  type: oneOf(['document']),
  document: object({ id: optional(string(CALL_ID)), data: anyOf('text, or an object', string(), anyObject) }),
});

/** The content of messages: text, or parts of some kinds. */
const contentOf = <P extends Schema>(kinds: string, part: P) =>
  anyOf(
    `text, or an array of at most ${MAX_PARTS} ${kinds} parts`,
    string(),
    array(part, { max: MAX_PARTS }),
  ) as Schema<string | Read<P>[]>;

const call = object({
  id: string(CALL_ID),
  type: oneOf(['function']),
  function: object({ name: string({ minLength: 1, maxLength: 256 }), arguments: string() }),
});

const message = tagged(
  'role',
  object({ role: oneOf(['user']), content: contentOf('text and image_url', tagged('type', textPart, imagePart)) }),
  object({ role: oneOf(['system']), content: contentOf('text', tagged('type', textPart)) }),
  object({
    role: oneOf(['assistant']),
    content: optional(contentOf('text and thinking', tagged('type', textPart, thinkingPart))),
    tool_plan: optional(string()),
    tool_calls: optional(array(call, { max: 128 })),
    citations: optional(array(anyObject, { max: 1024 })),
  }),
  object({
    role: oneOf(['tool']),
    content: contentOf('text and document', tagged('type', textPart, documentPart)),
    tool_call_id: string(CALL_ID),
  }),
);

const format = tagged(
  'type',
  object({ type: oneOf(['text']) }),
  object({ type: oneOf(['json_object']), json_schema: optional(anyObject) }),
);

const chatBody = (model: Schema<string>) =>
  object({
    model,
    messages: array(message, { min: 1, max: 2048 }),
    tools,
    strict_tools: optional(boolean()),
    tool_choice: optional(oneOf(['REQUIRED', 'NONE'])),
    response_format: optional(format),
    logprobs: optional(boolean()),
    thinking: optional(
      object({
        type: oneOf(['enabled', 'disabled']),
        token_budget: optional(integer({ min: 1, max: 2 ** 31 - 1, description: 'Has no effect.' })),
      }),
    ),
    citation_options: optional(object({ mode: optional(oneOf(['OFF', 'DISABLED'])) })),
    ...sharedFields,
  });

type ChatBody = Read<ReturnType<typeof chatBody>>;

/** The endpoint at `/v2/chat`. */
export function cohereChat(name: Schema<string>): Endpoint {
  return endpoint({
    method: 'post',
    path: '/v2/chat',
    operation: 'chat',
    operationId: 'cohereChat',
    summary: "Continues a conversation, by version 2 of Cohere's API.",
    dialect: COHERE_CHAT,
    body: chatBody(name),
    response: shape(
      {
        id: text,
        message: shape(
          { role: constant('assistant'), content: listOf({ type: 'object' }), tool_calls: listOf(toolCall) },
          ['content', 'tool_calls'],
        ),
        finish_reason: { enum: ['COMPLETE', 'STOP_SEQUENCE', 'MAX_TOKENS', 'TOOL_CALL'] },
        usage: shape(tokenSchemas),
        logprobs: listOf(shape({ text, token_ids: listOf(count), logprobs: listOf({ type: 'number' }) })),
      },
      ['logprobs'],
    ),
    streams: true,
    async handle({ body, ...call }) {
      const conversation = await converse({ ...call, body }, requestOf(body));
      if (body.stream) return { events: events(conversation) };
      const { text: said, reasoning, calls, reason, stop, logprobs } = await wholeAnswer(conversation);
      const content = [
        ...(reasoning === '' ? [] : [{ type: 'thinking', thinking: reasoning }]),
        ...(said === '' ? [] : [{ type: 'text', text: said }]),
      ];
      const tool_calls = calls.map(({ id, ...called }) => ({ id, type: 'function', function: called }));
      return {
        json: {
          id: randomUUID(),
          message: {
            role: 'assistant',
            ...(content.length === 0 ? {} : { content }),
            ...(tool_calls.length === 0 ? {} : { tool_calls }),
          },
          finish_reason: finishReason(reason, stop, calls.length > 0),
          usage: tokensOf(conversation.usage),
          ...(body.logprobs ? { logprobs: logprobs.map((token) => logprobOf([token])) } : {}),
        },
      };
    },
  });
}

function finishReason(reason: 'stop' | 'length', stop: string | null, called: boolean): string {
  if (reason === 'length') return 'MAX_TOKENS';
  if (stop !== null) return 'STOP_SEQUENCE';
  return called ? 'TOOL_CALL' : 'COMPLETE';
}

const logprobOf = (tokens: readonly TokenLogprobs[]) => ({
  text: tokens.map(({ token }) => token).join(''),
  token_ids: tokens.map(({ id }) => id),
  logprobs: tokens.map(({ logprob }) => logprob),
});

/** Parts of the answer as they are generated. Contents and calls are counted separately, as at Cohere. */
async function* events(conversation: Conversation): AsyncGenerator<object, void, void> {
  const event = (type: string, index: number, message?: object) => {
    return { type, index, ...(message === undefined ? {} : { delta: { message } }) };
  };
  let contents = -1;
  let calls = -1;
  let open: 'text' | 'thinking' | 'call' | null = null;
  const close = function* () {
    if (open === 'call') yield event('tool-call-end', calls);
    else if (open !== null) yield event('content-end', contents);
    open = null;
  };
  const content = function* (kind: 'text' | 'thinking', piece: string, logprobs: readonly TokenLogprobs[] = []) {
    if (open !== kind) {
      yield* close();
      open = kind;
      yield event('content-start', ++contents, { content: { type: kind, [kind]: '' } });
    }
    const delta = event('content-delta', contents, { content: { [kind]: piece } });
    yield logprobs.length === 0 ? delta : { ...delta, logprobs: logprobOf(logprobs) };
  };
  const id = randomUUID();
  yield { type: 'message-start', id, delta: { message: { role: 'assistant', content: [], tool_calls: [] } } };
  for await (const part of conversation.parts()) {
    switch (part.type) {
      case 'text':
        yield* content('text', part.text, part.logprobs);
        break;
      case 'reasoning':
        yield* content('thinking', part.text);
        break;
      case 'call': {
        yield* close();
        open = 'call';
        const begun = { id: part.id, type: 'function', function: { name: part.name, arguments: '' } };
        yield event('tool-call-start', ++calls, { tool_calls: begun });
        break;
      }
      case 'arguments':
        yield event('tool-call-delta', calls, { tool_calls: { function: { arguments: part.text } } });
        break;
      case 'end': {
        yield* close();
        const finish_reason = finishReason(part.reason, part.stop, calls >= 0);
        yield { type: 'message-end', id, delta: { finish_reason, usage: tokensOf(conversation.usage) } };
      }
    }
  }
}

/** Converts a request to the form of OpenAI's chats. */
function requestOf(body: ChatBody): ConversationRequest {
  const { model, thinking, tool_choice: choice, strict_tools: strict } = body;
  const messages = body.messages.map(messageOf) as ConversationRequest['messages'];
  checkToolResults(messages);
  const { response_format: wanted } = body;
  return {
    ...samplingOf(body),
    model,
    messages,
    tools: body.tools?.map((tool) => (strict ? { ...tool, function: { ...tool.function, strict } } : tool)),
    tool_choice: choice && (choice === 'NONE' ? 'none' : 'required'),
    logprobs: body.logprobs,
    response_format: jsonFormat(wanted, wanted?.type === 'json_object' ? wanted.json_schema : undefined),
    chat_template_kwargs: thinking && { enable_thinking: thinking.type === 'enabled' },
  };
}

function messageOf(item: ChatBody['messages'][number]): object {
  if (item.role === 'user') return item;
  if (item.role === 'system') return { role: item.role, content: joined(item.content) };
  if (item.role === 'tool') return { role: item.role, tool_call_id: item.tool_call_id, content: joined(item.content) };
  const { content = '', tool_plan: plan = '', tool_calls: calls = [] } = item;
  const thoughts = typeof content === 'string' ? [] : content.filter((part) => part.type === 'thinking');
  const reasoning = thoughts.map((part) => part.thinking).join('');
  return {
    role: item.role,
    content: plan + joined(content),
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
}

type TextualPart = Read<typeof textPart> | Read<typeof thinkingPart> | Read<typeof documentPart>;

/** Joins the texts of parts. Documents that are objects are written as JSON. */
function joined(content: string | readonly TextualPart[]): string {
  if (typeof content === 'string') return content;
  const texts = content.map((part) => {
    if (part.type === 'text') return part.text;
    if (part.type === 'thinking') return '';
    const { data } = part.document;
    return typeof data === 'string' ? data : JSON.stringify(data);
  });
  return texts.join('');
}
