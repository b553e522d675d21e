// Spans of requests, as an SDK of OpenTelemetry receives them, and the page for people.
import { propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Served, startServer } from './served.js';

const exporter = new InMemorySpanExporter();
let server: Served;
beforeAll(async () => {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  server = await startServer({ context: 256, apiKeys: ['k'] });
});
afterAll(async () => {
  await server?.end();
  trace.disable();
  propagation.disable();
});

const headers = { authorization: 'Bearer k' };
const milliseconds = ([seconds, nanoseconds]: ReadableSpan['startTime']) => seconds * 1000 + nanoseconds / 1e6;

/** The spans of one request by name, once its answer was read. */
async function spansOf(path: string, body: unknown, more: Record<string, string> = {}): Promise<ReadableSpan[]> {
  exporter.reset();
  await (await server.post(path, body, { headers: { ...headers, ...more } })).text();
  for (let i = 0; i < 100 && exporter.getFinishedSpans().length === 0; i++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  return exporter.getFinishedSpans();
}

it('records a request, its operation, and the phases of each answer', async () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const spans = await spansOf(
    '/v1/chat/completions',
    { model: 'stories', messages: [{ role: 'user', content: 'secret' }], temperature: 0, max_tokens: 6, n: 2 },
    { traceparent: `00-${traceId}-b7ad6b7169203331-01` },
  );
  const named = (name: string) => spans.filter((span) => span.name === name);
  const [request] = named('POST /v1/chat/completions') as [ReadableSpan];
  expect(request.kind).toBe(SpanKind.SERVER);
  expect(request.spanContext().traceId).toBe(traceId);
  expect(request.parentSpanContext?.spanId).toBe('b7ad6b7169203331');
  expect(request.attributes).toMatchObject({ 'http.route': '/v1/chat/completions', 'http.response.status_code': 200 });
  const [operation] = named('chat stories') as [ReadableSpan];
  expect(operation.parentSpanContext?.spanId).toBe(request.spanContext().spanId);
  expect(operation.attributes).toMatchObject({
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'simdformer',
    'gen_ai.request.model': 'stories',
    'gen_ai.request.temperature': 0,
    'gen_ai.request.max_tokens': 6,
    'gen_ai.request.choice.count': 2,
    'gen_ai.usage.output_tokens': 12,
    'gen_ai.response.finish_reasons': ['length', 'length'],
  });
  expect(operation.attributes['gen_ai.usage.input_tokens']).toBeGreaterThan(5);
  for (const name of ['queue', 'prefill', 'decode']) expect(named(name)).toHaveLength(2);
  for (const span of spans.filter(({ name }) => ['queue', 'prefill', 'decode'].includes(name))) {
    expect(span.parentSpanContext?.spanId).toBe(operation.spanContext().spanId);
    expect(milliseconds(span.endTime)).toBeGreaterThanOrEqual(milliseconds(span.startTime));
  }
  const [prefill, decode] = [named('prefill')[0]!, named('decode')[0]!];
  expect(milliseconds(decode.startTime)).toBeCloseTo(milliseconds(prefill.endTime), 1);
  expect(JSON.stringify(spans.map(({ attributes, name }) => [name, attributes]))).not.toContain('secret');
});

it('records streams, embeddings and failures', async () => {
  const body = { model: 'stories', prompt: 'A cat', max_tokens: 4, stream: true };
  expect((await spansOf('/v1/completions', body)).map(({ name }) => name)).toContain('text_completion stories');
  const embedded = await spansOf('/v1/embeddings', { model: 'vectors', input: 'CCO' });
  const operation = embedded.find(({ name }) => name === 'embeddings vectors');
  expect(operation?.attributes['gen_ai.usage.input_tokens']).toBeGreaterThan(0);
  const refused = await spansOf('/v1/chat/completions', { model: 'stories', messages: [] });
  expect(refused).toHaveLength(1);
  expect(refused[0]?.attributes).toMatchObject({ 'http.response.status_code': 400 });
  const failed = await spansOf('/v1/embeddings', { model: 'stories', input: 'x' });
  const wrong = failed.find(({ name }) => name === 'embeddings stories');
  expect(wrong?.status.code).toBe(SpanStatusCode.ERROR);
  expect(wrong?.attributes['error.type']).toBe('unsupported_model');
});

it('shows a page without scripts, and hides model names from clients without a key', async () => {
  const open = await fetch(`${server.url}/`);
  const page = await (await fetch(`${server.url}/`, { headers })).text();
  expect(open.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(open.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-/);
  expect(await open.text()).not.toContain('stories');
  expect(page).toContain('<td>stories</td>');
  expect(page).toContain('<td>loaded</td>');
  expect(page).not.toMatch(/<script|https?:| on\w+=/);
});
