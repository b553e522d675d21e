// Chats by version 1 of Cohere's API: a message after a history. It has no place for reasoning, which is left out.

import { randomUUID } from 'node:crypto';
import { type Conversation, converse, type WholeAnswer, type WholeCall, wholeAnswer } from '../conversation.js';
import { COHERE_FORMER_CHAT } from '../dialect.js';
import { type Endpoint, endpoint } from '../endpoint.js';
import { listOf, shape, text } from '../openapi-schemas.js';
import type { Schema } from '../schema.js';
import { tokenSchemas, tokensOf } from './fields.js';
import { type ChatBody, chatBody, requestOf } from './former-request.js';

/** The endpoint at `/v1/chat`. */
export function cohereFormerChat(name: Schema<string>): Endpoint {
  return endpoint({
    method: 'post',
    path: '/v1/chat',
    operation: 'chat',
    operationId: 'cohereFormerChat',
    summary: "Continues a conversation, by version 1 of Cohere's API.",
    dialect: COHERE_FORMER_CHAT,
    body: chatBody(name),
    response: shape(
      {
        response_id: text,
        generation_id: text,
        text,
        chat_history: listOf({ type: 'object' }),
        finish_reason: { enum: ['COMPLETE', 'STOP_SEQUENCE', 'MAX_TOKENS'] },
        tool_calls: listOf(shape({ name: text, parameters: { type: 'object' } })),
        meta: shape({ api_version: shape({ version: text }), ...tokenSchemas }),
      },
      ['tool_calls'],
    ),
    streams: true,
    async handle(call) {
      const conversation = await converse(call, requestOf(call.body));
      if (call.body.stream) return { events: events(conversation, call.body) };
      return { json: responseOf(conversation, call.body, await wholeAnswer(conversation), randomUUID()) };
    },
  });
}

type Answer = Pick<WholeAnswer, 'text' | 'calls' | 'reason' | 'stop'>;

const callOf = ({ name, arguments: args }: WholeCall) => ({ name, parameters: JSON.parse(args) });

function responseOf({ usage }: Conversation, body: ChatBody, answer: Answer, generation_id: string) {
  const { message, chat_history: history = [], tool_results } = body;
  const calls = answer.calls.map(callOf);
  const called = calls.length === 0 ? {} : { tool_calls: calls };
  return {
    response_id: randomUUID(),
    generation_id,
    text: answer.text,
    chat_history: [
      ...history,
      ...(message === '' ? [] : [{ role: 'USER', message }]),
      ...(tool_results === undefined ? [] : [{ role: 'TOOL', tool_results }]),
      { role: 'CHATBOT', message: answer.text, ...called },
    ],
    finish_reason: finishReason(answer),
    ...called,
    meta: { api_version: { version: '1' }, ...tokensOf(usage) },
  };
}

function finishReason({ reason, stop }: Answer): string {
  if (reason === 'length') return 'MAX_TOKENS';
  return stop === null ? 'COMPLETE' : 'STOP_SEQUENCE';
}

/** Parts of the answer as they are generated. The last event has the whole answer. */
async function* events(conversation: Conversation, body: ChatBody): AsyncGenerator<object, void, void> {
  const event = (event_type: string, fields: object) => ({ is_finished: false, event_type, ...fields });
  const generation_id = randomUUID();
  const calls: { id: string; name: string; arguments: string }[] = [];
  let said = '';
  yield event('stream-start', { generation_id });
  for await (const part of conversation.parts()) {
    const index = calls.length - 1;
    if (part.type === 'text') {
      said += part.text;
      yield event('text-generation', { text: part.text });
    } else if (part.type === 'call') {
      calls.push({ id: part.id, name: part.name, arguments: '' });
      yield event('tool-calls-chunk', { tool_call_delta: { index: index + 1, name: part.name } });
    } else if (part.type === 'arguments') {
      (calls[index] as (typeof calls)[number]).arguments += part.text;
      yield event('tool-calls-chunk', { tool_call_delta: { index, parameters: part.text } });
    } else if (part.type === 'end') {
      if (calls.length > 0) yield event('tool-calls-generation', { text: said, tool_calls: calls.map(callOf) });
      const answer = { text: said, calls, reason: part.reason, stop: part.stop };
      const response = responseOf(conversation, body, answer, generation_id);
      yield { ...event('stream-end', { finish_reason: response.finish_reason, response }), is_finished: true };
    }
  }
}
