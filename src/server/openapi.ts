// The OpenAPI document of the server.

import { ANTHROPIC, COHERE, OLLAMA, OPENAI } from './dialect.js';
import type { Endpoint } from './endpoint.js';
import { shape, text } from './openapi-schemas.js';
import { type JsonSchema, jsonOf } from './schema.js';

const json = (schema: JsonSchema) => ({ 'application/json': { schema } });

/** Streams by their media types. An event's `data` is JSON or [DONE]. The others have one JSON object in each line. */
const STREAMS = {
  'text/event-stream': { schema: shape({ data: text }) },
  'application/x-ndjson': { schema: text },
} as const;

/** A path that is described, but answered elsewhere. */
type Described = Omit<Endpoint, 'handle'>;

/** Paths outside of the APIs. */
const OWN: readonly Described[] = [
  {
    method: 'get',
    path: '/openapi.json',
    operationId: 'describe',
    summary: 'Returns this document.',
    response: shape({ openapi: text, paths: { type: 'object' } }),
  },
  {
    method: 'get',
    path: '/metrics',
    operationId: 'metrics',
    summary: "Returns counts and times in Prometheus' format.",
    texts: ['text/plain'],
  },
];

/** The headers in which a request may have its API key. Anthropic's clients send the second. */
const SCHEMES = {
  key: { type: 'http', scheme: 'bearer' },
  header: { type: 'apiKey', in: 'header', name: 'x-api-key' },
} as const;

const REFUSALS: Readonly<Record<string, string>> = {
  '400': 'The request is wrong, or the model does not support it.',
  '401': 'The API key is missing or wrong.',
  '404': 'The model does not exist.',
  '413': 'The body is too large.',
  '415': 'The body has another content type.',
  '429': 'The queue is full. Retry-After says when to try again.',
  '500': 'An internal error.',
  '503': 'The server is shutting down.',
};

/** The forms of errors. */
const DIALECTS = [OPENAI, ANTHROPIC, OLLAMA, COHERE];

export function openApiDocument(endpoints: readonly Endpoint[], hasKeys: boolean, version: string): JsonSchema {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const endpoint of [...endpoints, ...OWN]) {
    const described = operation(endpoint, hasKeys && !endpoint.isPublic);
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method]: described };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'simdformer',
      version,
      description: 'Models behind the APIs of OpenAI, Anthropic, Ollama and Cohere.',
    },
    paths,
    components: {
      schemas: Object.fromEntries(DIALECTS.map(({ errorName, errorSchema }) => [errorName, errorSchema])),
      responses: Object.fromEntries(
        DIALECTS.flatMap(({ errorName }) =>
          Object.entries(REFUSALS).map(([status, description]) => [
            `${errorName}${status}`,
            { description, content: json({ $ref: `#/components/schemas/${errorName}` }) },
          ]),
        ),
      ),
      ...(hasKeys ? { securitySchemes: SCHEMES } : {}),
    },
  };
}

function operation(endpoint: Described, hasKey: boolean) {
  const {
    operationId,
    summary,
    body,
    isForm = false,
    parameters = [],
    response,
    texts = [],
    streams = false,
  } = endpoint;
  const { method, links, dialect: { errorName, mediaType } = OPENAI } = endpoint;
  const refusals = Object.keys(REFUSALS).filter(
    (status) => (status !== '401' || hasKey) && (method === 'post' || !['400', '413', '415', '429'].includes(status)),
  );
  return {
    operationId,
    summary,
    ...(hasKey ? { security: Object.keys(SCHEMES).map((name) => ({ [name]: [] })) } : {}),
    ...(parameters.length > 0
      ? { parameters: parameters.map(({ name, schema }) => ({ name, in: 'path', required: true, schema })) }
      : {}),
    ...(body
      ? {
          requestBody: {
            required: true,
            content: isForm ? { 'multipart/form-data': { schema: jsonOf(body) } } : json(jsonOf(body)),
          },
        }
      : {}),
    responses: {
      '200': {
        description: streams ? 'The answer. With `stream`, its parts one by one.' : 'The answer.',
        content: {
          ...(response ? json(response) : {}),
          ...Object.fromEntries(texts.map((type) => [type, { schema: { type: 'string' } }])),
          ...(streams ? { [mediaType]: STREAMS[mediaType] } : {}),
        },
        ...(links ? { links: linksOf(links) } : {}),
      },
      ...Object.fromEntries(
        refusals.map((status) => [status, { $ref: `#/components/responses/${errorName}${status}` }]),
      ),
    },
  };
}

function linksOf({ parameter, operationIds }: NonNullable<Endpoint['links']>) {
  const parameters = { [parameter]: '$response.body#/id' };
  return Object.fromEntries(operationIds.map((operationId) => [operationId, { operationId, parameters }]));
}
