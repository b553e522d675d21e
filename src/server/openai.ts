// OpenAI's API for models of this package, as an app of Hono.

import type { HttpBindings } from '@hono/node-server';
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
import type { CallNote, Endpoint } from './endpoint.js';
import { ApiError, apiErrorOf } from './errors.js';
import { eventResponse } from './events.js';
import { readForm } from './form.js';
import { Keys } from './keys.js';
import { loadOptional } from './load-optional.js';
import { type Finished, Metrics } from './metrics.js';
import { health, listModels, retrieveModel } from './models.js';
import { openApiDocument } from './openapi.js';
import { readJson } from './read-body.js';
import { read } from './schema.js';
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

/** A request that is over. */
export interface RequestEntry extends Finished {
  readonly id: string;
  readonly method: string;
  readonly client: string;
}

/** OpenAI's API as an app, to be served or mounted in another one. */
export type OpenAIApp = Hono<{ Bindings: Partial<HttpBindings> }> & {
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
  const {
    models: given,
    apiKeys = [],
    maxBodyBytes = BODY_BYTES,
    maxAudioBytes = AUDIO_BYTES,
    client: clientOf,
    constrain = constrained,
    onRequest,
    ...batching
  } = checkOptions('openai', options, {
    models: 'object',
    apiKeys: 'array',
    parallel: 'count',
    context: 'count',
    maxWaiting: 'whole',
    maxBodyBytes: 'count',
    maxAudioBytes: 'count',
    client: 'function',
    constrain: 'function',
    onRequest: 'function',
  });
  if (!isObject(given) || Object.keys(given).length === 0)
    throw new ArgumentError(`openai: models is ${describeValue(given)}, expected models by name, one at least`);
  for (const key of apiKeys)
    if (typeof key !== 'string' || !/^\S+$/.test(key))
      throw new ArgumentError('openai: a key of apiKeys is no text without spaces');
  const { Hono } = await loadOptional('hono', () => import('hono'));
  const models = await serveModels(given, batching);
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
  const app = new Hono<{ Bindings: Partial<HttpBindings> }>();
  type AppContext = Context<{ Bindings: Partial<HttpBindings> }>;

  const answer = async (context: AppContext, each: Endpoint): Promise<Response> => {
    const start = performance.now();
    const id = `req_${crypto.randomUUID().replaceAll('-', '')}`;
    const controller = new AbortController();
    const leave = () => controller.abort(new DOMException('The client has left', 'AbortError'));
    const { signal } = context.req.raw;
    signal.addEventListener('abort', leave, { once: true });
    let note: CallNote = {};
    let client = '';
    const end = (status: number, error?: unknown) => {
      signal.removeEventListener('abort', leave);
      controller.abort(new DOMException('The request is over', 'AbortError'));
      const milliseconds = performance.now() - start;
      // Messages about requests may quote them, and what was asked is not for the log.
      if (error !== undefined) note = { ...note, error: logged(error) };
      const finished = { ...note, path: each.path, status, milliseconds };
      metrics.observe(finished);
      onRequest?.({ ...finished, id, method: each.method.toUpperCase(), client });
    };
    try {
      const holder = keys && each.path !== '/health' ? keys.check(context.req.header('authorization')) : null;
      client = clientOf?.(context) ?? clientOfRequest(context, holder, apiKeys.length);
      if (isClosing && each.method === 'post')
        throw new ApiError(503, 'The server is shutting down.', 'shutting_down', null, { connection: 'close' });
      if (signal.aborted) leave();
      const { raw } = context.req;
      const given =
        !each.body || (each.isForm ? await readForm(raw, maxAudioBytes) : await readJson(raw, maxBodyBytes));
      const body = each.body && read(each.body, given, '');
      const call = {
        body,
        client,
        signal: controller.signal,
        note: (entry: CallNote) => {
          note = { ...note, ...entry };
        },
      };
      const reply = await each.handle(call, context.req.param());
      const response =
        'events' in reply
          ? eventResponse(reply.events, (error) => end(error === undefined ? 200 : apiErrorOf(error).status, error))
          : 'text' in reply
            ? new Response(reply.text, { headers: { 'content-type': `${reply.type}; charset=utf-8` } })
            : Response.json(reply.json);
      response.headers.set('x-request-id', id);
      if (!('events' in reply)) end(200);
      return response;
    } catch (error) {
      const refusal = apiErrorOf(error);
      end(refusal.status, error);
      return refused(refusal, id);
    }
  };

  for (const each of endpoints)
    app[each.method](each.path.replace(/{(\w+)}/g, ':$1'), (context) => answer(context, each));
  const document = openApiDocument(
    endpoints,
    keys !== null,
    models.values().next().value?.model.device.info.version ?? '',
  );
  app.get('/openapi.json', (context) => context.json(document));
  app.get('/metrics', async (context) => {
    try {
      keys?.check(context.req.header('authorization'));
    } catch (error) {
      return refused(apiErrorOf(error));
    }
    const { body, type } = await metrics.text();
    return context.body(body, 200, { 'content-type': type });
  });
  refuseOtherMethods(app, endpoints);
  return Object.assign(app, {
    close: async () => {
      isClosing = true;
      for (const { batching, embedder, transcriber } of models.values()) {
        await batching?.close();
        await embedder?.close();
        await transcriber?.turns.close();
        await batching?.dispose();
      }
    },
  });
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

function clientOfRequest(
  { env }: Context<{ Bindings: Partial<HttpBindings> }>,
  holder: string | null,
  keys: number,
): string {
  if (holder !== null && keys > 1) return holder;
  return env?.incoming?.socket?.remoteAddress ?? '';
}

function logged(error: unknown): string {
  const { status, code, message } = apiErrorOf(error);
  return status < 500 ? (code ?? 'invalid_request') : ((error as Error | null)?.message ?? message);
}

function refused({ status, body, headers }: ApiError, id?: string): Response {
  return Response.json(body, { status, headers: { ...headers, ...(id === undefined ? {} : { 'x-request-id': id }) } });
}

/** 405 with what is allowed, for paths that there are; 404 for those that there are not, unless another app has them. */
function refuseOtherMethods(app: Hono<{ Bindings: Partial<HttpBindings> }>, endpoints: readonly Endpoint[]): void {
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
