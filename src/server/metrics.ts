import type { Registry } from 'prom-client';
import { loadOptional } from '../io/optional-package.js';
import type { CallNote } from './endpoint.js';
import type { ModelPool } from './model-pool.js';
import type { ServedModel } from './served-model.js';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** A finished request. */
export interface Finished extends CallNote {
  readonly path: string;
  readonly status: number;
  readonly milliseconds: number;
}

/** Metrics for Prometheus. */
export class Metrics {
  private constructor(
    private readonly registry: Registry,
    readonly observe: (request: Finished) => void,
  ) {}

  static async create(models: ModelPool): Promise<Metrics> {
    const client = await loadOptional('simdformer/server', () => import('prom-client'));
    const registry = new client.Registry();
    client.collectDefaultMetrics({ register: registry });
    const observe = observerOf(client, registry);
    addGauges(client, registry, models);
    return new Metrics(registry, observe);
  }

  async text(): Promise<{ body: string; type: string }> {
    return { body: await this.registry.metrics(), type: this.registry.contentType };
  }
}

type Client = typeof import('prom-client');

/** Registers the metrics of requests. Returns the function that counts a finished request. */
function observerOf({ Counter, Histogram }: Client, registry: Registry): (request: Finished) => void {
  const registers = [registry];
  const requests = new Counter({
    name: 'simdformer_requests_total',
    help: 'Requests answered.',
    labelNames: ['path', 'status', 'model'],
    registers,
  });
  const seconds = new Histogram({
    name: 'simdformer_request_seconds',
    help: 'Seconds from the request to the end of its answer.',
    labelNames: ['path', 'model'],
    buckets: SECONDS,
    registers,
  });
  const first = new Histogram({
    name: 'simdformer_first_token_seconds',
    help: 'Seconds from the request to the first token of its answer.',
    labelNames: ['model'],
    buckets: SECONDS,
    registers,
  });
  const tokens = new Counter({
    name: 'simdformer_tokens_total',
    help: 'Tokens of prompts, cached tokens of prompts, tokens of answers.',
    labelNames: ['model', 'kind'],
    registers,
  });
  return ({ path, status, milliseconds, model = '', firstTokenMs, ...counts }) => {
    requests.inc({ path, status, model });
    seconds.observe({ path, model }, milliseconds / 1000);
    if (firstTokenMs !== undefined) first.observe({ model }, firstTokenMs / 1000);
    const { promptTokens: prompt, cachedTokens: cached, completionTokens: completion } = counts;
    for (const [kind, count] of Object.entries({ prompt, cached, completion }))
      if (count) tokens.inc({ model, kind }, count);
  };
}

/** Registers the numbers of running and waiting inputs of each model in memory. */
function addGauges({ Gauge }: Client, registry: Registry, models: ModelPool): void {
  const perModel = (name: string, help: string, read: (model: ServedModel) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['model'],
      registers: [registry],
      collect() {
        this.reset();
        for (const model of models.inMemory) this.set({ model: model.id }, read(model));
      },
    });
  perModel(
    'simdformer_running',
    'Sequences and recordings in progress.',
    ({ batching, transcriber }) => (batching?.load.running ?? 0) + (transcriber?.jobs.running ?? 0),
  );
  perModel(
    'simdformer_waiting',
    'Waiting sequences, texts and recordings.',
    ({ batching, embedder, transcriber }) =>
      (batching?.load.waiting ?? 0) + (embedder?.waiting ?? 0) + (transcriber?.jobs.waiting ?? 0),
  );
}
