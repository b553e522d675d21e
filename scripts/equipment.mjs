// Brings what the tests and builds need beside Node and a C++ compiler, where it may: Emscripten, two browsers, MPI and
// Redis. Nothing here is needed to go on; what stays missing is told, and tests say what is left out for it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findCommand } from './tools.mjs';

const cache = join(dirname(dirname(fileURLToPath(import.meta.url))), '.cache');
const emsdk = join(cache, 'emsdk');
/** What emsdk is asked for: Debian 13's, with which everything is tested. */
const EMSCRIPTEN = '3.1.69';

const compilerIn = (sdk) => join(sdk, 'upstream/emscripten', process.platform === 'win32' ? 'em++.bat' : 'em++');

/** The path or name of em++: of EMSDK, on the path, or of the SDK that was installed here; undefined if there is none. */
export function findEmscripten() {
  const { EMSDK } = process.env;
  return findCommand(EMSDK && compilerIn(EMSDK), 'em++', compilerIn(emsdk));
}

const firstThere = (...paths) => paths.find((path) => path && existsSync(path));
const findChromium = () => firstThere(process.env.CHROME_PATH, '/usr/bin/chromium');
const findFirefox = () => firstThere(process.env.FIREFOX_PATH, '/usr/bin/firefox-esr', '/usr/bin/firefox');

/** Runs a command with its output shown; why it failed, or null. */
function attempt(command, args, options = {}) {
  console.log(`> ${command} ${args.join(' ')}`);
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', ...options });
  return status === 0 ? null : `${command} ${args[0]} failed${error ? `: ${error.message}` : ''}`;
}

/** How commands run as root without a question: [] as they are, ['sudo', '-n'], or null if they cannot. */
function asRoot() {
  if (process.getuid?.() === 0) return [];
  return spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0 ? ['sudo', '-n'] : null;
}

let isUpdated = false;

/** Installs Debian's packages; why it did not, or null. */
function installPackages(...names) {
  if (!findCommand('apt-get')) return 'there is no apt-get';
  const root = asRoot();
  if (root === null) return 'apt-get needs root, or sudo without a password';
  const waiting = ['-o', 'DPkg::Lock::Timeout=600'];
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  const apt = (...args) => {
    const [command, ...rest] = [...root, 'apt-get', ...waiting, ...args];
    return attempt(command, rest, options);
  };
  if (!isUpdated) apt('update', '-qq');
  isUpdated = true;
  return apt('install', '-y', '-qq', '--no-install-recommends', ...names);
}

/** Installs Emscripten's own SDK in .cache/emsdk; why it did not, or null. */
function installSdk() {
  const python = findCommand(process.env.PYTHON, 'python3', 'python');
  if (!python) return 'emsdk needs Python 3';
  if (!findCommand('git')) return 'emsdk needs git';
  mkdirSync(cache, { recursive: true });
  rmSync(emsdk, { recursive: true, force: true }); // what an installation that was interrupted left
  const address = 'https://github.com/emscripten-core/emsdk.git';
  // A network that swallows everything must not hold up the tests.
  const options = { env: { ...process.env, GIT_TERMINAL_PROMPT: '0' }, timeout: 60_000 };
  const script = join(emsdk, 'emsdk.py');
  const reason =
    attempt('git', ['clone', '--quiet', '--depth=1', address, emsdk], options) ??
    attempt(python, [script, 'install', EMSCRIPTEN]) ??
    attempt(python, [script, 'activate', EMSCRIPTEN]);
  if (reason !== null) rmSync(emsdk, { recursive: true, force: true });
  return reason;
}

/** What is wanted, in words; how it is found; and the ways to get it, until one succeeds. */
const wanted = [
  ['Emscripten, for WebAssembly', findEmscripten, [() => installPackages('emscripten'), installSdk]],
  ['Chromium', findChromium, [() => installPackages('chromium')]],
  ['Firefox', findFirefox, [() => installPackages('firefox-esr')]],
  [
    'MPI',
    () => findCommand('mpicxx') && findCommand('mpirun'),
    [() => installPackages('libopenmpi-dev', 'openmpi-bin')],
  ],
  ['Redis', () => findCommand('redis-server'), [() => installPackages('redis-server')]],
];

/** Brings all that is missing and can be had, and says what is not. */
export function bringEquipment() {
  for (const [name, find, ways] of wanted) {
    const reasons = [];
    for (const install of ways) {
      if (find()) break;
      const reason = install();
      if (reason !== null) reasons.push(reason);
    }
    if (!find()) console.warn(`\nWARNING: there is no ${name}, so tests with it are left out: ${reasons.join('; ')}\n`);
  }
}
