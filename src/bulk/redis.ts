// BullMQ and its Redis client, which only those need who share work between machines.

import type { Redis } from 'ioredis';
import { ArgumentError, DeviceError } from '../core/errors.js';

export type BullMQ = typeof import('bullmq');

const ADVICE = 'bulk inference stands on BullMQ and ioredis: `npm install bullmq ioredis`';

/** Throws DeviceError, saying what to install, if it is not there. */
export async function loadBullMQ(): Promise<BullMQ> {
  try {
    return await import('bullmq');
  } catch (error) {
    throw new DeviceError(`${ADVICE} (${(error as Error).message})`, { cause: error });
  }
}

/** Milliseconds in which a server must answer for the first time. */
const PATIENCE = 5000;

/**
 * A connection to the Redis at `url`, `redis://localhost:6379` for example. Once it stands, commands wait for a server
 * that restarts. Throws ArgumentError if nobody answers at first.
 */
export async function connect(url: string): Promise<Redis> {
  if (!/^rediss?:\/\//.test(url)) throw new ArgumentError(`bulk: '${url}' is no redis:// URL`);
  const { Redis: Client } = await import('ioredis').catch((error: Error) => {
    throw new DeviceError(`${ADVICE} (${error.message})`, { cause: error });
  });
  const client = new Client(url, {
    maxRetriesPerRequest: null,
    lazyConnect: true,
    connectTimeout: PATIENCE,
    retryStrategy: (times) => Math.min(100 * times, 2000),
  });
  let reason: Error | undefined;
  client.on('error', (error: Error) => {
    reason = error; // else it is thrown; what waits for the server goes on waiting
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(reason ?? new Error('no answer')), PATIENCE);
  });
  try {
    await Promise.race([client.connect().then(() => client.ping()), late]);
    return client;
  } catch (error) {
    client.disconnect();
    throw new ArgumentError(`bulk: there is no Redis at ${hidden(url)}: ${(reason ?? (error as Error)).message}`, {
      cause: error,
    });
  } finally {
    clearTimeout(timer);
  }
}

/** Without the password. */
function hidden(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}
