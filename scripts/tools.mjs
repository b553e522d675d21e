// What several scripts do. It needs no packages: setup.mjs runs before there are any.
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

/** The first of these commands that answers `--version`. */
export function findCommand(...commands) {
  return commands.find((command) => command && spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** Waits for work(item) of all items, which begin in their order, as many at a time as there are processors. */
export async function inParallel(items, work) {
  const waiting = [...items];
  const next = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, next));
}
