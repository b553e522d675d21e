// Another commit of this repository, built beside this one.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BenchError } from '../harness/error.js';
import { entriesOf } from './package.js';

export const thisTree = fileURLToPath(new URL('../../', import.meta.url));

function run(tree: string, command: string, ...args: string[]): void {
  const { status } = spawnSync(command, args, { cwd: tree, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new BenchError(`${command} ${args.join(' ')} failed in ${tree}`);
}

const bundler = fileURLToPath(new URL('./bundle.mjs', import.meta.url));

/** Builds a tree: the addon, WebAssembly if Emscripten is installed, and the package. Returns the package's folder. */
export function buildTree(tree: string): string {
  run(tree, process.execPath, 'scripts/setup.mjs');
  run(tree, process.execPath, 'wasm/build.mjs', '--optional');
  const folder = join(tree, '.cache/against-package');
  rmSync(folder, { recursive: true, force: true });
  run(tree, process.execPath, bundler, tree, ...entriesOf(tree));
  return folder;
}

/** Bundles `side.ts`, the program that runs rows, to plain JavaScript. */
export function buildSide(): string {
  run(thisTree, process.execPath, bundler, thisTree, 'side=bench/against/side.ts');
  return join(thisTree, '.cache/against-package/side.mjs');
}

/** Returns the tree of a ref: a worktree in .cache/against, which is made at the first use. */
export function treeOf(ref: string): string {
  const { status, stdout } = spawnSync('git', ['rev-parse', '--verify', '--quiet', `${ref}^{commit}`], {
    cwd: thisTree,
    encoding: 'utf8',
  });
  if (status !== 0) throw new BenchError(`git knows no commit '${ref}'`);
  const commit = stdout.trim();
  const tree = join(thisTree, '.cache/against', commit.slice(0, 12));
  if (!existsSync(tree)) {
    mkdirSync(dirname(tree), { recursive: true });
    run(thisTree, 'git', 'worktree', 'prune');
    run(thisTree, 'git', 'worktree', 'add', '--detach', '--quiet', tree, commit);
  }
  const [ours, its] = [thisTree, tree].map((folder) => readFileSync(join(folder, 'package-lock.json'), 'utf8'));
  const packages = join(tree, 'node_modules');
  if (ours === its && !existsSync(packages)) symlinkSync(join(thisTree, 'node_modules'), packages, 'junction');
  return tree;
}
