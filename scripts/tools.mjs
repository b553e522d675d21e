// Helpers of several scripts. They need no packages, because setup.mjs runs before any are installed.
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** The first of these commands that runs with `--version`; undefined if none does. */
export function findCommand(...commands) {
  return commands.find((command) => command && spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** Runs work(item) for all items in order, as many at a time as there are processors, and waits for all. */
export async function inParallel(items, work) {
  const waiting = [...items];
  const next = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, next));
}
