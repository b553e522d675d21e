// npm's `prepare`: builds the package for installations from git, such as `npm install github:<owner>/simdformer`. It
// builds the files for runtimes, the engine as WebAssembly if Emscripten is installed, and the addon if there is a
// compiler. An installation in the repository itself, `npm ci`, needs nothing of this: `npm test` and other commands
// build their parts.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The folder in which npm was called. For a dependency from git it is the project that depends on it. */
const { INIT_CWD } = process.env;
if (INIT_CWD === undefined || `${resolve(INIT_CWD)}/`.startsWith(`${root}/`)) process.exit(0);

/** Runs a script or a package's program in the repository; whether it succeeded. What it prints belongs to no result. */
function node(...args) {
  return spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] }).status === 0;
}

const program = (name) => {
  const file = createRequire(import.meta.url).resolve(`${name}/package.json`);
  return join(dirname(file), { typescript: 'bin/tsc', 'node-gyp': 'bin/node-gyp.js' }[name]);
};

function fail(message) {
  console.error(`simdformer: ${message}`);
  process.exit(1);
}

node('wasm/build.mjs', '--optional');
const isBuilt = node(program('typescript'), '-p', 'tsconfig.build.json') && node('scripts/dist.mjs');
if (!isBuilt) fail('the package could not be built, see above');

// The addon goes to where an installed package looks for it (src/backend/native.ts).
const headers = dirname(dirname(process.execPath));
const nodedir = existsSync(join(headers, 'include/node/node_api.h')) ? [`--nodedir=${headers}`] : [];
const hasAddon = node(program('node-gyp'), 'rebuild', '--jobs=max', '--loglevel=error', ...nodedir);
if (hasAddon) {
  mkdirSync(join(root, 'dist/addon'), { recursive: true });
  cpSync(join(root, 'build/Release/simdformer.node'), join(root, 'dist/addon/simdformer.node'));
}
if (!hasAddon && !existsSync(join(root, 'wasm/dist/simd128.wasm'))) {
  fail(
    'neither the addon nor its WebAssembly could be built: install a C++20 compiler (GCC ≥ 12 or Clang ≥ 15), make and ' +
      'Python 3, or Emscripten',
  );
}
