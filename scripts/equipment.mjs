// Finds and installs programs that tests and builds use beside Node and a C++ compiler: Emscripten, two browsers, MPI and
// Redis. All of them are optional: tests that need a missing one are skipped with a reason.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCommand } from './tools.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, '.cache');
const emsdk = join(cache, 'emsdk');
/** The version that emsdk installs. It is Debian 13's, with which everything is tested. */
const EMSCRIPTEN = '3.1.69';

/** True if the equipment is hidden, to test what a machine without it does. */
export const isHidden = process.env.SIMDFORMER_EQUIPMENT === 'none';

/** True if the engine has been compiled to WebAssembly. */
export const hasWasm = !isHidden && existsSync(join(root, 'wasm/dist/simd128.wasm'));

const compilerIn = (sdk) => join(sdk, 'upstream/emscripten', process.platform === 'win32' ? 'em++.bat' : 'em++');

/** The path or name of em++, in EMSDK, on the PATH or in .cache/emsdk; undefined if there is none. */
export function findEmscripten() {
  if (isHidden) return undefined;
  const { EMSDK } = process.env;
  return findCommand(EMSDK && compilerIn(EMSDK), 'em++', compilerIn(emsdk));
}

const firstFile = (...paths) => (isHidden ? undefined : paths.find((path) => path && existsSync(path)));
const firstCommand = (...names) => (isHidden ? undefined : findCommand(...names));

/** These return a path or name, undefined if there is none. */
export const findChromium = () => firstFile(process.env.CHROME_PATH, '/usr/bin/chromium');
export const findFirefox = () => firstFile(process.env.FIREFOX_PATH, '/usr/bin/firefox-esr', '/usr/bin/firefox');
export const findMpi = () => firstCommand('mpirun') && firstCommand('mpicxx');
export const findRedis = () => firstCommand('redis-server');

/** Runs a command with its output shown. Returns why it failed, or null. */
function attempt(command, args, options = {}) {
  console.log(`> ${command} ${args.join(' ')}`);
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', ...options });
  return status === 0 ? null : `${command} ${args[0]} failed${error ? `: ${error.message}` : ''}`;
}

/** The prefix of commands that run as root without a password: [], ['sudo', '-n'], or null if there is none. */
function asRoot() {
  if (process.getuid?.() === 0) return [];
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : null;
}

let isUpdated = false;

/** Installs Debian packages. Returns why it could not, or null. */
function installPackages(...names) {
  if (!findCommand('apt-get')) return 'there is no apt-get';
  const prefix = asRoot();
  if (prefix === null) return 'apt-get needs root, or sudo without a password';
  const waiting = ['-o', 'DPkg::Lock::Timeout=600'];
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  const apt = (...args) => {
    const [command, ...rest] = [...prefix, 'apt-get', ...waiting, ...args];
    return attempt(command, rest, options);
  };
  if (!isUpdated) apt('update', '-qq');
  isUpdated = true;
  return apt('install', '-y', '-qq', '--no-install-recommends', ...names);
}

/** Installs Emscripten's SDK in .cache/emsdk. Returns why it could not, or null. */
function installSdk() {
  const python = findCommand(process.env.PYTHON, 'python3', 'python');
  if (!python) return 'emsdk needs Python 3';
  if (!findCommand('git')) return 'emsdk needs git';
  mkdirSync(cache, { recursive: true });
  rmSync(emsdk, { recursive: true, force: true }); // an interrupted installation may have left a part
  const address = 'https://github.com/emscripten-core/emsdk.git';
  // The timeout keeps a network without answers from holding up the tests.
  const options = { env: { ...process.env, GIT_TERMINAL_PROMPT: '0' }, timeout: 60_000 };
  const script = join(emsdk, 'emsdk.py');
  const reason =
    attempt('git', ['clone', '--quiet', '--depth=1', address, emsdk], options) ??
    attempt(python, [script, 'install', EMSCRIPTEN]) ??
    attempt(python, [script, 'activate', EMSCRIPTEN]);
  if (reason !== null) rmSync(emsdk, { recursive: true, force: true });
  return reason;
}

/** For each program its name, how to find it, and ways to install it, in the order in which they are tried. */
const wanted = [
  ['Emscripten, for WebAssembly', findEmscripten, [() => installPackages('emscripten'), installSdk]],
  ['Chromium', findChromium, [() => installPackages('chromium')]],
  ['Firefox', findFirefox, [() => installPackages('firefox-esr')]],
  ['MPI', findMpi, [() => installPackages('libopenmpi-dev', 'openmpi-bin')]],
  ['Redis', findRedis, [() => installPackages('redis-server')]],
];

/** Installs what is missing, and warns of what cannot be installed. */
export function installEquipment() {
  if (isHidden) return;
  for (const [name, find, ways] of wanted) {
    const reasons = [];
    for (const install of ways) {
      if (find()) break;
      const reason = install();
      if (reason !== null) reasons.push(reason);
    }
    if (!find())
      console.warn(`\nWARNING: ${name} is missing, so tests that need it are skipped: ${reasons.join('; ')}\n`);
  }
}
