// How many steps are taken before anybody hears of them.

import { MAX_STEPS_AHEAD } from './ranking.js';

/** Milliseconds that steps may take before something is heard of them. */
const NEWS_AFTER = 20;

/**
 * Milliseconds for which the way to another thread and back, 0.1 to 1, is not worth it; the event loop gets its turns all
 * the same. What took that way may have taken as much longer.
 */
const BRIEF = 2;
const BRIEF_WITH_WAY = 3;

export class Pace {
  /** Milliseconds of a step, with its share of the encoder's pass, once known. */
  #each = Number.POSITIVE_INFINITY;
  #wasBrief = false;

  /** As many steps, up to `most`, as take little time; one at least. */
  stepsOf(most: number): number {
    return Math.max(1, Math.min(MAX_STEPS_AHEAD, most, Math.floor(NEWS_AFTER / this.#each)));
  }

  /** Runs `steps` of them; `read` is told whether they are brief enough for this thread. */
  async time<T>(steps: number, read: (brief: boolean) => Promise<T>): Promise<T> {
    const start = performance.now();
    this.#wasBrief = steps * this.#each <= (this.#wasBrief ? BRIEF : BRIEF_WITH_WAY);
    const result = await read(this.#wasBrief);
    this.#each = (performance.now() - start) / steps;
    return result;
  }
}
