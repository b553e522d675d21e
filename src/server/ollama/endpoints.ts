// Ollama's API, for its clients. The models are those of the server: nothing is pulled or deleted.

import { OLLAMA } from '../dialect.js';
import { embedTexts, isEmbedder } from '../embeddings.js';
import { type Endpoint, endpoint } from '../endpoint.js';
import type { ModelPool } from '../model-pool.js';
import { count, listOf, shape, text } from '../openapi-schemas.js';
import { boolean, nameOf, object, optional, type Schema, string, withOneOf } from '../schema.js';
import { answer, type Fields, loadOnly, secondsOf } from './answer.js';
import { type ChatBody, chatBody, embedBody, generateBody, options, shared } from './bodies.js';
import { requestOf } from './chat-request.js';
import { infoOf, running, tagOf } from './model-info.js';

/** All endpoints of Ollama. `chats` names the models for conversations. */
export function ollama(models: ModelPool, chats: Schema<string>): Endpoint[] {
  return [
    chatEndpoint(chats),
    generateEndpoint(chats),
    embedEndpoint(models),
    formerEmbedEndpoint(models),
    tags('/api/tags', 'ollamaTags', 'Lists the models.', () => models.names.map((name) => tagOf(models, name))),
    tags('/api/ps', 'ollamaPs', 'Lists the models in memory.', () => running(models)),
    showEndpoint(models),
    pullEndpoint(models),
    versionEndpoint(models),
  ];
}

const common = { method: 'post', dialect: OLLAMA, streams: true } as const;

function chatEndpoint(chats: Schema<string>): Endpoint {
  return endpoint({
    ...common,
    path: '/api/chat',
    operation: 'chat',
    operationId: 'ollamaChat',
    summary: "Continues a conversation, by Ollama's API.",
    body: chatBody(chats),
    response: shape({ model: text, message: { type: 'object' }, done: { const: true } }),
    handle(call) {
      const { body } = call;
      const wrap = (fields: Fields) => ({ message: fields });
      if (body.messages.length === 0) return loadOnly(call, body, wrap);
      return answer(call, body, requestOf(body), wrap);
    },
  });
}

function generateEndpoint(chats: Schema<string>): Endpoint {
  return endpoint({
    ...common,
    path: '/api/generate',
    operation: 'text_completion',
    operationId: 'ollamaGenerate',
    summary: "Answers a prompt, by Ollama's API.",
    body: generateBody(chats),
    response: shape({ model: text, response: text, done: { const: true } }),
    handle(call) {
      const { prompt = '', system, images } = call.body;
      const wrap = ({ content, thinking }: Fields) => {
        return { response: content, ...(thinking === undefined ? {} : { thinking }) };
      };
      if (prompt === '') return loadOnly(call, call.body, wrap);
      const first = system === undefined ? [] : [{ role: 'system' as const, content: system }];
      const messages = [...first, { role: 'user' as const, content: prompt, images }] as ChatBody['messages'];
      const request = requestOf({ ...call.body, messages, tools: undefined });
      return answer(call, call.body, request, wrap);
    },
  });
}

function embedEndpoint(models: ModelPool): Endpoint {
  return endpoint({
    method: 'post',
    path: '/api/embed',
    operation: 'embeddings',
    operationId: 'ollamaEmbed',
    summary: "Computes an embedding of each text, by Ollama's API.",
    dialect: OLLAMA,
    body: embedBody(nameOf(models.namesOf(isEmbedder))),
    response: shape({ model: text, embeddings: listOf(listOf({ type: 'number' })) }),
    async handle(call) {
      const { model, input, truncate = true, dimensions } = call.body;
      const { vectors, tokens } = await embedTexts(call, {
        model,
        input,
        truncate,
        dimensions,
        use: { task: null },
        keepAliveSeconds: secondsOf(call.body),
      });
      return { json: { model, embeddings: vectors.map((vector) => [...vector]), prompt_eval_count: tokens } };
    },
  });
}

function formerEmbedEndpoint(models: ModelPool): Endpoint {
  return endpoint({
    method: 'post',
    path: '/api/embeddings',
    operation: 'embeddings',
    operationId: 'ollamaEmbeddings',
    summary: "Computes the embedding of one text, by Ollama's former API.",
    dialect: OLLAMA,
    body: object({
      model: nameOf(models.namesOf(isEmbedder)),
      prompt: string({ minLength: 1 }),
      options,
      keep_alive: shared.keep_alive,
    }),
    response: shape({ embedding: listOf({ type: 'number' }) }),
    async handle(call) {
      const { model, prompt: input } = call.body;
      const keepAliveSeconds = secondsOf(call.body);
      const use = { task: null };
      const { vectors } = await embedTexts(call, { model, input, truncate: true, use, keepAliveSeconds });
      return { json: { embedding: [...(vectors[0] as Float32Array)] } };
    },
  });
}

function showEndpoint(models: ModelPool): Endpoint {
  const all = nameOf(models.names);
  return endpoint({
    method: 'post',
    path: '/api/show',
    operationId: 'ollamaShow',
    summary: 'Describes a model.',
    dialect: OLLAMA,
    body: withOneOf(
      object({
        model: optional(all),
        name: optional(all),
        verbose: optional(boolean()),
        system: optional(string()),
        template: optional(string()),
      }),
      'model',
      'name',
    ),
    response: shape({ details: { type: 'object' }, capabilities: listOf(text) }),
    handle: async ({ body, use }) => ({ json: infoOf(await use(nameIn(body))) }),
  });
}

function pullEndpoint(models: ModelPool): Endpoint {
  const all = nameOf(models.names);
  return endpoint({
    method: 'post',
    path: '/api/pull',
    operationId: 'ollamaPull',
    summary: 'Succeeds for models that are served. The server fetches no others.',
    dialect: OLLAMA,
    body: withOneOf(
      object({
        model: optional(all),
        name: optional(all),
        insecure: optional(boolean()),
        stream: optional(boolean()),
      }),
      'model',
      'name',
    ),
    response: shape({ status: text }),
    streams: true,
    async handle({ body }) {
      models.entry(nameIn(body));
      return body.stream === false ? { json: { status: 'success' } } : { events: success() };
    },
  });
}

function versionEndpoint(models: ModelPool): Endpoint {
  return endpoint({
    method: 'get',
    path: '/api/version',
    operationId: 'ollamaVersion',
    summary: 'Tells the version of the server.',
    dialect: OLLAMA,
    response: shape({ version: text }),
    handle: async () => ({ json: { version: models.version } }),
  });
}

/** Returns the name of a request's model. Older clients use the field `name`. */
function nameIn(body: { model?: string | undefined; name?: string | undefined }): string {
  return (body.model ?? body.name) as string;
}

async function* success() {
  yield { status: 'success' };
}

function tags(path: string, operationId: string, summary: string, list: () => readonly object[]): Endpoint {
  return endpoint({
    method: 'get',
    path,
    operationId,
    summary,
    dialect: OLLAMA,
    response: shape({ models: listOf(shape({ name: text, model: text, size: count })) }),
    handle: async () => ({ json: { models: list() } }),
  });
}
