// A page for people at the server's address: no script, no external resource, nothing that a browser remembers.

import { createHash } from 'node:crypto';
import type { ModelEntry, ModelPool } from './model-pool.js';

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}' +
  'table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem 1rem .3rem 0;border-bottom:1px solid #8884}' +
  'td.n,th.n{text-align:right}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}a{color:#8bf}}';

const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export interface ServerStatus {
  readonly isClosing: boolean;
  /** Milliseconds since 1970. */
  readonly started: number;
}

/** The state of the server and its models. `models` is null for a caller without a valid key. */
export function statusPage(models: ModelPool | null, { isClosing, started }: ServerStatus): Response {
  const seconds = Math.round((Date.now() - started) / 1000);
  const state = isClosing ? 'shutting down' : 'ready';
  const body = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>simdformer: ${state}</title><style>${STYLE}</style></head><body>
<h1>simdformer</h1>
<p>The server is ${state}. It has run for ${seconds.toLocaleString('en')} seconds.</p>
${models === null ? '<p>Models are shown to requests with an API key.</p>' : tableOf(models)}
<p><a href="openapi.json">API description</a> · <a href="metrics">Metrics</a> · <a href="health">Health</a></p>
</body></html>
`;
  return new Response(body, {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': POLICY,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    },
  });
}

function tableOf(models: ModelPool): string {
  const rows = models.entries.map((entry) => `<tr>${cellsOf(entry).join('')}</tr>`);
  return `<table><thead><tr><th>model</th><th>adapters</th><th>state</th><th class="n">memory</th><th class="n">running</th><th class="n">waiting</th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table>`;
}

function cellsOf({ id, adapters, state, bytes, served }: ModelEntry): string[] {
  const { batching, embedder, ranker, transcriber, speaker, pipelines } = served ?? {};
  const queues = [ranker?.jobs, transcriber?.jobs, speaker?.jobs, pipelines?.jobs];
  const sum = (counts: readonly (number | undefined)[]) =>
    counts.reduce<number>((total, count) => total + (count ?? 0), 0);
  const running = sum([batching?.load.running, ...queues.map((queue) => queue?.running)]);
  const waiting = sum([batching?.load.waiting, embedder?.waiting, ...queues.map((queue) => queue?.waiting)]);
  const memory = bytes === 0 ? 'unknown' : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const texts = [id, adapters.join(', '), state].map((text) => `<td>${escaped(text)}</td>`);
  return [...texts, ...[memory, running, waiting].map((value) => `<td class="n">${value}</td>`)];
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const escaped = (text: string) => text.replace(/[&<>"']/g, (sign) => ENTITIES[sign] as string);
