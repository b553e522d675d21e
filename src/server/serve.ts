// The API behind a port, and what it writes into its log.

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ArgumentError } from '../core/errors.js';
import { loadOptional } from './load-optional.js';
import { type OpenAIOptions, openai } from './openai.js';
import type { RequestEntry } from './requests.js';

export interface ServeOptions extends OpenAIOptions {
  /** Default 8080; 0 is any that is free. */
  port?: number | undefined;
  /** The address to listen at. Default 127.0.0.1: only programs of this machine are heard. */
  host?: string | undefined;
  /** Where the log's lines go, one for each request, without what was asked or answered. Default: standard error. */
  log?: 'stderr' | 'none' | undefined;
}

/** A server that listens. */
export interface RunningServer {
  readonly url: string;
  /** Takes no more requests, answers those under way, and ends. */
  close(): Promise<void>;
}

/**
 * Serves models over HTTP. Rejects with what `openai` rejects with, ArgumentError for a port that is none, and the
 * system's error if it cannot listen there.
 */
export async function serve({
  port = 8080,
  host = '127.0.0.1',
  log = 'stderr',
  ...options
}: ServeOptions): Promise<RunningServer> {
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new ArgumentError(`serve: port is ${port}, expected an integer from 0 to 65535`);
  const { createAdaptorServer } = await loadOptional('@hono/node-server', () => import('@hono/node-server'));
  const write = log === 'none' ? () => {} : await logger();
  const onRequest = (entry: RequestEntry) => {
    write(entry);
    options.onRequest?.(entry);
  };
  const app = await openai({ ...options, onRequest });
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  }).catch(async (error) => {
    await app.close();
    throw error;
  });
  const { address, family, port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      await app.close();
      server.closeIdleConnections();
      await closed;
    },
  };
}

/** One line of JSON for each request. */
async function logger(): Promise<(entry: RequestEntry) => void> {
  const { pino } = await loadOptional('pino', () => import('pino'));
  const log = pino({ name: 'simdformer' }, pino.destination({ dest: 2, sync: false }));
  return ({ milliseconds, firstTokenMs, ...entry }) => {
    const level = entry.status >= 500 ? 'error' : entry.status >= 400 ? 'warn' : 'info';
    const ms = Math.round(milliseconds);
    log[level]({ ...entry, ms, ...(firstTokenMs === undefined ? {} : { firstTokenMs: Math.round(firstTokenMs) }) });
  };
}
