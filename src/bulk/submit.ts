import type { JobsOptions } from 'bullmq';
import { ArgumentError } from '../core/errors.js';
import { checkQueue, type JobData } from './create-worker.js';
import { jobId } from './job-ids.js';
import { connect, loadBullMQ } from './redis.js';

export interface QueueOptions {
  /** Default: `redis://localhost:6379`. */
  redis?: string | undefined;
  queue: string;
  /** The name of the task that the jobs are for. Default: `run`. */
  task?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface SubmitOptions extends QueueOptions {
  /** How often a job is tried that fails for no fault of its input. Default: 3, with exponential back-off from 1 s. */
  attempts?: number | undefined;
  /** Called after each thousand. */
  onProgress?: ((submitted: number) => void) | undefined;
}

/** Jobs that are added at once. */
const CHUNK = 1000;

/**
 * Adds a job for each input, with an id of its position and content: submitting again, after a kill for example, adds only
 * what is not there. Returns how many inputs there were. Throws what `createWorker` throws, and what the inputs throw.
 */
export async function submit(
  inputs: AsyncIterable<unknown> | Iterable<unknown>,
  options: SubmitOptions,
): Promise<number> {
  const { redis = 'redis://localhost:6379', queue: name, task = 'run', attempts = 3, signal, onProgress } = options;
  checkQueue('submit', name);
  const { Queue } = await loadBullMQ();
  const connection = await connect(redis);
  const queue = new Queue<JobData>(name, { connection });
  const shared: JobsOptions = { attempts, backoff: { type: 'exponential', delay: 1000 } };
  let count = 0;
  let chunk: { name: string; data: JobData; opts: JobsOptions }[] = [];
  const add = async () => {
    if (chunk.length > 0) await queue.addBulk(chunk);
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
    connection.disconnect();
  }
}
