#!/usr/bin/env node
// Compiles the addon of the folder that this file is in, and leaves nothing there but simdformer.node.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));
// Most installations of Node have their headers beside it; node-gyp would download them.
const node = dirname(dirname(process.execPath));
const headers = existsSync(join(node, 'include/node/node_api.h')) ? [`--nodedir=${node}`] : [];
// npm names its own node-gyp to the scripts of packages.
const own = process.env.npm_config_node_gyp;
const [program, ...first] = own ? [process.execPath, own] : ['npx', '--yes', 'node-gyp'];
const args = [...first, 'rebuild', '--jobs=max', '--loglevel=error', ...headers];
const options = { cwd: folder, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' && !own };
const { status } = spawnSync(program, args, options);
if (status === 0) copyFileSync(join(folder, 'build/Release/simdformer.node'), join(folder, 'simdformer.node'));
rmSync(join(folder, 'build'), { recursive: true, force: true });
if (status !== 0) {
  console.error(
    'simdformer-source: the addon was not compiled. It needs a C++20 compiler (GCC ≥ 12 or Clang ≥ 15), make and Python 3',
  );
  process.exit(1);
}
