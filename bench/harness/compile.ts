import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { BenchError } from './error.js';
import { cacheFolder } from './packages.js';
import { peersFolder } from './peer.js';

/** Compiles a C program of bench/peers for this machine, unless that was done before. Returns its path. */
export function compile(source: string, libraries: readonly string[] = []): string {
  const path = `${peersFolder}${source}`;
  const folder = join(cacheFolder, 'compiled');
  const key = createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16);
  const program = join(folder, `${source.replace(/\.c$/, '')}-${key}`);
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  const args = ['-O3', '-march=native', path, '-o', unfinished, '-pthread', '-ldl', '-lm', ...libraries];
  const { status, stderr, error } = spawnSync('cc', args, { encoding: 'utf8' });
  if (status !== 0) {
    const reason = error ? `there is no C compiler: ${error.message}` : stderr.trim();
    throw new BenchError(`bench/peers/${source} cannot be compiled, ${reason}. On Debian: apt install gcc`);
  }
  renameSync(unfinished, program);
  return program;
}
