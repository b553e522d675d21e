// Builds the package for installations from git, such as `npm install github:<owner>/simdformer`. It makes the files for
// runtimes, the engine as WebAssembly if Emscripten is installed, and the addon if there is a compiler. Installations in
// the repository itself, `npm ci`, need none of these: `npm test` and other commands build what they use.
//
// npm runs this as `postprepare` after it has installed the packages of a clone. If it was called `prepare`, npm would
// warn users of a tarball about a script that it never runs.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** npm sets this variable if it prepares a clone for a project that depends on it. */
if (process.env._PACOTE_NO_PREPARE_ === undefined) process.exit(0);

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
