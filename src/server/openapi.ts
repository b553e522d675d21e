// The OpenAPI document of what is served.

import type { Endpoint } from './endpoint.js';
import { error } from './responses.js';
import type { JsonSchema } from './schema.js';

const json = (schema: JsonSchema) => ({ 'application/json': { schema } });

/** What an event has: `data` is JSON, or [DONE]. */
const EVENT: JsonSchema = { type: 'object', properties: { data: { type: 'string' } }, required: ['data'] };

const REFUSALS: Readonly<Record<string, string>> = {
  '400': 'The request makes no sense, or the model cannot do it.',
  '401': 'The key is missing, or not one of the keys.',
  '404': 'There is no such model.',
  '413': 'The body is too large.',
  '415': 'The body is of another type.',
  '429': 'As many requests are waiting as may; Retry-After says when to come again.',
  '500': 'A fault of the server.',
  '503': 'The server is shutting down.',
};

export function openApiDocument(endpoints: readonly Endpoint[], hasKeys: boolean, version: string): JsonSchema {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const each of endpoints) {
    const own = operation(each, hasKeys && each.path !== '/health');
    paths[each.path] = { ...paths[each.path], [each.method]: own };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'simdformer', version, description: 'Models behind the API that OpenAI made known.' },
    paths,
    components: {
      schemas: { Error: error },
      responses: Object.fromEntries(
        Object.entries(REFUSALS).map(([status, description]) => [
          `Error${status}`,
          { description, content: json({ $ref: '#/components/schemas/Error' }) },
        ]),
      ),
      ...(hasKeys ? { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } } : {}),
    },
  };
}

function operation(each: Endpoint, hasKey: boolean) {
  const { operationId, summary, body, isForm = false, parameters = [], response, texts = [], streams = false } = each;
  const { method } = each;
  const refusals = Object.keys(REFUSALS).filter(
    (status) => (status !== '401' || hasKey) && (method === 'post' || !['400', '413', '415', '429'].includes(status)),
  );
  return {
    operationId,
    summary,
    ...(hasKey ? { security: [{ key: [] }] } : {}),
    ...(parameters.length > 0
      ? { parameters: parameters.map(({ name, schema }) => ({ name, in: 'path', required: true, schema })) }
      : {}),
    ...(body
      ? {
          requestBody: {
            required: true,
            content: isForm ? { 'multipart/form-data': { schema: body.json } } : json(body.json),
          },
        }
      : {}),
    responses: {
      '200': {
        description: streams ? 'The answer; with `stream`, its parts as Server-Sent Events.' : 'The answer.',
        content: {
          ...json(response),
          ...Object.fromEntries(texts.map((type) => [type, { schema: { type: 'string' } }])),
          ...(streams ? { 'text/event-stream': { schema: EVENT } } : {}),
        },
      },
      ...Object.fromEntries(refusals.map((status) => [status, { $ref: `#/components/responses/Error${status}` }])),
    },
  };
}
