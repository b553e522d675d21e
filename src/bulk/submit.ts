import type { ConnectionOptions, JobsOptions } from 'bullmq';
import { ArgumentError } from '../core/errors.js';
import type { JobData } from './create-worker.js';
import { jobId } from './job-ids.js';
import { checkQueueOptions, connect, loadBullMQ, QUEUE_DEFAULTS, QUEUE_KINDS, withReplies } from './redis.js';

export interface QueueOptions {
  /** The Redis server, as in `createWorker`. Default: `redis://localhost:6379`. */
  redis?: string | ConnectionOptions | undefined;
  queue: string;
  /** The name of the task that the jobs are for. Default: `run`. */
  task?: string | undefined;
  /** The prefix of BullMQ's keys. Default: `bull`, as in BullMQ. */
  prefix?: string | undefined;
  signal?: AbortSignal | undefined;
}

/** Names of QueueOptions. */

export interface SubmitOptions extends QueueOptions {
  /** Maximum number of attempts for a job, unless its input causes the failure. Default: 3. */
  attempts?: number | undefined;
  /** Other options of BullMQ's jobs, such as `priority`. `backoff`, by default, is exponential, from 1 s. */
  job?: Omit<JobsOptions, 'jobId' | 'attempts'> | undefined;
  /** Called after each thousand inputs with the number submitted so far. */
  onProgress?: ((submitted: number) => void) | undefined;
}

/** The default of `attempts`. */
export const ATTEMPTS = 3;

/** Number of jobs that are added at once. */
const CHUNK = 1000;

/**
 * Adds a job for each input, with an id made from its position and content. Submitting again, for example after a kill,
 * adds only missing jobs. Returns the number of inputs. Throws the errors of `createWorker` and of the inputs, and
 * DeviceError if Redis refuses to write.
 */
export async function submit(
  inputs: AsyncIterable<unknown> | Iterable<unknown>,
  options: SubmitOptions,
): Promise<number> {
  const kinds = { ...QUEUE_KINDS, attempts: 'count', job: 'object', onProgress: 'function' } as const;
  const submitOptions = checkQueueOptions('submit', options, kinds);
  const {
    redis = QUEUE_DEFAULTS.redis,
    queue: name,
    prefix,
    task = QUEUE_DEFAULTS.task,
    attempts = ATTEMPTS,
  } = submitOptions;
  const { signal, onProgress } = submitOptions;
  const { Queue } = await loadBullMQ();
  const { connection, close } = await connect(redis, { queue: name, prefix });
  const queue = new Queue<JobData>(name, { connection, ...(prefix !== undefined && { prefix }) });
  const shared: JobsOptions = { backoff: { type: 'exponential', delay: 1000 }, ...submitOptions.job, attempts };
  let count = 0;
  let chunk: { name: string; data: JobData; opts: JobsOptions }[] = [];
  const add = async () => {
    if (chunk.length > 0) await withReplies(() => queue.addBulk(chunk));
    count += chunk.length;
    chunk = [];
    onProgress?.(count);
  };
  try {
    for await (const input of inputs) {
      signal?.throwIfAborted();
      if (input === undefined) throw new ArgumentError('submit: an input is undefined');
      chunk.push({
        name: task,
        data: { task, input },
        opts: { ...shared, jobId: jobId(count + chunk.length, task, input) },
      });
      if (chunk.length === CHUNK) await add();
    }
    await add();
    return count;
  } finally {
    await queue.close();
    close();
  }
}
