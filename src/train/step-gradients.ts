// Computes the gradients of one step of `fit`, from one or more batches.

import { backwardByParts } from '../core/autograd.js';
import type { Tensor } from '../core/tensor.js';
import { SLICE_MS, yieldToEventLoop } from '../core/yield-to-event-loop.js';
import type { GradientSum } from './gradient-sum.js';
import type { Learner } from './objective.js';
import { Pending } from './pending.js';
import { checkLoss, type LossSettings } from './trainable.js';

/** A batch of a step. */
export interface PreparedBatch {
  readonly n: number;
  readonly items: readonly unknown[];
  /** The share of the step's labels. */
  readonly share: number;
}

export class StepGradients {
  constructor(
    private readonly learner: Learner,
    /** Sums gradients if a step has several batches. */
    private readonly sum: GradientSum | null,
    private readonly settings: LossSettings,
  ) {}

  /**
   * Adds up the gradients of all batches of a step and returns their losses. Long work pauses, and the event loop runs
   * meanwhile. `seed` is the seed of the run; each batch derives the seed of its dropout from it.
   *
   * The engine runs what is queued during a pause, and each batch while the next one is queued. Commands of a step must
   * not stay in the queue, because other code would run them and get their errors. A step without a pause stays in the
   * queue, so that the update runs with it. Otherwise all commands must have ended before the update is queued, because
   * it could not detect their failure.
   */
  async compute(batches: readonly PreparedBatch[], seed: number): Promise<Tensor[]> {
    const { device } = this.learner.model;
    const losses: Tensor[] = [];
    const runs: Pending<void>[] = [];
    const start = () => runs.push(new Pending(device.flush()));
    try {
      for (const [i, batch] of batches.entries()) {
        const before = runs.at(-1);
        if (i > 0) start();
        await before?.value(); // not all at once, because that would take much memory
        losses.push(await paused(this.#add(batch, seed, i === 0, i + 1 === batches.length), start));
      }
      if (runs.length > 0) start();
      for (const run of runs) await run.value();
      const finishing = this.sum?.finish();
      if (finishing) await finishing; // while this waits, others may use the queue
      return losses;
    } catch (error) {
      disposeAll(losses);
      for (const run of runs) await run.end(); // nothing may run after this function has ended
      throw error;
    }
  }

  /** Queues a batch, whose gradients are weighted by its share of the step; returns its loss. Pauses often. */
  *#add(
    { n, items, share }: PreparedBatch,
    seed: number,
    isFirst: boolean,
    isLast: boolean,
  ): Generator<unknown, Tensor> {
    const { learner, settings } = this;
    const { model } = learner;
    const onFinal = this.sum?.begin(isFirst, isLast) ?? undefined;
    const loss = yield* model.device.scopeByParts(
      (function* () {
        model.seedDropout?.(mix(seed, n));
        const mean = checkLoss(yield* learner.lossByParts(items, settings));
        yield* backwardByParts(mean, new Float32Array([share]), onFinal);
        return mean;
      })(),
    );
    this.sum?.end();
    return loss;
  }
}

/**
 * Runs `work`, and lets the event loop run after each `SLICE_MS` milliseconds. Before such a pause it calls `onPause`.
 */
async function paused<T>(work: Generator<unknown, T>, onPause: () => void): Promise<T> {
  try {
    for (;;) {
      const start = performance.now();
      do {
        const { done, value } = work.next();
        if (done) return value;
      } while (performance.now() - start < SLICE_MS);
      onPause();
      await yieldToEventLoop();
    }
  } finally {
    work.return(undefined as T); // ends its scopes if `onPause` has failed
  }
}

export function disposeAll(tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
}

/** Returns the seed for batch `n` of a run. */
function mix(seed: number, n: number): number {
  return (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(n + 1, 0xc2b2ae35)) >>> 0;
}
