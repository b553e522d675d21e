// One request, from its arrival to its line in the log.

import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { type Dialect, OPENAI } from './dialect.js';
import type { CallNote, Endpoint } from './endpoint.js';
import { ApiError, apiErrorOf } from './errors.js';
import { streamResponse } from './events.js';
import { readForm } from './form.js';
import type { Keys } from './keys.js';
import type { Finished, Metrics } from './metrics.js';
import type { ModelPool } from './model-pool.js';
import { readJson } from './read-body.js';
import { read } from './schema.js';
import type { ServedModel } from './served-model.js';
import type { Tracing } from './tracing.js';

/** The type argument of Hono apps in Node: the request and the response of node:http. */
export type NodeBindings = { Bindings: Partial<HttpBindings> };

/** A finished request. */
export interface RequestEntry extends Finished {
  readonly id: string;
  readonly method: string;
  readonly client: string;
}

/** The settings of a server. */
export interface RequestSettings {
  readonly keys: Keys | null;
  readonly metrics: Metrics;
  readonly models: ModelPool;
  readonly tracing: Tracing | null;
  readonly maxBodyBytes: number;
  readonly maxAudioBytes: number;
  /** The client of a request. `key` is the name of its API key. */
  readonly clientOf: (context: Context<NodeBindings>, key: string | null) => string;
  /** Requests of one scope share the prefixes of prompts. */
  readonly prefixScopeOf: (context: Context<NodeBindings>, key: string | null) => string;
  readonly onRequest: ((request: RequestEntry) => void) | undefined;
  readonly isClosing: () => boolean;
}

/** Answers a request for an endpoint. Errors become JSON in the form of the endpoint's API. */
export async function answer(
  settings: RequestSettings,
  context: Context<NodeBindings>,
  endpoint: Endpoint,
): Promise<Response> {
  const request = new OngoingRequest(settings, context, endpoint);
  try {
    return await request.reply();
  } catch (error) {
    const refusal = apiErrorOf(error);
    request.end(refusal.status, error);
    return refused(refusal, request.id, endpoint.dialect);
  }
}

class OngoingRequest {
  readonly id = `req_${crypto.randomUUID().replaceAll('-', '')}`;
  readonly #start = performance.now();
  readonly #controller = new AbortController();
  #note: CallNote = {};
  readonly #arrived = Date.now();
  #client = '';
  #checked: unknown;
  /** Functions that release the models of the request. */
  readonly #releases: (() => void)[] = [];

  constructor(
    readonly settings: RequestSettings,
    readonly context: Context<NodeBindings>,
    readonly endpoint: Endpoint,
  ) {
    context.req.raw.signal.addEventListener('abort', this.#leave, { once: true });
  }

  async reply(): Promise<Response> {
    const { context, endpoint, settings } = this;
    const { keys } = settings;
    const key = keys && !endpoint.isPublic ? keys.check(authorizationOf(context)) : null;
    this.#client = settings.clientOf(context, key);
    if (settings.isClosing() && endpoint.method === 'post')
      throw new ApiError(503, 'The server is shutting down.', 'shutting_down', null, { connection: 'close' });
    if (context.req.raw.signal.aborted) this.#leave();
    this.#checked = await this.#body();
    const call = {
      body: this.#checked,
      fields: (endpoint.dialect ?? OPENAI).fields,
      client: this.#client,
      prefixScope: settings.prefixScopeOf(context, key),
      signal: this.#controller.signal,
      use: (name: string, keepAliveSeconds?: number) => this.#use(name, keepAliveSeconds),
      note: (entry: CallNote) => {
        this.#note = { ...this.#note, ...entry };
      },
    };
    const response = this.#responseOf(await endpoint.handle(call, context.req.param()));
    response.headers.set('x-request-id', this.id);
    return response;
  }

  async #use(name: string, keepAliveSeconds?: number): Promise<ServedModel> {
    const { served, release } = await this.settings.models.use(name, this.#controller.signal);
    this.#note = { ...this.#note, model: served.id };
    this.#releases.push(() => release(keepAliveSeconds));
    return served;
  }

  async #body(): Promise<unknown> {
    const { endpoint, settings } = this;
    if (!endpoint.body) return undefined;
    const { raw } = this.context.req;
    const { maxAudioBytes, maxBodyBytes } = settings;
    const parsed = endpoint.isForm ? await readForm(raw, maxAudioBytes) : await readJson(raw, maxBodyBytes);
    return read(endpoint.body, parsed);
  }

  /** Ends the request, unless the response is a stream of events, which ends it later. */
  #responseOf(reply: Awaited<ReturnType<Endpoint['handle']>>): Response {
    const { endpoint } = this;
    if ('events' in reply) {
      return streamResponse(reply.events, endpoint.dialect ?? OPENAI, (error) =>
        this.end(error === undefined ? 200 : apiErrorOf(error).status, error),
      );
    }
    const response =
      'text' in reply
        ? new Response(reply.text, { headers: { 'content-type': `${reply.type}; charset=utf-8` } })
        : 'bytes' in reply
          ? new Response(reply.bytes as Uint8Array<ArrayBuffer>, { headers: { 'content-type': reply.type } })
          : Response.json(reply.json);
    this.end(200);
    return response;
  }

  readonly #leave = () => this.#controller.abort(new DOMException('The client has left', 'AbortError'));

  /** Stops all work for the request, counts it and logs it. */
  end(status: number, error?: unknown): void {
    const { context, endpoint, settings } = this;
    context.req.raw.signal.removeEventListener('abort', this.#leave);
    this.#controller.abort(new DOMException('The request is over', 'AbortError'));
    for (const release of this.#releases.splice(0)) release();
    const milliseconds = performance.now() - this.#start;
    // Messages may quote the request, which must not appear in the log.
    const { phases = [], ...note } = error === undefined ? this.#note : { ...this.#note, error: logged(error) };
    const finished = { ...note, path: endpoint.path, status, milliseconds };
    const method = endpoint.method.toUpperCase();
    settings.metrics.observe(finished);
    settings.tracing?.record({
      ...finished,
      method,
      phases,
      operation: endpoint.operation,
      body: this.#checked,
      headers: context.req.raw.headers,
      start: this.#arrived,
    });
    settings.onRequest?.({ ...finished, id: this.id, method, client: this.#client });
  }
}

function logged(error: unknown): string {
  const { status, code, message } = apiErrorOf(error);
  return status < 500 ? (code ?? 'invalid_request') : ((error as Error | null)?.message ?? message);
}

/** Returns the header with the API key. Anthropic's clients use another name for it. */
export function authorizationOf({ req }: Context<NodeBindings>): string | undefined {
  const key = req.header('x-api-key');
  return req.header('authorization') ?? (key === undefined ? undefined : `Bearer ${key}`);
}

export function refused(error: ApiError, id?: string, dialect: Dialect = OPENAI): Response {
  const { status, headers } = error;
  const idHeader = id === undefined ? {} : { 'x-request-id': id };
  return Response.json(dialect.errorBody(error), { status, headers: { ...headers, ...idHeader } });
}
