// The API behind a port, with a log.

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { checkNumber, checkOneOf, checkOptions, isNotNegative, isWhole } from '../core/check.js';
import { loadOptional } from '../io/optional-package.js';
import { Connections } from './connections.js';
import { type OpenAIOptions, openai } from './openai.js';
import type { RequestEntry } from './requests.js';

export interface ServeOptions extends OpenAIOptions {
  /** The port; 0 for any free port. Default: 8080. */
  port?: number | undefined;
  /** The address to listen at. Default: 127.0.0.1, which only programs on this machine can reach. */
  host?: string | undefined;
  /** Destination of the log: one line of JSON per request, without prompts and answers. Default: standard error. */
  log?: 'stderr' | 'none' | undefined;
  /** Seconds that `close()` waits for current requests before it ends them. Default: 30. */
  drainSeconds?: number | undefined;
}

/** A running server. */
export interface RunningServer {
  readonly url: string;
  /**
   * Accepts no more requests, and closes idle connections and incomplete requests. Resolves when the current requests
   * are answered, or after `drainSeconds`.
   */
  close(): Promise<void>;
}

/** Default port, address and drain time in seconds. */
export const SERVE_DEFAULTS = { port: 8080, host: '127.0.0.1', drainSeconds: 30 } as const;

/**
 * Serves models over HTTP. Rejects with the errors of `openai`, with ArgumentError for wrong options, and with the
 * system's error if it cannot listen.
 */
export async function serve(serveOptions: ServeOptions): Promise<RunningServer> {
  const {
    port = SERVE_DEFAULTS.port,
    host = SERVE_DEFAULTS.host,
    log = 'stderr',
    drainSeconds = SERVE_DEFAULTS.drainSeconds,
    ...options
  } = checkOptions('serve', serveOptions);
  const isPort = (value: unknown) => isWhole(value as number) && (value as number) <= 65535;
  checkOptions(
    'serve',
    { port, host, onRequest: options.onRequest },
    {
      port: { accepts: isPort, expected: 'an integer from 0 to 65535' },
      host: 'string',
      onRequest: 'function',
    },
  );
  checkNumber('serve', 'drainSeconds', drainSeconds, isNotNegative, 'a number of seconds, 0 or more');
  checkOneOf('serve', 'log', log, ['stderr', 'none']);
  const { createAdaptorServer } = await loadOptional('simdformer/server', () => import('@hono/node-server'));
  const write = log === 'none' ? () => {} : await logger();
  const onRequest = (entry: RequestEntry) => {
    write(entry);
    options.onRequest?.(entry);
  };
  const app = await openai({ ...options, onRequest });
  app.get('/', (context) => app.status(context));
  // A request of HTTP/1.0 may lack the Host header, so a host name is needed.
  const server = createAdaptorServer({ fetch: app.fetch, hostname: 'localhost' }) as Server;
  const connections = new Connections(server);
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
    close: () => connections.drain(drainSeconds * 1000, () => app.close()),
  };
}

/** One line of JSON for each request. */
async function logger(): Promise<(entry: RequestEntry) => void> {
  const { pino } = await loadOptional('simdformer/server', () => import('pino'));
  const log = pino({ name: 'simdformer' }, pino.destination({ dest: 2, sync: false }));
  return ({ milliseconds, firstTokenMs, ...entry }) => {
    const level = entry.status >= 500 ? 'error' : entry.status >= 400 ? 'warn' : 'info';
    const ms = Math.round(milliseconds);
    log[level]({ ...entry, ms, ...(firstTokenMs === undefined ? {} : { firstTokenMs: Math.round(firstTokenMs) }) });
  };
}
