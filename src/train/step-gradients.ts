// Computes the gradients of one step of `fit`, from one or more batches.

import { backward } from '../core/autograd.js';
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
   * Adds up the gradients of all batches of a step and returns their losses. Each batch runs while the next one is
   * queued, because all together would fill the queue and block the event loop. The last batch stays in the queue, so
   * that the update runs with it. All earlier batches must have ended before the update is queued, because it could not
   * detect their failure. `seed` is the seed of the run; each batch derives the seed of its dropout from it.
   */
  async compute(batches: readonly PreparedBatch[], seed: number): Promise<Tensor[]> {
    const losses: Tensor[] = [];
    const runs: Pending<void>[] = [];
    try {
      for (const [i, batch] of batches.entries()) {
        losses.push(this.#add(batch, seed, i === 0, i + 1 === batches.length));
        if (i + 1 === batches.length) break;
        runs.push(new Pending(this.learner.model.device.flush()));
        await runs[i - 1]?.value();
        if (i + 2 === batches.length) await runs[i]?.value();
      }
      const finishing = this.sum?.finish();
      if (finishing) await finishing; // while this waits, others may use the queue
      return losses;
    } catch (error) {
      disposeAll(losses);
      for (const run of runs) await run.end(); // nothing may run after this function has ended
      throw error;
    }
  }

  /** Queues a batch, whose gradients are weighted by its share of the step; returns its loss. */
  #add({ n, items, share }: PreparedBatch, seed: number, isFirst: boolean, isLast: boolean): Tensor {
    const { model } = this.learner;
    const onFinal = this.sum?.begin(isFirst, isLast);
    const loss = model.device.scope(() => {
      model.seedDropout?.(mix(seed, n));
      const mean = checkLoss(this.learner.lossOf(items, this.settings));
      const upstream = new Float32Array([share]);
      if (onFinal) backward(mean, upstream, 0, onFinal);
      else mean.backward(upstream);
      return mean;
    });
    this.sum?.end();
    return loss;
  }
}

export function disposeAll(tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
}

/** Returns the seed for batch `n` of a run. */
function mix(seed: number, n: number): number {
  return (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(n + 1, 0xc2b2ae35)) >>> 0;
}
