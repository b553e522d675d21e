// Ollama's API, for its clients. The models are those of the server: nothing is pulled or deleted.

import type { Answers } from './answers.js';
import {
  type Backend,
  type Conversation,
  type ConversationRequest,
  converse,
  type WholeCall,
  wholeAnswer,
} from './conversation.js';
import { OLLAMA } from './dialect.js';
import { embedTexts, isEmbedder } from './embeddings.js';
import { type Call, type Endpoint, endpoint, type Reply } from './endpoint.js';
import { keepAliveOf } from './keep-alive.js';
import type { ModelEntry, ModelPool } from './model-pool.js';
import { count, listOf, shape, text } from './responses.js';
import {
  anyObject,
  anyOf,
  array,
  boolean,
  integer,
  nameOf,
  number,
  object,
  oneOf,
  optional,
  type Read,
  refusedField,
  type Schema,
  string,
  withJson,
  withOneOf,
} from './schema.js';
import type { ServedModel } from './served-model.js';

const INT = { min: -(2 ** 31), max: 2 ** 31 - 1 };
/** Beyond these limits, different numbers of a request's JSON would become the same number. */
const SAFE = { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER };
/** A duration in the form of Go. */
const DURATION = '^-?(\\d+(\\.\\d+)?|(\\d+(\\.\\d+)?(h|ms|m|s|us|ns))+)$';

const noEffect = optional(anyOf('a number or true or false', number(SAFE), boolean()));

/** Options that clients send with every request, and that change nothing here: penalties count all tokens. */
const WITHOUT_EFFECT = [
  ...['num_ctx', 'num_batch', 'num_gpu', 'main_gpu', 'num_thread', 'num_keep', 'use_mmap', 'use_mlock', 'numa'],
  ...['low_vram', 'f16_kv', 'logits_all', 'vocab_only', 'repeat_last_n', 'penalize_newline'],
  ...['mirostat_eta', 'mirostat_tau'],
];

/** Sampling by Ollama's names. Sizes of the context and of batches were chosen when the server began. */
const options = optional(
  object({
    temperature: optional(number({ min: 0, max: 2 })),
    top_k: optional(integer({ min: 0, max: INT.max })),
    top_p: optional(number({ min: 0, max: 1, above: true })),
    min_p: optional(number({ min: 0, max: 1 })),
    repeat_penalty: optional(number({ min: 0, max: 100, above: true })),
    presence_penalty: optional(number({ min: -2, max: 2 })),
    frequency_penalty: optional(number({ min: -2, max: 2 })),
    seed: optional(integer(SAFE)),
    num_predict: optional(integer({ min: -2, max: INT.max })),
    stop: optional(array(string({ minLength: 1, maxLength: 256 }), { max: 4 })),
    mirostat: optional(integer({ min: 0, max: 0 })),
    tfs_z: optional(integer({ min: 1, max: 1 })),
    ...Object.fromEntries(WITHOUT_EFFECT.map((name) => [name, noEffect])),
  }),
);

const format = optional(anyOf("'json', or a JSON Schema", oneOf(['json', '']), anyObject));
const shared = {
  options,
  format,
  stream: optional(boolean('Default: true.')),
  think: optional(anyOf('true, false or an effort', boolean(), oneOf(['low', 'medium', 'high']))),
  keep_alive: optional(
    withJson(
      anyOf(
        "a number of seconds, or a duration such as '5m'; negative ones mean forever",
        number(SAFE),
        string({ maxLength: 32, pattern: DURATION }),
      ),
      { description: 'How long the model stays in memory after its last use.' },
    ),
  ),
};
const images = optional(array(string(), { max: 0 }));

const call = object({
  id: optional(string({ maxLength: 256 })),
  type: optional(oneOf(['function'])),
  function: object({
    name: string({ minLength: 1, maxLength: 256 }),
    arguments: anyObject,
    index: optional(integer({ min: 0, max: 1024 })),
  }),
});
const message = object({
  role: oneOf(['system', 'user', 'assistant', 'tool']),
  content: optional(string()),
  thinking: optional(string()),
  images,
  tool_calls: optional(array(call, { max: 128 })),
  tool_name: optional(string({ maxLength: 256 })),
  tool_call_id: optional(string({ maxLength: 256 })),
});
const tool = object({
  type: oneOf(['function']),
  function: object({
    name: string({ minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9_-]+$' }),
    description: optional(string()),
    parameters: optional(anyObject),
  }),
});

const chatBody = (model: Schema<string>) =>
  object({
    model,
    messages: array(message, { max: 2048 }),
    tools: optional(array(tool, { max: 128 })),
    ...shared,
  });
const generateBody = (model: Schema<string>) =>
  object({
    model,
    prompt: optional(string()),
    system: optional(string()),
    images,
    ...shared,
    suffix: refusedField('models continue texts'),
    template: refusedField('the model brings its template'),
    raw: refusedField('use /v1/completions'),
    context: refusedField('use /api/chat'),
  });

const embedBody = (model: Schema<string>) =>
  object({
    model,
    input: anyOf(
      'text, or an array of texts',
      string({ minLength: 1 }),
      array(string({ minLength: 1 }), { min: 1, max: 2048 }),
    ),
    truncate: optional(boolean('Default: true.')),
    dimensions: optional(integer({ min: 1, max: INT.max })),
    options,
    keep_alive: shared.keep_alive,
  });

type Body = Read<ReturnType<typeof chatBody>>;

/** All endpoints of Ollama. `chats` names the models for conversations. */
export function ollama(backend: Backend, chats: Schema<string>): Endpoint[] {
  const { models } = backend;
  return [
    chatEndpoint(backend, chats),
    generateEndpoint(backend, chats),
    embedEndpoint(backend),
    formerEmbedEndpoint(backend),
    tags('/api/tags', 'ollamaTags', 'Lists the models.', () => models.names.map((name) => tagOf(models, name))),
    tags('/api/ps', 'ollamaPs', 'Lists the models in memory.', () => running(models)),
    showEndpoint(models),
    pullEndpoint(models),
    versionEndpoint(models),
  ];
}

const common = { method: 'post', dialect: OLLAMA, streams: true } as const;

function chatEndpoint(backend: Backend, chats: Schema<string>): Endpoint {
  return endpoint({
    ...common,
    path: '/api/chat',
    operation: 'chat',
    operationId: 'ollamaChat',
    summary: "Continues a conversation, by Ollama's API.",
    body: chatBody(chats),
    response: shape({ model: text, message: { type: 'object' }, done: { const: true } }),
    handle(given) {
      const { body } = given;
      const place = (fields: Fields) => ({ message: fields });
      if (body.messages.length === 0) return loadOnly(given, body, place);
      return answer(backend, given, body, requestOf(body), place);
    },
  });
}

function generateEndpoint(backend: Backend, chats: Schema<string>): Endpoint {
  return endpoint({
    ...common,
    path: '/api/generate',
    operation: 'text_completion',
    operationId: 'ollamaGenerate',
    summary: "Answers a prompt, by Ollama's API.",
    body: generateBody(chats),
    response: shape({ model: text, response: text, done: { const: true } }),
    handle(given) {
      const { prompt = '', system } = given.body;
      const place = ({ content, thinking }: Fields) => {
        return { response: content, ...(thinking === undefined ? {} : { thinking }) };
      };
      if (prompt === '') return loadOnly(given, given.body, place);
      const first = system === undefined ? [] : [{ role: 'system' as const, content: system }];
      const messages = [...first, { role: 'user' as const, content: prompt }] as Body['messages'];
      const request = requestOf({ ...given.body, messages, tools: undefined });
      return answer(backend, given, given.body, request, place);
    },
  });
}

function embedEndpoint({ models }: Backend): Endpoint {
  return endpoint({
    method: 'post',
    path: '/api/embed',
    operation: 'embeddings',
    operationId: 'ollamaEmbed',
    summary: "Computes an embedding of each text, by Ollama's API.",
    dialect: OLLAMA,
    body: embedBody(nameOf(models.namesOf(isEmbedder))),
    response: shape({ model: text, embeddings: listOf(listOf({ type: 'number' })) }),
    async handle(given) {
      const { model, input, truncate = true, dimensions } = given.body;
      const { vectors, tokens } = await embedTexts(given, {
        model,
        input,
        truncate,
        dimensions,
        use: { task: null },
        keepAliveSeconds: secondsOf(given.body),
      });
      return { json: { model, embeddings: vectors.map((each) => [...each]), prompt_eval_count: tokens } };
    },
  });
}

function formerEmbedEndpoint({ models }: Backend): Endpoint {
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
    async handle(given) {
      const { model, prompt: input } = given.body;
      const keepAliveSeconds = secondsOf(given.body);
      const use = { task: null };
      const { vectors } = await embedTexts(given, { model, input, truncate: true, use, keepAliveSeconds });
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
    handle: async ({ body, use }) => ({ json: shown(await use(nameIn(body))) }),
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

/** Converts a request to the form of OpenAI's chats. */
function requestOf({ model, messages, tools, options: given, format: wanted, think }: Body): ConversationRequest {
  const { num_predict: most, repeat_penalty, ...sampling } = (given ?? {}) as Partial<NonNullable<Body['options']>>;
  const known = ['temperature', 'top_k', 'top_p', 'min_p', 'presence_penalty', 'frequency_penalty', 'seed', 'stop'];
  let calls = 0;
  let answered = 0;
  return {
    ...Object.fromEntries(Object.entries(sampling).filter(([name]) => known.includes(name))),
    repetition_penalty: repeat_penalty,
    model,
    // Calls may have no ids in Ollama's API; then results answer them in order.
    messages: messages.map(({ role, content = '', thinking, tool_calls, tool_name, tool_call_id }) => ({
      role,
      content,
      ...(thinking === undefined ? {} : { reasoning_content: thinking }),
      ...(tool_name === undefined ? {} : { name: tool_name }),
      ...(role === 'tool' ? { tool_call_id: tool_call_id ?? `call${answered++}` } : {}),
      ...(tool_calls === undefined || tool_calls.length === 0
        ? {}
        : {
            tool_calls: tool_calls.map(({ id, function: called }) => ({
              id: id ?? `call${calls++}`,
              type: 'function',
              function: { name: called.name, arguments: JSON.stringify(called.arguments) },
            })),
          }),
    })),
    tools,
    max_tokens: most !== undefined && most > 0 ? most : undefined,
    response_format: formatOf(wanted),
    chat_template_kwargs:
      think === undefined
        ? undefined
        : { enable_thinking: think !== false, ...(typeof think === 'string' ? { reasoning_effort: think } : {}) },
  } as unknown as ConversationRequest;
}

function formatOf(wanted: Body['format']) {
  if (wanted === undefined || wanted === '') return undefined;
  if (wanted === 'json') return { type: 'json_object' };
  return { type: 'json_schema', json_schema: { name: 'answer', schema: wanted } };
}

interface Fields {
  readonly role: 'assistant';
  readonly content: string;
  readonly thinking?: string;
  readonly tool_calls?: readonly object[];
}

/** Answers a request. `place` converts the fields of a message to those of the endpoint. */
async function answer(
  backend: Backend,
  given: Call<unknown>,
  {
    stream = true,
    ...body
  }: { readonly stream?: boolean | undefined; readonly keep_alive?: number | string | undefined },
  request: ConversationRequest,
  place: (fields: Fields) => object,
) {
  const start = process.hrtime.bigint();
  const conversation = await converse(backend, given, request, secondsOf(body));
  const line = (fields: Omit<Fields, 'role'>, rest: object) => ({
    model: conversation.served.id,
    created_at: new Date().toISOString(),
    ...place({ role: 'assistant', ...fields }),
    ...rest,
  });
  if (stream) return { events: lines(conversation, start, line) };
  const { text: content, reasoning, calls, reason } = await wholeAnswer(conversation);
  const fields = {
    content,
    ...(reasoning === '' ? {} : { thinking: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(callOf) }),
  };
  return { json: line(fields, end(conversation.usage, start, reason)) };
}

function callOf({ id, name, arguments: given }: WholeCall, index: number) {
  return { id, function: { index, name, arguments: JSON.parse(given) } };
}

async function* lines(
  conversation: Conversation,
  start: bigint,
  line: (fields: Omit<Fields, 'role'>, rest: object) => object,
): AsyncGenerator<object, void, void> {
  const calls: { id: string; name: string; arguments: string }[] = [];
  for await (const part of conversation.parts()) {
    if (part.type === 'text') yield line({ content: part.text }, { done: false });
    else if (part.type === 'reasoning') yield line({ content: '', thinking: part.text }, { done: false });
    else if (part.type === 'call') calls.push({ id: part.id, name: part.name, arguments: '' });
    else if (part.type === 'arguments') (calls.at(-1) as { arguments: string }).arguments += part.text;
    else {
      if (calls.length > 0) yield line({ content: '', tool_calls: calls.map(callOf) }, { done: false });
      yield line({ content: '' }, end(conversation.usage, start, part.reason));
    }
  }
}

/** Returns the fields of the last line. Durations are nanoseconds. */
function end({ prompt, completion }: Answers['usage'], start: bigint, reason: 'stop' | 'length') {
  const total_duration = Number(process.hrtime.bigint() - start);
  const counts = { prompt_eval_count: prompt, eval_count: completion };
  return { done: true, done_reason: reason, total_duration, load_duration: 0, ...counts };
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

/** Describes a model by its name. Details of models that are not in memory are unknown. */
function tagOf(models: ModelPool, name: string) {
  const { created, bytes, served } = models.entry(name);
  const time = new Date(created * 1000).toISOString();
  return { name, model: name, modified_at: time, size: bytes, digest: '', details: detailsOf(served) };
}

/**
 * Returns the models in memory, with the time at which they are unloaded. Models that stay have a time in the far
 * future.
 */
function running(models: ModelPool) {
  const loaded = models.entries.filter(({ state }) => state === 'loaded');
  return loaded.map((entry) => {
    const { modified_at: _, ...tag } = tagOf(models, entry.id);
    return { ...tag, expires_at: new Date(expiryOf(entry)).toISOString(), size_vram: 0 };
  });
}

const FAR = Date.UTC(9999, 0);

const expiryOf = ({ expires }: ModelEntry) => Math.min(expires ?? FAR, FAR);

/** Loads a model, or unloads it if `keep_alive` is 0. Ollama does so for requests without a prompt. */
async function loadOnly(
  { use }: Call<unknown>,
  body: { readonly model: string; readonly keep_alive?: number | string | undefined },
  place: (fields: Fields) => object,
): Promise<Reply> {
  const seconds = secondsOf(body);
  const { id } = await use(body.model, seconds);
  const fields = place({ role: 'assistant', content: '' });
  const done_reason = seconds === 0 ? 'unload' : 'load';
  return { json: { model: id, created_at: new Date().toISOString(), ...fields, done: true, done_reason } };
}

/** Returns the seconds of `keep_alive`; undefined if it is left out. */
function secondsOf({ keep_alive: given }: { readonly keep_alive?: number | string | undefined }): number | undefined {
  return given === undefined ? undefined : (keepAliveOf(given) as number);
}

function detailsOf(served: ServedModel | null) {
  const family = String(served?.model.config.model_type ?? '');
  return { parent_model: '', format: '', family, families: [family], parameter_size: '', quantization_level: '' };
}

function shown(served: ServedModel) {
  const { model, batching, embedder } = served;
  const template = model.tokenizer?.chatTemplate;
  const tools = JSON.stringify(template ?? '').includes('tools');
  return {
    modelfile: '',
    parameters: '',
    template: typeof template === 'string' ? template : '',
    details: detailsOf(served),
    model_info: { 'general.architecture': model.config.model_type ?? '' },
    capabilities: [
      ...(batching ? ['completion'] : []),
      ...(batching && tools ? ['tools'] : []),
      ...(embedder ? ['embedding'] : []),
    ],
  };
}
