// OpenAI's Responses API.

import { type ChatRequest, promptTokens } from '../chat-completions.js';
import { converse, wholeAnswer } from '../conversation.js';
import { RESPONSES } from '../dialect.js';
import { type Endpoint, endpoint } from '../endpoint.js';
import { constant, count, listOf, nullable, shape, text } from '../openapi-schemas.js';
import type { Schema } from '../schema.js';
import { textModelOf } from '../served-model.js';
import { ResponseAnswer } from './answer.js';
import { inputTokensBody, type ResponseRequest, responseBody } from './body.js';
import { checkOutputs, inputItems, messagesOf, requestOf } from './chat-request.js';
import { ResponseStore } from './response-store.js';
import { truncated } from './truncation.js';

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
export function responses(name: Schema<string>): Endpoint[] {
  const store = new ResponseStore();
  return [countTokens(name, store), createResponse(name, store), ...keptResponses(store)];
}

function keptResponses(store: ResponseStore): Endpoint[] {
  const parameters = [{ name: 'response_id', schema: { type: 'string' } }];
  const path = '/v1/responses/{response_id}';
  return [
    endpoint({
      method: 'get',
      path,
      parameters,
      operationId: 'retrieveResponse',
      response: RESPONSE,
      summary: 'Returns a response that the server keeps.',
      handle: async ({ prefixScope }, { response_id: id = '' }) => ({ json: store.get(id, prefixScope).response }),
    }),
    endpoint({
      method: 'delete',
      path,
      parameters,
      operationId: 'deleteResponse',
      summary: 'Forgets a response.',
      response: shape({ id: text, object: constant('response'), deleted: { const: true } }),
      async handle({ prefixScope }, { response_id: id = '' }) {
        store.delete(id, prefixScope);
        return { json: { id, object: 'response', deleted: true } };
      },
    }),
    endpoint({
      method: 'get',
      path: `${path}/input_items`,
      parameters,
      operationId: 'listInputItems',
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

function countTokens(name: Schema<string>, store: ResponseStore): Endpoint {
  return endpoint({
    method: 'post',
    path: '/v1/responses/input_tokens',
    operationId: 'countInputTokens',
    summary: 'Counts the tokens of a prompt, by the Responses API.',
    dialect: RESPONSES,
    body: inputTokensBody(name),
    response: shape({ object: constant('response.input_tokens'), input_tokens: count }),
    async handle(call) {
      const body = call.body as ResponseRequest;
      const whole = requestOf(body, wholeInput(body, store, call.prefixScope));
      const chat = (await truncated({ ...call, body }, whole)) as ChatRequest;
      const textModel = textModelOf(await call.use(body.model));
      const tokens = await promptTokens({ ...call, body: chat }, textModel);
      return { json: { object: 'response.input_tokens', input_tokens: tokens } };
    },
  });
}

/** Returns the messages of a request, after those of the response that it continues. Throws ApiError 400 and 404. */
function wholeInput({ previous_response_id: id, input }: ResponseRequest, store: ResponseStore, scope: string) {
  const messages = [...(id ? store.get(id, scope).messages : []), ...messagesOf(input)];
  checkOutputs(messages);
  return messages;
}

function createResponse(name: Schema<string>, store: ResponseStore): Endpoint {
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
      const messages = wholeInput(body, store, prefixScope);
      const conversation = await converse(call, await truncated(call, requestOf(body, messages)));
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
