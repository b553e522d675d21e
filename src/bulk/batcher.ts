import { setImmediate as turn } from 'node:timers/promises';
import type { BulkTask } from './bulk-task.js';

export interface BatcherOptions {
  /** Maximum cost of a batch. An input with a higher cost forms a batch alone. */
  readonly batchTokens: number;
  /** Maximum number of inputs in a batch. */
  readonly batchSize: number;
  /** Milliseconds that the first input of a batch waits for others. */
  readonly linger: number;
}

interface Waiting<Input, Result> {
  readonly input: Input;
  readonly cost: number;
  readonly onProgress: ((percent: number) => void) | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** Number of inputs whose results are reported in one turn of the event loop. */
const AT_ONCE = 16;

/** Number of latest inputs over which the mean cost is computed. */
const LATEST = 32;

/**
 * Collects single inputs into batches. A batch starts when the previous one is done, and it is full or its first input
 * has waited long enough. Until then it grows. Results are reported while the next batch runs.
 */
export class Batcher<Input, Result> {
  #waiting: Waiting<Input, Result>[] = [];
  #cost = 0;
  #isRunning = false;
  #timer: NodeJS.Timeout | undefined;
  #added = 0;
  #mean = 0;

  constructor(
    private readonly task: BulkTask<Input, Result>,
    private readonly options: BatcherOptions,
  ) {}

  /** The mean cost of the latest inputs; 0 without inputs. */
  get meanCost(): number {
    return this.#mean;
  }

  /**
   * Adds an input. Resolves with its result once its batch has run, and rejects if this input causes an error.
   * `onProgress` gets 0 when the batch begins, then the completed percentage of the batch.
   */
  add(input: Input, onProgress?: (percent: number) => void): Promise<Result> {
    const cost = this.task.cost(input);
    this.#mean += (cost - this.#mean) / Math.min(++this.#added, LATEST);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ input, cost, onProgress, resolve, reject });
      this.#cost += cost;
      this.#timer ??= setTimeout(() => this.#runNow(), this.options.linger);
      if (this.#isFull()) this.#runNow();
    });
  }

  /** True if the inputs fill a batch. */
  #isFull(): boolean {
    return this.#cost >= this.options.batchTokens || this.#waiting.length >= this.options.batchSize;
  }

  /** Runs the waiting inputs, which wait for no more inputs. */
  #runNow(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    // A timer calls this method again when the oldest input has waited long enough.
    while (this.#waiting.length > 0 && this.#timer === undefined) {
      const batch = this.#take();
      if (this.#waiting.length > 0 && !this.#isFull())
        this.#timer = setTimeout(() => this.#runNow(), this.options.linger);
      await this.#finish(batch);
    }
    this.#isRunning = false;
  }

  /** Removes and returns the oldest inputs, as many as fit into a batch. */
  #take(): Waiting<Input, Result>[] {
    let cost = 0;
    let count = 0;
    for (const entry of this.#waiting.slice(0, this.options.batchSize)) {
      if (count > 0 && cost + entry.cost > this.options.batchTokens) break;
      cost += entry.cost;
      count++;
    }
    this.#cost -= cost;
    return this.#waiting.splice(0, count);
  }

  /** Runs a batch. If it fails, runs each input alone, so that only inputs with errors fail. */
  async #finish(batch: readonly Waiting<Input, Result>[]): Promise<void> {
    try {
      const tell = (percent: number) => {
        for (const { onProgress } of batch) onProgress?.(percent);
      };
      const running = this.task.run(
        batch.map(({ input }) => input),
        tell,
      );
      void turn().then(() => tell(0));
      const results = await running;
      void this.#resolve(batch, results);
    } catch (error) {
      if (batch.length === 1) batch[0]?.reject(error);
      else for (const entry of batch) await this.#finish([entry]);
    }
  }

  /** Resolves results in slices, because their receivers do much work, and the next batch should begin before. */
  async #resolve(batch: readonly Waiting<Input, Result>[], results: readonly Result[]): Promise<void> {
    for (const [i, { resolve }] of batch.entries()) {
      if (i % AT_ONCE === 0) await turn();
      resolve(results[i] as Result);
    }
  }
}
