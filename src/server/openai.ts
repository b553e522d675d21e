// OpenAI's API for models of this package, as an app of Hono.

import type { Context, Hono } from 'hono';
import { constrain } from '../constrain/index.js';
import { checkOptions, describeValue, isObject } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { ContinuousBatching } from '../generate/index.js';
import type { LoadedModel } from '../pretrained/index.js';
import { type Constrain, chatCompletions } from './chat-completions.js';
import { completions } from './completions.js';
import { Embedder } from './embedder.js';
import { embeddings } from './embeddings.js';
import type { Endpoint } from './endpoint.js';
import { ApiError, apiErrorOf } from './errors.js';
import { Keys } from './keys.js';
import { loadOptional } from './load-optional.js';
import { Metrics } from './metrics.js';
import { health, listModels, retrieveModel } from './models.js';
import { openApiDocument } from './openapi.js';
import { answer, type Bindings, type RequestEntry, refused } from './requests.js';
import type { ServedModel } from './served-model.js';
import { Transcriber } from './transcriber.js';
import { transcriptions } from './transcriptions.js';

export interface OpenAIOptions {
  /** The models by the names that clients know them by. They stay the caller's, to be disposed of after `close()`. */
  models: Readonly<Record<string, LoadedModel>>;
  /** Keys of which a request must have one. Default: none are asked for. */
  apiKeys?: readonly string[] | undefined;
  /** Sequences that a model generates side by side. Default 8. */
  parallel?: number | undefined;
  /** Tokens of a prompt and its answer. Default: the model's maxLength, 2048 at most. */
  context?: number | undefined;
  /** Requests that wait for each model at most; others get 429. Default 64. */
  maxWaiting?: number | undefined;
  /** Bytes of a body at most. Default 4 MiB. */
  maxBodyBytes?: number | undefined;
  /** Bytes of a body with a recording at most. Default 25 MiB. */
  maxAudioBytes?: number | undefined;
  /**
   * Whose request it is: clients take turns. Default: the key's, if there are several, or the address that it came from.
   */
  client?: ((context: Context) => string) | undefined;
  /** Lets only answers of a `response_format` come out. Default: `constrain` of simdformer/constrain. */
  constrain?: Constrain | undefined;
  /** Is told every request once it is over. */
  onRequest?: ((request: RequestEntry) => void) | undefined;
}

/** OpenAI's API as an app, to be served or mounted in another one. */
export type OpenAIApp = Hono<Bindings> & {
  /** Refuses further requests, and ends once those under way are answered and the memory is given back. */
  close(): Promise<void>;
};

const BODY_BYTES = 4 * 2 ** 20;
const AUDIO_BYTES = 25 * 2 ** 20;

/**
 * OpenAI's API for models that were loaded:
 *
 * ```ts
 * const app = new Hono();
 * app.route('/', await openai({ models: { smollm2: model } }));
 * ```
 *
 * Rejects with ArgumentError for options that make no sense, SimdformerError where hono or prom-client is not installed,
 * OutOfMemoryError.
 */
export async function openai(options: OpenAIOptions): Promise<OpenAIApp> {
  const { models: given, apiKeys = [], client, constrain = constrained, onRequest } = checked(options);
  const { Hono } = await loadOptional('hono', () => import('hono'));
  const models = await serveModels(given, options);
  const metrics = await Metrics.create(models);
  const keys = apiKeys.length > 0 ? new Keys(apiKeys) : null;
  let isClosing = false;
  const endpoints = [
    chatCompletions(models, constrain),
    completions(models),
    embeddings(models),
    transcriptions(models),
    listModels(models),
    retrieveModel(models),
    health(models, () => isClosing),
  ];
  const clientOf = (context: Context<Bindings>, key: string | null) =>
    client?.(context) ?? (apiKeys.length > 1 ? key : null) ?? context.env?.incoming?.socket?.remoteAddress ?? '';
  const { maxBodyBytes = BODY_BYTES, maxAudioBytes = AUDIO_BYTES } = options;
  const limits = { maxBodyBytes, maxAudioBytes };
  const settings = { keys, metrics, clientOf, onRequest, isClosing: () => isClosing, ...limits };
  const app = new Hono<Bindings>();
  for (const each of endpoints)
    app[each.method](each.path.replace(/{(\w+)}/g, ':$1'), (context) => answer(settings, context, each));
  serveDocument(app, endpoints, keys, models);
  serveMetrics(app, metrics, keys);
  refuseOtherMethods(app, endpoints);
  const close = async () => {
    isClosing = true;
    for (const { batching, embedder, transcriber } of models.values()) {
      await batching?.close();
      await embedder?.close();
      await transcriber?.turns.close();
      await batching?.dispose();
    }
  };
  return Object.assign(app, { close });
}

function serveDocument(
  app: Hono<Bindings>,
  endpoints: readonly Endpoint[],
  keys: Keys | null,
  models: ReadonlyMap<string, ServedModel>,
): void {
  const version = models.values().next().value?.model.device.info.version ?? '';
  const document = openApiDocument(endpoints, keys !== null, version);
  app.get('/openapi.json', (context) => context.json(document));
}

function serveMetrics(app: Hono<Bindings>, metrics: Metrics, keys: Keys | null): void {
  app.get('/metrics', async (context) => {
    try {
      keys?.check(context.req.header('authorization'));
    } catch (error) {
      return refused(apiErrorOf(error));
    }
    const { body, type } = await metrics.text();
    return context.body(body, 200, { 'content-type': type });
  });
}

function checked(options: OpenAIOptions): OpenAIOptions {
  const { models, apiKeys = [] } = checkOptions('openai', options, {
    ...{ models: 'object', apiKeys: 'array', parallel: 'count', context: 'count', maxWaiting: 'whole' },
    ...{ maxBodyBytes: 'count', maxAudioBytes: 'count' },
    ...{ client: 'function', constrain: 'function', onRequest: 'function' },
  });
  if (!isObject(models) || Object.keys(models).length === 0)
    throw new ArgumentError(`openai: models is ${describeValue(models)}, expected models by name, one at least`);
  for (const key of apiKeys)
    if (typeof key !== 'string' || !/^\S+$/.test(key))
      throw new ArgumentError('openai: a key of apiKeys is no text without spaces');
  return options;
}

async function serveModels(
  given: Readonly<Record<string, LoadedModel>>,
  { parallel, context, maxWaiting = 64 }: Pick<OpenAIOptions, 'parallel' | 'context' | 'maxWaiting'>,
): Promise<Map<string, ServedModel>> {
  const created = Math.floor(Date.now() / 1000);
  const served = new Map<string, ServedModel>();
  for (const [id, model] of Object.entries(given)) {
    const writes = model.decoder !== null && !model.maxSourceLength && model.headKind === 'language-model';
    const size = context === undefined ? undefined : Math.min(context, model.maxLength);
    const batching = writes ? new ContinuousBatching(model, { parallel, context: size, maxWaiting }) : null;
    const embedder = Embedder.of(model, 64 * maxWaiting);
    served.set(id, { id, model, created, batching, embedder, transcriber: await Transcriber.of(model, maxWaiting) });
  }
  return served;
}

/** 405 with what is allowed, for paths that there are; 404 for those that there are not, unless another app has them. */
function refuseOtherMethods(app: Hono<Bindings>, endpoints: readonly Endpoint[]): void {
  const paths = new Map<string, string>([
    ['/openapi.json', 'GET'],
    ['/metrics', 'GET'],
    ...endpoints.map(({ path, method }) => [path, method.toUpperCase()] as const),
  ]);
  for (const [path, allowed] of paths)
    app.all(path.replace(/{(\w+)}/g, ':$1'), ({ req }) => {
      const headers = { allow: allowed === 'GET' ? 'GET, HEAD' : allowed };
      return refused(new ApiError(405, `Not allowed: ${req.method} ${path}`, 'method_not_allowed', null, headers));
    });
  app.all('/v1/*', ({ req }) =>
    refused(new ApiError(404, `Unknown request URL: ${req.method} ${req.path}`, 'unknown_url')),
  );
}

/** Of a JSON Schema, any JSON object, or calls of tools. */
const constrained: Constrain = (format, { tokenizer }, stopTokens) => constrain(tokenizer, format, { stopTokens });
