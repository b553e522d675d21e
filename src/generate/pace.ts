// The number of steps that run before their results are read.

import { MAX_STEPS_AHEAD } from './ranking.js';

/** Maximum milliseconds of steps before their results are read. */
const MAX_MS = 20;

/**
 * Maximum milliseconds of work that runs on this thread. A round trip to another thread takes 0.1 to 1 ms, and work
 * that was timed there includes it. The event loop runs between steps in any case.
 */
const BRIEF = 2;
const BRIEF_WITH_WAY = 3;

export class Pace {
  /** Milliseconds of a step, with its share of the encoder's pass. Infinite until it is known. */
  #each = Number.POSITIVE_INFINITY;
  #wasBrief = false;

  /** Number of steps, from 1 to `most`, that stay within the maximum time. */
  stepsOf(most: number): number {
    return Math.max(1, Math.min(MAX_STEPS_AHEAD, most, Math.floor(MAX_MS / this.#each)));
  }

  /** Times `steps` steps. `read` is told if they are brief enough for this thread. */
  async time<T>(steps: number, read: (brief: boolean) => Promise<T>): Promise<T> {
    const start = performance.now();
    this.#wasBrief = steps * this.#each <= (this.#wasBrief ? BRIEF : BRIEF_WITH_WAY);
    const result = await read(this.#wasBrief);
    this.#each = (performance.now() - start) / steps;
    return result;
  }
}
