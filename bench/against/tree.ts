// Another commit of this repository, built beside this one.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BenchError } from '../harness/error.js';

export const thisTree = fileURLToPath(new URL('../../', import.meta.url));

function run(tree: string, command: string, ...args: string[]): void {
  const { status } = spawnSync(command, args, { cwd: tree, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new BenchError(`${command} ${args.join(' ')} failed in ${tree}`);
}

/** Builds what a tree needs to be measured: the addon, and WebAssembly where Emscripten is. */
export function buildTree(tree: string): void {
  run(tree, process.execPath, 'scripts/setup.mjs');
  run(tree, process.execPath, 'wasm/build.mjs', '--optional');
}

/** The tree of a ref: a worktree in .cache/against, made and built when it is first asked for. */
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
  buildTree(tree);
  return tree;
}
