// The number of steps that run before their results are read.

import { MAX_STEPS_AHEAD } from './ranking.js';

/** Maximum milliseconds of steps before their results are read. */
const MAX_MS = 20;

/**
 * Milliseconds of work up to which this thread runs it: the way to another thread and back takes 0.1 to 1 ms. Work that was
 * timed on another thread includes this way. The event loop gets its turns between steps in any case.
 */
const BRIEF = 2;
const BRIEF_WITH_WAY = 3;

export class Pace {
  /** Milliseconds of a step with its share of the encoder's pass; infinite until known. */
  #each = Number.POSITIVE_INFINITY;
  #wasBrief = false;

  /** Number of steps that take little time: from 1 to `most`. */
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
