import { setTimeout as sleep } from 'node:timers/promises';
import type { Job, Queue } from 'bullmq';
import { ArgumentError } from '../core/errors.js';
import type { JobData } from './create-worker.js';
import { jobId } from './job-ids.js';
import { checkQueueOptions, connect, loadBullMQ, QUEUE_DEFAULTS, QUEUE_KINDS } from './redis.js';
import type { QueueOptions } from './submit.js';

/** The outcome of an input: its result, or the reason of its failure. */
export type Collected = { readonly result: unknown } | { readonly error: string };

export interface CollectOptions extends QueueOptions {
  /** Number of inputs to skip, because their results are known. Default: 0. */
  from?: number | undefined;
}

/** Number of jobs that are requested at once. */
const CHUNK = 256;

/**
 * Yields the outcomes of the inputs that were passed to `submit`, in order. Waits for unfinished jobs. Throws
 * ArgumentError for an input that was not submitted, and the errors of `createWorker`.
 */
export async function* collect(
  inputs: AsyncIterable<unknown> | Iterable<unknown>,
  options: CollectOptions,
): AsyncGenerator<Collected> {
  const collectOptions = checkQueueOptions('collect', options, { ...QUEUE_KINDS, from: 'whole' });
  const {
    redis = QUEUE_DEFAULTS.redis,
    queue: name,
    prefix,
    task = QUEUE_DEFAULTS.task,
    signal,
    from = 0,
  } = collectOptions;
  const { Queue: BullQueue } = await loadBullMQ();
  const { connection, close } = await connect(redis, { queue: name, prefix });
  const queue = new BullQueue<JobData>(name, { connection, ...(prefix !== undefined && { prefix }) });
  try {
    for await (const { first, chunk } of chunks(inputs, from)) {
      const ids = chunk.map((input, i) => jobId(first + i, task, input));
      yield* finished(queue, ids, first, signal);
    }
  } finally {
    await queue.close();
    close();
  }
}

async function* chunks(inputs: AsyncIterable<unknown> | Iterable<unknown>, from: number) {
  let [first, chunk] = [from, [] as unknown[]];
  let position = 0;
  for await (const input of inputs) {
    if (position++ < from) continue;
    chunk.push(input);
    if (chunk.length < CHUNK) continue;
    yield { first, chunk };
    [first, chunk] = [position, []];
  }
  if (chunk.length > 0) yield { first, chunk };
}

/** The outcomes of jobs, in the order of their ids, once they have ended. */
async function* finished(
  queue: Queue<JobData>,
  ids: readonly string[],
  first: number,
  signal: AbortSignal | undefined,
) {
  const jobs = new Map<string, Job<JobData>>();
  let wait = 50;
  for (const [i, id] of ids.entries()) {
    while (!jobs.has(id)) {
      signal?.throwIfAborted();
      const open = ids.slice(i).filter((each) => !jobs.has(each));
      const found = await Promise.all(open.map((each) => queue.getJob(each)));
      if (found[0] === undefined) {
        throw new ArgumentError(
          `collect: input ${first + i} is not in the queue ${queue.name}: submit the same file, for the same task, first`,
        );
      }
      for (const job of found) if (job?.finishedOn !== undefined) jobs.set(job.id as string, job as Job<JobData>);
      if (jobs.has(id)) break;
      await sleep(wait, undefined, { signal });
      wait = Math.min(2 * wait, 1000);
    }
    const job = jobs.get(id) as Job<JobData>;
    const result: unknown = job.returnvalue;
    const hasFailed = (result === null || result === undefined) && job.failedReason; // ignores failures of earlier attempts
    yield hasFailed ? { error: job.failedReason } : { result };
  }
}
