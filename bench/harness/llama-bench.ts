// llama.cpp's llama-bench, and that of ik_llama.cpp, as contestants: one process per turn.

import { spawnSync } from 'node:child_process';
import { BenchError } from './error.js';
import type { GenerationTask } from './generation.js';

/** Returns the seconds that `program` takes to read or to write. `options` are further arguments, such as `-rtr 1`. */
export function llamaSeconds(
  program: string,
  file: string,
  { prompt, tokens }: GenerationTask,
  threads: number,
  options: readonly string[] = [],
): number {
  const sizes = tokens > 1 ? ['-p', '0', '-n', `${tokens}`] : ['-p', `${prompt}`, '-n', '0'];
  const args = ['-m', file, '-t', `${threads}`, '-r', '2', '-o', 'json', ...sizes, ...options];
  const { stdout, stderr, status } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new BenchError(`${program} failed: ${stderr?.slice(-500)}`);
  // ik_llama.cpp prints notes before the list
  const [{ avg_ts: perSecond }] = JSON.parse(stdout.slice(stdout.indexOf('[\n'))) as [{ avg_ts: number }];
  return (tokens > 1 ? tokens : prompt) / perSecond;
}
