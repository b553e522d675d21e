// Long work in slices, so that a large format does not block the event loop.

import { afterEvents } from '../backend/after-events.js';

/** Work that can pause: at each `yield` the scheduler may return to the event loop. */
export type Sliced<T> = Generator<undefined, T, void>;

interface Job {
  /** Advances the work by one step and returns true at its end. */
  readonly step: () => boolean;
}

/** Milliseconds after which the event loop gets its turn. */
const MAX_SLICE_MS = 8;

/** Unfinished jobs. They take turns, so that many jobs block the loop no longer than one. */
const jobs: Job[] = [];
let isRunning = false;

/** Runs `work` in slices of a few milliseconds. Rejects with the error that `work` throws. */
export function inSlices<T>(work: Sliced<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const step = () => {
      try {
        const { done, value } = work.next();
        if (done) resolve(value);
        return done === true;
      } catch (error) {
        reject(error);
        return true;
      }
    };
    jobs.push({ step });
    if (!isRunning) void run();
  });
}

async function run(): Promise<void> {
  isRunning = true;
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
    if (!advance(job)) jobs.push(job);
    await new Promise<void>((resolve) => afterEvents(resolve));
  }
  isRunning = false;
}

/** Runs one slice of a job and returns true at the job's end. */
function advance({ step }: Job): boolean {
  const end = performance.now() + MAX_SLICE_MS;
  while (performance.now() < end) if (step()) return true;
  return false;
}
