import { SimdformerError } from '../core/errors.js';
import type { LoadedModel } from '../pretrained/index.js';
import { pipeline, type TaskName } from '../tasks/index.js';
import { JobQueue } from './job-queue.js';

/** The model cannot do a task. The message is the reason. */
export class UnsupportedTaskError extends SimdformerError {
  override get name() {
    return 'UnsupportedTaskError';
  }
}

type AnyCall = (...args: unknown[]) => Promise<unknown>;

/** Runs the pipelines of a model one after the other, because each keeps all threads busy. */
export class PipelineRunner {
  readonly jobs: JobQueue;
  readonly #calls = new Map<TaskName, Promise<AnyCall>>();

  constructor(
    private readonly model: LoadedModel,
    maxWaiting: number,
  ) {
    this.jobs = new JobQueue(maxWaiting);
  }

  /**
   * Calls a task. Rejects with UnsupportedTaskError, with QueueFullError if too many calls wait already, and with the
   * errors of the task.
   */
  async run(
    task: TaskName,
    args: readonly unknown[],
    options: Readonly<Record<string, unknown>>,
    client: string,
    signal: AbortSignal,
  ): Promise<unknown> {
    const call = await this.#callOf(task);
    return this.jobs.run(client, signal, () => call(...args, { ...options, signal }));
  }

  #callOf(task: TaskName): Promise<AnyCall> {
    const known = this.#calls.get(task);
    if (known) return known;
    const opened = pipeline(task, this.model).catch((cause: unknown) => {
      throw cause instanceof SimdformerError ? new UnsupportedTaskError(cause.message, { cause }) : cause;
    }) as unknown as Promise<AnyCall>;
    this.#calls.set(task, opened);
    opened.catch(() => this.#calls.delete(task)); // a package that was missing may be installed later
    return opened;
  }
}
