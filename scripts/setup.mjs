// Prepares a fresh clone: installs the npm packages of the lockfile and builds an addon that is newer than its sources.
// If both are up to date, it does nothing and takes a few milliseconds.
//
//   node scripts/setup.mjs           for all uses except tests
//   node scripts/setup.mjs --tests   for tests: also installs Emscripten, browsers, MPI and Redis where it can
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installEquipment } from './equipment.mjs';
import { findCommand } from './tools.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const addon = join(root, 'build/Release/simdformer.node');

/** Runs a command in the repository with its output shown. If it fails, the process ends with `hint`. */
function run(command, args, hint) {
  console.log(`> ${command} ${args.join(' ')}`);
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) fail(`${command} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}. ${hint}`);
}

function fail(message) {
  console.error(`\nsimdformer setup: ${message}`);
  process.exit(1);
}

/** True if node_modules has every package that this platform needs, in the lockfile's version. */
function packagesInstalled() {
  const installedLock = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installedLock)) return false;
  const packagesOf = (path) => JSON.parse(readFileSync(path, 'utf8')).packages;
  const installed = packagesOf(installedLock);
  return Object.entries(packagesOf(join(root, 'package-lock.json'))).every(
    ([path, { version, optional }]) => path === '' || optional || installed[path]?.version === version,
  );
}

/** True if the addon is newer than every source and loads. A build for another platform does not load. */
function addonFresh() {
  if (!existsSync(addon)) return false;
  const sources = readdirSync(join(root, 'native'), { recursive: true }).map((name) => join('native', name));
  const built = statSync(addon).mtimeMs;
  if (['binding.gyp', ...sources].some((name) => statSync(join(root, name)).mtimeMs > built)) return false;
  try {
    createRequire(import.meta.url)(addon);
    return true;
  } catch {
    return false;
  }
}

// On Windows, node-gyp finds Visual Studio and Python itself and reports what is missing.
function requireToolchain() {
  if (process.platform === 'win32') return;
  const install =
    process.platform === 'darwin'
      ? 'Install the command line tools: xcode-select --install'
      : 'On Debian or Ubuntu: apt-get install g++ make python3';
  if (!findCommand(process.env.CXX, 'c++', 'g++', 'clang++'))
    fail(`no C++ compiler (GCC ≥ 12 or Clang ≥ 15). ${install}`);
  if (!findCommand('make', 'gmake')) fail(`no make. ${install}`);
  if (!findCommand(process.env.PYTHON, 'python3', 'python')) fail(`no Python 3, which node-gyp runs on. ${install}`);
}

if (!packagesInstalled()) run('npm', ['ci', '--no-audit', '--no-fund'], 'Is the npm registry within reach?');

if (!addonFresh()) {
  requireToolchain();
  const nodeGyp = [join('node_modules', 'node-gyp', 'bin', 'node-gyp.js'), 'configure', 'build', '--jobs=max'];
  // Most Node installations contain the headers. node-gyp would download them.
  const prefix = dirname(dirname(process.execPath));
  if (existsSync(join(prefix, 'include/node/node_api.h'))) nodeGyp.push(`--nodedir=${prefix}`);
  run(process.execPath, [...nodeGyp, '--loglevel=error'], 'The compiler, or node-gyp, says why above.');
  utimesSync(addon, new Date(), new Date()); // make leaves it alone when only an unused header changed
}

if (process.argv.includes('--tests')) installEquipment();
