// Chooses the number of steps that run before their results are read.

import { MAX_STEPS_AHEAD } from './ranking.js';

/** Maximum milliseconds of steps before their results are read. */
const MAX_MS = 20;

/**
 * Work up to this many milliseconds runs on this thread, because a round trip to another thread takes 0.1 to 1 ms. The
 * second limit is for work whose measured time includes such a round trip.
 */
const MAX_INLINE_MS = 2;
const MAX_INLINE_MS_WITH_ROUND_TRIP = 3;

export class Pace {
  /** Milliseconds of a step, including its share of the encoder's pass. Infinity until it is known. */
  #msPerStep = Number.POSITIVE_INFINITY;
  #wasInline = false;

  /** Number of steps, from 1 to `max`, that stay within the maximum time. */
  stepsOf(max: number): number {
    return Math.max(1, Math.min(MAX_STEPS_AHEAD, max, Math.floor(MAX_MS / this.#msPerStep)));
  }

  /** Measures `read`, which runs `steps` steps. Its argument is true if they are short enough to run on this thread. */
  async time<T>(steps: number, read: (inline: boolean) => Promise<T>): Promise<T> {
    const start = performance.now();
    this.#wasInline = steps * this.#msPerStep <= (this.#wasInline ? MAX_INLINE_MS : MAX_INLINE_MS_WITH_ROUND_TRIP);
    const result = await read(this.#wasInline);
    this.#msPerStep = (performance.now() - start) / steps;
    return result;
  }
}
