import type { ConnectionOptions, Job, Worker, WorkerOptions } from 'bullmq';
import { ruleOf, withDefaults } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { Batcher } from './batcher.js';
import type { BulkTask } from './bulk-task.js';
import { checkQueueOptions, connect, loadBullMQ, QUEUE_DEFAULTS, QUEUE_KINDS, TIMEOUT_MS } from './redis.js';

/** The data of a job. */
export interface JobData {
  /** The name of a `BulkTask`. */
  readonly task: string;
  readonly input: unknown;
}

export interface CreateWorkerOptions {
  /**
   * The URL of Redis: `redis://user:password@host:6379/0`, or `rediss://` with TLS. The nodes of a cluster are
   * `redis://a:7000,b:7000`. A `connection` of BullMQ, such as a client of ioredis, is also accepted. Default:
   * `redis://localhost:6379`.
   */
  redis?: string | ConnectionOptions | undefined;
  /** Name of the queue. In a cluster it must be in braces, `{names}`. */
  queue: string;
  /** The task that computes the jobs. */
  task: BulkTask<never, unknown>;
  /** Maximum number of tokens in a batch. Default: 8192. */
  batchTokens?: number | undefined;
  /** Milliseconds that a job waits for others to share its batch. Default: 20. */
  linger?: number | undefined;
  /**
   * Maximum number of jobs that this worker holds: up to half of them in the running batch, the others for the next
   * one. It holds at most two batches of `batchTokens`, so that other workers also get jobs. Default: 256.
   */
  concurrency?: number | undefined;
  /**
   * Milliseconds between reports of a job's progress, which is the completed percentage of its batch. BullMQ provides
   * it as `job.progress` and in the event `progress` of QueueEvents. Default: 1000.
   */
  progressEvery?: number | undefined;
  /** Other options of BullMQ's Worker, such as `prefix`, `lockDuration`, `limiter`. */
  worker?: Omit<WorkerOptions, 'connection' | 'concurrency'> | undefined;
}

/**
 * Milliseconds after which other workers take the jobs of a killed worker. The engine does not block the event loop, so
 * locks are renewed in time.
 */
const LOCK = 10_000;

/** Number of jobs that a worker takes before it knows their mean cost. */
const FIRST = 8;

/** Maximum number of times that a job may lose its worker, which is rarely the job's fault. */
const KILLS = 100;

export const WORKER_DEFAULTS = { batchTokens: 8192, linger: 20, concurrency: 256, progressEvery: 1000 };

const isTask = (value: unknown) => typeof (value as Partial<BulkTask> | null)?.run === 'function';
const milliseconds = { ...ruleOf('notNegative'), expected: 'milliseconds, 0 or more' };
const KINDS = {
  redis: QUEUE_KINDS.redis,
  queue: QUEUE_KINDS.queue,
  worker: 'object',
  task: { accepts: isTask, expected: 'a task { name, cost, run }' },
  batchTokens: 'count',
  concurrency: 'count',
  linger: milliseconds,
  progressEvery: milliseconds,
} as const;

/**
 * Starts a BullMQ Worker that computes the jobs of a queue in batches. Jobs are `{ task, input }`. The command
 * `simdformer submit` or BullMQ's own `Queue` adds them:
 *
 *     const worker = await createWorker({ queue: 'names', task: transformerTask(model) });
 *     const queue = new Queue('names', { connection });
 *     const job = await queue.add('run', { task: 'run', input: 'wood' });
 *
 * A failing job does not affect the others. Its error is the reason in the queue's failed set. `attempts` and `backoff`
 * of the job apply, except to invalid inputs (ArgumentError). While Redis is unreachable, also at the start, the worker
 * waits for it and emits `error` events. `close()` waits for jobs that have begun, but at most five seconds for an
 * unreachable Redis. Throws ArgumentError for invalid options and if Redis refuses the connection, for example for a
 * wrong password; DeviceError if BullMQ is not installed.
 */
export async function createWorker(options: CreateWorkerOptions): Promise<Worker<JobData>> {
  const workerOptions = checkQueueOptions('createWorker', options, KINDS);
  if (workerOptions.task === undefined)
    throw new ArgumentError(`createWorker: task is undefined, expected ${KINDS.task.expected}`);
  const { redis = QUEUE_DEFAULTS.redis, queue, task } = workerOptions;
  const { batchTokens, linger, concurrency, progressEvery } = withDefaults(workerOptions, WORKER_DEFAULTS);
  const { Worker: BullWorker, UnrecoverableError } = await loadBullMQ();
  const redisOf = { queue, prefix: workerOptions.worker?.prefix, isPatient: true };
  const { connection, isAway, close } = await connect(redis, redisOf);
  const batcher = new Batcher(task as BulkTask, { batchTokens, batchSize: Math.ceil(concurrency / 2), linger });
  const process = async (job: Job<JobData>): Promise<unknown> => {
    try {
      const { data } = job;
      if (data?.task !== task.name)
        throw new ArgumentError(`the job is for '${data?.task}', but this worker does '${task.name}'`);
      const result = batcher.add(data.input, progressOf(job, progressEvery));
      const held = Math.ceil((2 * batchTokens) / Math.max(1, batcher.meanCost));
      worker.concurrency = Math.min(concurrency, Math.max(2, held));
      return await result;
    } catch (error) {
      if (error instanceof ArgumentError) throw new UnrecoverableError(error.message);
      throw error;
    }
  };
  const worker: Worker<JobData> = new BullWorker<JobData>(queue, process, {
    lockDuration: LOCK,
    stalledInterval: LOCK / 2,
    maxStalledCount: KILLS,
    ...workerOptions.worker,
    concurrency: Math.min(concurrency, FIRST),
    connection,
  });
  worker.on('closing', () => {
    // Without a server, results cannot be reported, so closing must not wait for them.
    const patience = setInterval(() => isAway() && close(), TIMEOUT_MS);
    worker.once('closed', () => clearInterval(patience));
  });
  worker.on('closed', close);
  return worker;
}

/** Reports a job's progress to BullMQ, at most once in `every` milliseconds. */
function progressOf(job: Job<JobData>, every: number): (percent: number) => void {
  let next = 0;
  let last = -1;
  return (percent) => {
    const now = performance.now();
    if (now < next || percent <= last) return;
    last = percent;
    next = now + every;
    job.updateProgress(percent).catch(() => {}); // fails if the job was removed or Redis is unreachable; reporting the result then fails, too
  };
}
