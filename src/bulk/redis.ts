// Loads BullMQ and its Redis client, which are needed only for bulk inference on several machines.

import type { ConnectionOptions } from 'bullmq';
import type { Cluster, Redis } from 'ioredis';
import { anyOf, checkOptions, type OptionKind } from '../core/check.js';
import { ArgumentError, DeviceError } from '../core/errors.js';

export type BullMQ = typeof import('bullmq');

/** A connection. The caller must close a connection that the caller made. */
export interface Connection {
  readonly connection: ConnectionOptions;
  /** True if the server is unreachable, so that commands wait. */
  isAway(): boolean;
  /** Closes the connection and BullMQ's duplicates of it. Waiting commands fail. */
  close(): void;
}

const isQueueName = (name: unknown) => typeof name === 'string' && name !== '' && !name.includes(':');

/** Defaults of the options that `createWorker`, `submit` and `collect` share. */
export const QUEUE_DEFAULTS = { redis: 'redis://localhost:6379', task: 'run' } as const;

/** The rules of options that `createWorker`, `submit` and `collect` share. */
export const QUEUE_KINDS = {
  redis: anyOf('string', 'object'),
  queue: { accepts: isQueueName, expected: 'a name without colons' },
  task: 'string',
  prefix: 'string',
  signal: 'signal',
} as const;

/** Throws ArgumentError for invalid options, and if the queue is missing. */
export function checkQueueOptions<Options extends { queue: string }>(
  op: string,
  options: Options,
  kinds: { readonly [Name in keyof Options]-?: OptionKind },
): Options {
  const { queue } = checkOptions(op, options, kinds);
  if (queue === undefined) throw new ArgumentError(`${op}: queue is undefined, expected ${QUEUE_KINDS.queue.expected}`);
  return options;
}

export interface ConnectOptions {
  /** The queue and the prefix of its keys. In a cluster, their keys must be in one slot. */
  readonly queue: string;
  readonly prefix?: string | undefined;
  /** True waits for an unreachable server without a limit. Default: false. */
  readonly isPatient?: boolean;
}

const ADVICE = 'bulk inference needs BullMQ and ioredis: `npm install bullmq ioredis`';

/** Loads BullMQ. Throws DeviceError, with the install command, if it is missing. */
export async function loadBullMQ(): Promise<BullMQ> {
  try {
    return await import('bullmq');
  } catch (error) {
    throw new DeviceError(`${ADVICE} (${(error as Error).message})`, { cause: error });
  }
}

/** Milliseconds to wait for the first answer of a server, and for an unreachable server when a worker closes. */
export const TIMEOUT_MS = 5000;

/**
 * Connects to the Redis at a URL: `redis://localhost:6379`, `rediss://user:password@host:6380/1` with TLS, or
 * `redis://a:7000,b:7000` for nodes of a cluster. BullMQ's own ConnectionOptions are passed on. Later, commands wait
 * while a server restarts. Throws ArgumentError if the server refuses, or if no server answers at first, unless it
 * `isPatient`.
 */
export async function connect(redis: string | ConnectionOptions, options: ConnectOptions): Promise<Connection> {
  if (typeof redis !== 'string') return { connection: redis, isAway: () => false, close() {} };
  let client = await clientOf(redis, false);
  let isReady = await opened(client, redis, options);
  if (isReady && !client.isCluster && /cluster_enabled:1/.test(await (client as Redis).info('cluster'))) {
    client.disconnect();
    client = await clientOf(redis, true);
    isReady = await opened(client, redis, options);
  }
  const { queue, prefix = '' } = options;
  if (client.isCluster && !/\{.+\}/.test(`${prefix}${queue}`)) {
    client.disconnect();
    throw new ArgumentError(
      `bulk: ${hidden(redis)} is a cluster, where all keys of a queue must be in one slot: write its name in braces, '{${queue}}'`,
    );
  }
  return withDuplicates(client);
}

/** Adds the duplicates that BullMQ makes of a connection to wait for jobs. */
function withDuplicates(client: Redis | Cluster): Connection {
  const all = [client];
  const duplicate = client.duplicate.bind(client) as (...options: unknown[]) => Redis;
  const remembering = (...options: unknown[]) => {
    const made = duplicate(...options);
    all.push(made);
    return made;
  };
  return {
    connection: Object.assign(client, { duplicate: remembering }) as ConnectionOptions,
    isAway: () => client.status !== 'ready',
    close() {
      for (const connection of all) end(connection);
    },
  };
}

function end(client: Redis | Cluster): void {
  client.disconnect();
  // While a client waits for its next attempt, ioredis does not close it, and its commands wait forever. So the next
  // attempt is made its last.
  if (client.status !== 'reconnecting') return;
  const again = () => client.disconnect();
  client.connect().then(again, again);
}

/** Makes a client that tries to connect until it succeeds. */
async function clientOf(url: string, isCluster: boolean): Promise<Redis | Cluster> {
  const { Redis: One, Cluster: Many } = await import('ioredis').catch((error: Error) => {
    throw new DeviceError(`${ADVICE} (${error.message})`, { cause: error });
  });
  const [first = '', ...otherUrls] = url.split(',');
  const { hostname, port, protocol, username, password, pathname } = parsed(first, url);
  const shared = {
    maxRetriesPerRequest: null,
    connectTimeout: TIMEOUT_MS,
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls: {} }),
  };
  const retry = (times: number) => Math.min(100 * times, 2000);
  const node = { host: hostname || 'localhost', port: Number(port || 6379) };
  if (!isCluster && otherUrls.length === 0) {
    const db = Number(pathname.slice(1) || 0);
    if (!Number.isInteger(db))
      throw new ArgumentError(`bulk: '${hidden(url)}' does not end in the number of a database`);
    return new One({ ...node, ...shared, db, retryStrategy: retry });
  }
  const otherNodes = otherUrls
    .filter(Boolean)
    .map((address) => parsed(address.includes('//') ? address : `redis://${address}`, url));
  const nodes = [
    node,
    ...otherNodes.map((address) => ({ host: address.hostname, port: Number(address.port || 6379) })),
  ];
  return new Many(nodes, {
    redisOptions: shared,
    clusterRetryStrategy: retry,
    dnsLookup: (address, found) => found(null, address), // certificates contain host names
  });
}

function parsed(text: string, url: string): URL {
  if (/^rediss?:\/\//.test(text) && URL.canParse(text)) return new URL(text);
  throw new ArgumentError(
    `bulk: '${hidden(url)}' is not a redis:// or rediss:// URL; in a password, write / as %2F, @ as %40, and so on`,
  );
}

/** Resolves with true if the server answers, and with false if it is unreachable and the client keeps trying. */
async function opened(client: Redis | Cluster, url: string, { isPatient = false }: ConnectOptions): Promise<boolean> {
  let reason: Error | undefined;
  let timer: NodeJS.Timeout | undefined;
  const ready = new Promise<boolean>((resolve, reject) => {
    timer = setTimeout(() => (isPatient ? resolve(false) : reject(reason ?? new Error('no answer'))), TIMEOUT_MS);
    client.once('ready', () => resolve(true));
    client.on('error', (error: Error & { lastNodeError?: Error }) => {
      reason = error.lastNodeError ?? error; // without a listener it would be thrown
      if (!isAway(reason)) reject(reason);
      else if (isPatient) resolve(false);
    });
  });
  try {
    return await ready;
  } catch (error) {
    client.disconnect();
    const what = isAway(error as Error) ? 'there is no Redis at' : 'it cannot use the Redis at';
    throw new ArgumentError(`bulk: ${what} ${hidden(url)}: ${(error as Error).message}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** True for an error of the network, which may be temporary; false for an answer of a server. */
function isAway(error: NodeJS.ErrnoException): boolean {
  const { code, message } = error;
  return code === undefined ? /closed|timed? ?out|no answer/i.test(message) : /^E(?!RR_)[A-Z_]+$/.test(code);
}

/**
 * Returns the result of `work`. Throws DeviceError if the server refuses a command: it may be out of memory, read-only,
 * or unable to save to its disk.
 */
export async function withReplies<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ReplyError') throw error;
    throw new DeviceError(`submit: Redis refuses the command: ${error.message}`, { cause: error });
  }
}

/** Returns the URL without its password. */
function hidden(url: string): string {
  return url.replace(/\/\/.*@/, '//');
}
