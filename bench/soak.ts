// Many clients for a long time. No client may get an error, and the server's memory must stay constant once every kind
// of request has come.
//
//     SERVE_MODEL=…/SmolLM2-135M-Instruct.Q4_1.gguf [SOAK_SECONDS=600] npm run bench -- soak

import { setTimeout } from 'node:timers/promises';
import autocannon from 'autocannon';
import type { Bench } from './harness/bench.js';
import { BenchError } from './harness/error.js';
import { OURS } from './harness/ours.js';
import { ourServer, served } from './harness/server.js';
import { summarize } from './harness/statistics.js';

const CLIENTS = 64;
/** Seconds between two measurements of the memory. */
const EVERY = 5;

/** The metrics that are watched. */
const LOOKS = {
  resident: 'process_resident_memory_bytes',
  heap: 'nodejs_heap_size_used_bytes',
  external: 'nodejs_external_memory_bytes',
} as const;

type Look = Readonly<Record<keyof typeof LOOKS, number>>;

const schema = { type: 'object', properties: { name: { type: 'string', maxLength: 8 }, age: { type: 'integer' } } };
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ type: 'function', function: { name: 'weather', parameters } }];

/** Every client asks these in turn. */
const asked: readonly (readonly [path: string, body: object])[] = [
  ['completions', { prompt: 'Once upon a time', max_tokens: 16 }],
  ['chat/completions', { ...chat('Name three cats.'), stream: true, max_tokens: 12 }],
  ['completions', { prompt: Array.from({ length: 96 }, (_, i) => 100 + 7 * i), max_tokens: 8, n: 2, logprobs: 3 }],
  ['chat/completions', { ...chat('Who are you?'), response_format: responseFormat(schema), max_tokens: 24 }],
  ['chat/completions', { ...chat('How warm is Rome?'), tools, stream: true, max_tokens: 12 }],
  ['chat/completions', { ...chat('Count to ten.'), stop: ['four'], logprobs: true, top_logprobs: 2, max_tokens: 12 }],
];

export default {
  question: `Do ${CLIENTS} clients get answers for ten minutes without an error, and does the server's memory stay flat?`,
  async run(run) {
    const { SERVE_MODEL: model, SOAK_SECONDS: given = '600' } = process.env;
    if (!model) {
      run.note('Memory is NOT measured: SERVE_MODEL names no model');
      return;
    }
    const seconds = run.options.quick ? 60 : Number(given);
    const what = `${CLIENTS} clients, ${seconds} s`;
    if (!run.wants(what)) return;
    const looks: Look[] = [];
    const start = await ourServer(run.threads, [
      `bench=${model}`,
      '--context',
      '512',
      '--max-waiting',
      `${2 * CLIENTS}`,
    ]);
    const result = await served(start, async (url) => {
      const ended = new AbortController();
      const watching = watch(url, looks, ended.signal, (look) => run.say(told(look)));
      const cannon = await autocannon({
        url,
        connections: CLIENTS,
        duration: seconds,
        timeout: 300,
        requests: asked.map(([path, body]) => ({
          method: 'POST',
          path: `/v1/${path}`,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ model: 'bench', ...body }),
        })),
      });
      ended.abort();
      await watching;
      return cannon;
    });
    if (result.errors + result.non2xx + result.timeouts > 0)
      throw new BenchError(`${result.errors} errors, ${result.non2xx} refusals, ${result.timeouts} timeouts`);
    const warm = looks.slice(looks.length / 3).map(({ resident }) => resident); // all slots were used before
    const { median } = summarize(warm);
    run.row(
      what,
      { times: { [OURS]: summarize([result.latency.p50 / 1e3]) }, ratios: {}, shares: {} },
      {
        requests: result['2xx'],
        'memory, MB': median / 1e6,
        'least of its median': Math.min(...warm) / median,
        'most of its median': Math.max(...warm) / median,
      },
    );
  },
} satisfies Bench;

function chat(content: string) {
  return { messages: [{ role: 'user', content }] };
}

function responseFormat(of: object) {
  return { type: 'json_schema', json_schema: { name: 'answer', schema: of } };
}

const told = (look: Look) =>
  Object.entries(look)
    .map(([name, bytes]) => `${name} ${(bytes / 1e6).toFixed(1)} MB`)
    .join(', ');

async function watch(url: string, looks: Look[], signal: AbortSignal, tell: (look: Look) => void): Promise<void> {
  while (!signal.aborted) {
    const text = await (await fetch(`${url}/metrics`)).text();
    const read = (metric: string) => Number(new RegExp(`^${metric} (\\S+)$`, 'm').exec(text)?.[1]);
    const look = Object.fromEntries(Object.entries(LOOKS).map(([name, metric]) => [name, read(metric)])) as Look;
    looks.push(look);
    if (looks.length % 6 === 1) tell(look);
    await setTimeout(EVERY * 1e3, undefined, { signal }).catch(() => {});
  }
}
