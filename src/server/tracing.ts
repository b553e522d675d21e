// Spans of OpenTelemetry for requests, by the semantic conventions for HTTP and for generative AI. Without an SDK in
// the process, @opentelemetry/api drops them. Spans have no prompts and no answers.

import type { Attributes, Context, SpanOptions, Tracer } from '@opentelemetry/api';
import type { AnswerPhases, Endpoint } from './endpoint.js';
import type { Finished } from './metrics.js';

type Api = typeof import('@opentelemetry/api');

/** A finished request with the data for its span. */
export interface TracedRequest extends Finished {
  readonly method: string;
  readonly operation: Endpoint['operation'];
  /** The checked body. */
  readonly body: unknown;
  readonly headers: Headers;
  /** Milliseconds since 1970 at which the request arrived. */
  readonly start: number;
  readonly phases: readonly AnswerPhases[];
}

/** Attributes of requests by the names of their fields. */
const SETTINGS: Readonly<Record<string, string>> = {
  temperature: 'temperature',
  top_p: 'top_p',
  top_k: 'top_k',
  seed: 'seed',
  frequency_penalty: 'frequency_penalty',
  presence_penalty: 'presence_penalty',
  max_tokens: 'max_tokens',
  max_completion_tokens: 'max_tokens',
  max_output_tokens: 'max_tokens',
  n: 'choice.count',
};

/** Times of a span in milliseconds since 1970, and the type of its error, if it failed. */
interface Span extends Pick<SpanOptions, 'kind' | 'attributes'> {
  readonly start: number;
  readonly end: number;
  readonly error?: string | undefined;
}

export class Tracing {
  readonly #tracer: Tracer;

  private constructor(private readonly api: Api) {
    this.#tracer = api.trace.getTracer('simdformer');
  }

  /** Null if @opentelemetry/api is not installed. */
  static async create(): Promise<Tracing | null> {
    try {
      return new Tracing(await import('@opentelemetry/api'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return null;
      throw error;
    }
  }

  /**
   * Records a request, its operation on a model, and the phases of each answer. The caller's `traceparent` header is
   * the parent.
   */
  record(request: TracedRequest): void {
    const { api } = this;
    const { method, path, status, start, milliseconds, error, headers } = request;
    const end = start + milliseconds;
    const parent = api.propagation.extract(api.ROOT_CONTEXT, headers, {
      get: (from, name) => from.get(name) ?? undefined,
      keys: (from) => {
        const names: string[] = [];
        from.forEach((_, name) => void names.push(name));
        return names;
      },
    });
    const isFault = status >= 500;
    const attributes = {
      'http.request.method': method,
      'http.route': path,
      'http.response.status_code': status,
      ...(isFault ? { 'error.type': String(status) } : {}),
    };
    const span = { kind: api.SpanKind.SERVER, attributes, start, end, error: isFault ? (error ?? '') : undefined };
    this.#span(`${method} ${path}`, parent, span, (inside) => {
      if (request.operation !== undefined && request.model !== undefined) this.#operation(request, inside, end);
    });
  }

  #operation(request: TracedRequest, parent: Context, end: number): void {
    const { operation, model, start, phases, error, status } = request;
    const reasons = phases.map(({ finishReason }) => finishReason);
    const attributes = {
      'gen_ai.operation.name': operation,
      'gen_ai.provider.name': 'simdformer',
      'gen_ai.request.model': nameIn(request.body) ?? model,
      'gen_ai.response.model': model,
      ...settingsOf(request.body),
      'gen_ai.usage.input_tokens': request.promptTokens,
      'gen_ai.usage.output_tokens': request.completionTokens,
      'gen_ai.usage.cache_read.input_tokens': request.cachedTokens,
      ...(reasons.length > 0 ? { 'gen_ai.response.finish_reasons': reasons } : {}),
      ...(error === undefined ? {} : { 'error.type': status < 500 ? error : String(status) }),
    } as Attributes;
    this.#span(`${operation} ${model}`, parent, { attributes, start, end, error }, (inside) => {
      for (const { begin, queue, prefill, decode } of phases) {
        let position = begin;
        for (const [name, length] of Object.entries({ queue, prefill, decode })) {
          this.#span(name, inside, { start: position, end: position + length });
          position += length;
        }
      }
    });
  }

  /** Records a span. `addChildren` gets the context for spans inside of it. */
  #span(
    name: string,
    parent: Context,
    { start, end, error, ...options }: Span,
    addChildren: (context: Context) => void = () => {},
  ): void {
    const { api } = this;
    const span = this.#tracer.startSpan(name, { ...options, startTime: start }, parent);
    if (error !== undefined) span.setStatus({ code: api.SpanStatusCode.ERROR, message: error });
    addChildren(api.trace.setSpan(parent, span));
    span.end(end);
  }
}

function nameIn(body: unknown): string | undefined {
  const { model } = Object(body) as { model?: unknown };
  return typeof model === 'string' ? model : undefined;
}

function settingsOf(body: unknown): Attributes {
  const fields = Object.entries(Object(body) as Record<string, unknown>);
  return Object.fromEntries(
    fields.flatMap(([name, value]) =>
      typeof value === 'number' && Object.hasOwn(SETTINGS, name) ? [[`gen_ai.request.${SETTINGS[name]}`, value]] : [],
    ),
  );
}
