// Computes the gradients of one step of `fit`, from one or more batches.

import { backwardInParts } from '../core/autograd.js';
import { inSlices } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
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
   * Adds up the gradients of all batches of a step, and returns what `finish` returns for their losses. Long work
   * pauses, and the event loop runs meanwhile. `seed` is the seed of the run; each batch derives the seed of its
   * dropout from it.
   *
   * The engine runs what is queued before a pause, and each batch while the next one is queued. No command of a step
   * stays in the queue while other code can run, because that would run it and get its errors. `finish` queues the
   * update. If there was no pause, it runs with the gradients. Otherwise all commands must have ended before, because
   * the update could not detect their failure.
   */
  async compute<T>(
    batches: readonly PreparedBatch[],
    seed: number,
    finish: (losses: readonly Tensor[]) => T,
  ): Promise<T> {
    const { device } = this.learner.model;
    const losses: Tensor[] = [];
    const runs: Pending<void>[] = [];
    const start = () => void runs.push(new Pending(device.flush()));
    let finished: { readonly result: T } | undefined;
    const end = (loss: Tensor) => {
      losses.push(loss);
      if (this.sum === null && runs.length === 0) finished = { result: finish(losses) };
      else start();
    };
    try {
      for (const [i, batch] of batches.entries()) {
        await runs.at(-2)?.value(); // the commands of all batches together would take much memory
        const isLast = i + 1 === batches.length;
        await inSlices(this.#add(batch, seed, i === 0, isLast, end), { start: performance.now(), onPause: start });
      }
      if (finished) return finished.result;
      for (const run of runs) await run.value();
      const finishing = this.sum?.finish();
      if (finishing) await finishing; // while this waits, others may use the queue
      return finish(losses);
    } catch (error) {
      for (const run of runs) await run.end(); // nothing may run after this function has ended
      throw error;
    } finally {
      disposeAll(losses);
    }
  }

  /** Queues a batch, whose gradients are weighted by its share of the step. `end` gets its loss. Pauses often. */
  *#add(
    { n, items, share }: PreparedBatch,
    seed: number,
    isFirst: boolean,
    isLast: boolean,
    end: (loss: Tensor) => void,
  ): Generator<unknown, void> {
    const { learner, settings } = this;
    const { model } = learner;
    const onFinal = this.sum?.begin(isFirst, isLast) ?? undefined;
    const loss = yield* model.device.scopeInParts(
      (function* () {
        model.seedDropout?.(mix(seed, n));
        const mean = checkLoss(yield* learner.lossInParts(items, settings));
        yield* backwardInParts(mean, new Float32Array([share]), onFinal);
        return mean;
      })(),
    );
    this.sum?.end();
    end(loss); // before other code runs
  }
}

function disposeAll(tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
}

/** Returns the seed for batch `n` of a run. */
function mix(seed: number, n: number): number {
  return (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(n + 1, 0xc2b2ae35)) >>> 0;
}
