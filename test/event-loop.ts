// Turns of the event loop, and a clock that makes work give way to it.
import { vi } from 'vitest';

/** The time of the slow clock. It goes on from test to test: the code under test remembers when it last gave way. */
let now = performance.now();
let reads = 0;

/** Number of times that the slow clock was read. */
export const clockReads = (): number => reads;

/** Runs `run` with a clock that finds that each slice has taken its time. */
export function withSlowClock<T>(run: () => Promise<T>): Promise<T> {
  now = Math.max(now, performance.now());
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
    reads++;
    now += 10;
    return now;
  });
  return run().finally(() => clock.mockRestore());
}

/** Counts the turns of the event loop while `run` goes on. `turn()` is the number of the current one. */
export async function countTurns<T>(run: (turn: () => number) => Promise<T>): Promise<T> {
  let turn = 0;
  let isOn = true;
  const count = () => {
    turn++;
    if (isOn) setImmediate(count);
  };
  setImmediate(count);
  return run(() => turn).finally(() => {
    isOn = false;
  });
}
