// The APIs of OpenAI, Anthropic, Ollama and Cohere for models of this package, as a Hono app.

import type { Context, Hono } from 'hono';
import { checkOptions, describeValue, isObject, withDefaults } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { BATCHING_DEFAULTS } from '../generate/continuous-batching/options.js';
import { loadOptional } from '../io/optional-package.js';
import type { LoadedModel } from '../pretrained/index.js';
import { PromptImages } from '../tasks/prompt-images.js';
import { anthropicMessages, countMessageTokens } from './anthropic-messages.js';
import { chatCompletions, hasTemplate } from './chat-completions.js';
import { cohereChat } from './cohere/chat.js';
import { cohereEmbed } from './cohere/embed.js';
import { cohereFormerChat } from './cohere/former-chat.js';
import { completions } from './completions.js';
import type { Dialect } from './dialect.js';
import { embeddings } from './embeddings.js';
import type { Endpoint } from './endpoint.js';
import { ApiError, apiErrorOf } from './errors.js';
import { Keys } from './keys.js';
import { isManaged, type ManagedModel } from './managed-model.js';
import { Metrics } from './metrics.js';
import { ModelPool, type PoolSettings } from './model-pool.js';
import { health, listModels, retrieveModel } from './models.js';
import { ollama } from './ollama/endpoints.js';
import { openApiDocument } from './openapi.js';
import { pipelines } from './pipelines.js';
import {
  answer,
  authorizationOf,
  type NodeBindings,
  type RequestEntry,
  type RequestSettings,
  refused,
} from './requests.js';
import { rerank } from './rerank.js';
import { responses } from './responses-api/endpoints.js';
import { nameOf } from './schema.js';
import { speech } from './speech.js';
import { statusPage } from './status-page.js';
import { Tracing } from './tracing.js';
import { transcriptions, translations } from './transcriptions.js';

export interface OpenAIOptions {
  /**
   * The models by the names that clients use. The caller disposes of loaded models after `close()`. A managed model
   * loads at its first request, and the server disposes of it. `model:adapter`, or the adapter's name if it is unique,
   * selects one of the model's adapters. Requests with different adapters share a batch, unless an adapter replaces
   * parameters.
   */
  models: Readonly<Record<string, LoadedModel | ManagedModel>>;
  /**
   * Seconds after its last use at which a managed model is unloaded. Infinity keeps it. A request of Ollama's API can
   * replace it by `keep_alive`. Default: 300.
   */
  keepAliveSeconds?: number | undefined;
  /**
   * The maximum number of bytes of all models in memory: parameters, and memory that generation reserves. If the next
   * model does not fit, the model that was unused for longest is unloaded. A model in use is unloaded after its current
   * requests. Default: no limit.
   */
  maxMemoryBytes?: number | undefined;
  /** API keys. A request must have one of them. Default: no key is needed. */
  apiKeys?: readonly string[] | undefined;
  /** The number of sequences that a model generates in parallel. Default: 8. */
  parallel?: number | undefined;
  /** The maximum number of tokens of a prompt and its answer. Default: the model's maxLength, but at most 2048. */
  context?: number | undefined;
  /** The maximum number of requests that wait for each model. Further requests get 429. Default: 64. */
  maxWaiting?: number | undefined;
  /**
   * The maximum number of bytes of a body. Default: 4 MiB; 32 MiB if a model reads images or sounds, or is not loaded
   * yet.
   */
  maxBodyBytes?: number | undefined;
  /** The maximum number of bytes of a body with a recording. Default: 25 MiB. */
  maxAudioBytes?: number | undefined;
  /**
   * Hosts from which images of messages are fetched, such as 'images.example.com' or 'localhost:8000'. Default: none;
   * images must be data URLs.
   */
  imageHosts?: readonly string[] | undefined;
  /**
   * Names the client of a request. Clients take turns, and do not share prefixes. Default: the request's key if there
   * are several keys, otherwise its address.
   */
  client?: ((context: Context) => string) | undefined;
  /**
   * True lets all clients share cached prefixes of prompts. A client can then guess the prompts of another client,
   * because `cached_tokens` and the time to the first token reveal what was cached. Default: false. Only requests with
   * the same key, or of the same `client`, then share prefixes.
   */
  sharePrefixes?: boolean | undefined;
  /** The origins of web pages that may use the API, such as 'https://example.com'; '*' for all. Default: none. */
  cors?: string | readonly string[] | undefined;
  /** Called with each finished request. */
  onRequest?: ((request: RequestEntry) => void) | undefined;
}

/** The APIs of `openai` as a Hono app, which can be served or mounted in another app. */
export type OpenAIApp = Hono<NodeBindings> & {
  /** Refuses further requests. Resolves when the current requests are answered and the memory is freed. */
  close(): Promise<void>;
  /** A page for people, with the state of the models. `serve` shows it at `/`. */
  status(context: Context): Response;
};

/** Defaults of `maxBodyBytes`. */
const BODY_BYTES = 4 * 2 ** 20;
const MEDIA_BYTES = 32 * 2 ** 20;
/** The default of `keepAliveSeconds`, as at Ollama. */
export const KEEP_ALIVE_SECONDS = 300;

const DEFAULTS = {
  keepAliveSeconds: KEEP_ALIVE_SECONDS,
  maxMemoryBytes: Number.POSITIVE_INFINITY,
  apiKeys: [] as readonly string[],
  maxWaiting: BATCHING_DEFAULTS.maxWaiting,
  maxAudioBytes: 25 * 2 ** 20,
  imageHosts: [] as readonly string[],
  sharePrefixes: false,
};

/** True for a model that reads images or sounds. */
const readsMedia = (model: LoadedModel) => PromptImages.of(model) !== null || MEDIA.some((name) => model.takes(name));

const MEDIA = ['pixelValues', 'inputValues', 'inputFeatures'] as const;

const SECONDS = {
  accepts: (value: unknown) => typeof value === 'number' && value >= 0,
  expected: 'a number of seconds, 0 or more',
};

/**
 * Serves loaded models by the APIs of OpenAI, Anthropic, Ollama and Cohere:
 *
 * ```ts
 * const app = new Hono();
 * app.route('/', await openai({ models: { smollm2: model } }));
 * ```
 *
 * Rejects with ArgumentError for wrong options, SimdformerError if hono or prom-client is not installed, and
 * OutOfMemoryError.
 */
export async function openai(options: OpenAIOptions): Promise<OpenAIApp> {
  const all = checked(options);
  const { Hono } = await loadOptional('simdformer/server', () => import('hono'));
  const models = await ModelPool.open(all.models, poolSettingsOf(all));
  let isClosing = false;
  const settings = await requestSettingsOf(all, models, () => isClosing);
  const { keys, metrics } = settings;
  const endpoints = endpointsOf(models, () => isClosing);
  const app = new Hono<NodeBindings>();
  if (all.cors !== undefined) await allowOrigins(app, all.cors);
  for (const endpoint of endpoints)
    app[endpoint.method](endpoint.path.replace(/{(\w+)}/g, ':$1'), (context) => answer(settings, context, endpoint));
  serveDocument(app, endpoints, keys, models.version);
  serveMetrics(app, metrics, keys);
  refuseOtherMethods(app, endpoints);
  const close = async () => {
    isClosing = true;
    await models.close();
  };
  const started = Date.now();
  const status = (context: Context) =>
    statusPage(keys === null || keys.accepts(authorizationOf(context)) ? models : null, { isClosing, started });
  return Object.assign(app, { close, status });
}

type AllOptions = ReturnType<typeof checked>;

function poolSettingsOf(options: AllOptions): PoolSettings {
  const { parallel, context, maxWaiting, imageHosts, keepAliveSeconds, maxMemoryBytes } = options;
  return { parallel, context, maxWaiting, imageHosts, keepAliveSeconds, maxMemoryBytes };
}

async function requestSettingsOf(
  { apiKeys, client, sharePrefixes, maxBodyBytes, maxAudioBytes, onRequest }: AllOptions,
  models: ModelPool,
  isClosing: () => boolean,
): Promise<RequestSettings> {
  const metrics = await Metrics.create(models);
  const hasMedia = !models.isComplete || models.inMemory.some(({ model }) => readsMedia(model));
  return {
    keys: apiKeys.length > 0 ? new Keys(apiKeys) : null,
    metrics,
    models,
    tracing: await Tracing.create(),
    maxBodyBytes: maxBodyBytes ?? (hasMedia ? MEDIA_BYTES : BODY_BYTES),
    maxAudioBytes,
    clientOf: (context, key) =>
      client?.(context) ?? (apiKeys.length > 1 ? key : null) ?? context.env?.incoming?.socket?.remoteAddress ?? '',
    prefixScopeOf: (context, key) => (sharePrefixes ? '' : (client?.(context) ?? key ?? '')),
    onRequest,
    isClosing,
  };
}

function endpointsOf(models: ModelPool, isClosing: () => boolean): Endpoint[] {
  const chats = nameOf(models.namesOf(hasTemplate));
  return [
    chatCompletions(models),
    completions(models),
    embeddings(models),
    ...responses(chats),
    anthropicMessages(chats),
    countMessageTokens(chats),
    rerank(models, '1'),
    rerank(models, '2'),
    cohereChat(chats),
    cohereFormerChat(chats),
    ...cohereEmbed(models),
    ...ollama(models, chats),
    transcriptions(models),
    translations(models),
    speech(models),
    ...pipelines(models),
    listModels(models),
    retrieveModel(models),
    health(isClosing),
  ];
}

function serveDocument(
  app: Hono<NodeBindings>,
  endpoints: readonly Endpoint[],
  keys: Keys | null,
  version: string,
): void {
  const document = openApiDocument(endpoints, keys !== null, version);
  app.get('/openapi.json', (context) => withKey(context, keys, () => context.json(document)));
}

/** Answers a request outside of the endpoints. Refuses it with 401 if it has no valid key. */
function withKey(context: Context<NodeBindings>, keys: Keys | null, respond: () => Response | Promise<Response>) {
  try {
    keys?.check(authorizationOf(context));
  } catch (error) {
    return refused(apiErrorOf(error));
  }
  return respond();
}

/** Cross-origin requests of web pages (CORS), whose preflight requests have no key. */
async function allowOrigins(app: Hono<NodeBindings>, origin: string | readonly string[]): Promise<void> {
  const { cors } = await loadOptional('simdformer/server', () => import('hono/cors'));
  app.use(
    '*',
    cors({
      origin: typeof origin === 'string' ? origin : [...origin],
      allowMethods: ['GET', 'HEAD', 'POST', 'DELETE'],
      exposeHeaders: ['x-request-id', 'retry-after'],
      maxAge: 600,
    }),
  );
}

function serveMetrics(app: Hono<NodeBindings>, metrics: Metrics, keys: Keys | null): void {
  app.get('/metrics', (context) =>
    withKey(context, keys, async () => {
      const { body, type } = await metrics.text();
      return context.body(body, 200, { 'content-type': type });
    }),
  );
}

/** Returns the options with their defaults. Throws ArgumentError for wrong options. */
function checked(options: OpenAIOptions) {
  const given = checkOptions('openai', options, {
    models: 'object',
    apiKeys: 'array',
    parallel: 'count',
    context: 'count',
    maxWaiting: 'whole',
    maxBodyBytes: 'count',
    maxAudioBytes: 'count',
    keepAliveSeconds: SECONDS,
    maxMemoryBytes: 'positive',
    sharePrefixes: 'boolean',
    cors: 'any',
    imageHosts: 'array',
    client: 'function',
    onRequest: 'function',
  });
  const all = { ...given, ...withDefaults(given, DEFAULTS) };
  const { models, apiKeys, imageHosts, cors = [] } = all;
  if (!isObject(models) || Object.keys(models).length === 0)
    throw new ArgumentError(`openai: models is ${describeValue(models)}, expected models by name, at least one`);
  for (const [name, model] of Object.entries(models)) checkModel(name, model);
  for (const [i, host] of imageHosts.entries())
    if (!isHost(host))
      throw new ArgumentError(
        `openai: imageHosts[${i}] is ${describeValue(host)}, expected a host such as 'images.example.com' or 'localhost:8000'`,
      );
  for (const [i, key] of apiKeys.entries()) checkKey(i, key);
  for (const origin of Array.isArray(cors) ? cors : [cors])
    if (origin !== '*' && !isOrigin(origin))
      throw new ArgumentError(
        `openai: cors is ${describeValue(origin)}, expected '*' or origins such as 'https://example.com'`,
      );
  return all;
}

/** Keys are secret, so the error does not quote them. */
function checkKey(i: number, key: unknown): void {
  if (typeof key === 'string' && /^\S+$/.test(key)) return;
  const described = typeof key === 'string' ? 'empty or has spaces in it' : describeValue(key);
  throw new ArgumentError(`openai: apiKeys[${i}] is ${described}, expected text without spaces`);
}

const isHost = (value: string) => URL.canParse(`https://${value}/`) && new URL(`http://${value}/`).host === value;

const isOrigin = (value: unknown) =>
  typeof value === 'string' && URL.canParse(value) && new URL(value).origin === value;

/** Throws ArgumentError for a value that is neither a model nor a managed model. */
function checkModel(name: string, model: LoadedModel | ManagedModel | null): void {
  if (typeof (model as Partial<LoadedModel> | null)?.forward === 'function') return;
  const expected = 'expected the result of loadModel, or { load: () => loadModel(…) }';
  if (!isObject(model) || !isManaged(model))
    throw new ArgumentError(`openai: models.${name} is ${describeValue(model)}, ${expected}`);
  const { adapters = {} } = checkOptions(`openai: models.${name}`, model, {
    load: 'function',
    adapters: 'object',
    pinned: 'boolean',
    bytes: 'notNegative',
  });
  for (const [adapter, put] of Object.entries(adapters))
    if (typeof put !== 'function')
      throw new ArgumentError(
        `openai: models.${name}.adapters.${adapter} is ${describeValue(put)}, expected a function that calls loadLora`,
      );
}

/** 405 with the allowed methods for known paths, and 404 for unknown paths below /v1. */
function refuseOtherMethods(app: Hono<NodeBindings>, endpoints: readonly Endpoint[]): void {
  const paths = new Map<string, { allowed: string[]; dialect?: Dialect | undefined }>([
    ['/openapi.json', { allowed: ['GET', 'HEAD'] }],
    ['/metrics', { allowed: ['GET', 'HEAD'] }],
  ]);
  for (const { path, method, dialect } of endpoints) {
    const methods = method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()];
    paths.set(path, { allowed: [...(paths.get(path)?.allowed ?? []), ...methods], dialect });
  }
  for (const [path, { allowed, dialect }] of paths)
    app.all(path.replace(/{(\w+)}/g, ':$1'), ({ req }) => {
      const headers = { allow: allowed.join(', ') };
      const error = new ApiError(405, `Not allowed: ${req.method} ${path}`, 'method_not_allowed', null, headers);
      return refused(error, undefined, dialect);
    });
  const unknown = ({ req }: Context) => {
    const error = new ApiError(404, `Unknown request URL: ${req.method} ${req.path}`, 'unknown_url');
    return refused(error, undefined, nearest(endpoints, req.path)?.dialect);
  };
  app.all('/v1/*', unknown); // also if the app is mounted in another one, whose notFound would answer
  app.notFound(unknown);
}

/** Returns the first endpoint whose path shares the most leading parts with an unknown path, if any is shared. */
function nearest(endpoints: readonly Endpoint[], path: string): Endpoint | undefined {
  const parts = path.split('/').slice(1);
  const shared = (endpoint: Endpoint) => {
    const known = endpoint.path.split('/').slice(1);
    const end = parts.findIndex((part, i) => part !== known[i]);
    return end < 0 ? parts.length : end;
  };
  const most = Math.max(...endpoints.map(shared));
  return most > 0 ? endpoints.find((endpoint) => shared(endpoint) === most) : undefined;
}
