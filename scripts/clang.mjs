// The C++ half of `npm run lint` (clang-format, then clang-tidy) and, with --fix, of `npm run format`.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { findCommand, inParallel } from './tools.mjs';

const fix = process.argv.includes('--fix');

/** The newest of these versions of a clang tool that is installed; formatting differs between versions. */
function find(tool) {
  const found = findCommand(`${tool}-19`, tool);
  if (found) return found;
  console.error(`${tool} is missing. On Debian or Ubuntu: apt-get install ${tool}-19`);
  process.exit(1);
}

const tracked = spawnSync('git', ['ls-files', '-co', '--exclude-standard', '*.cc', '*.h', '*.inc'], {
  encoding: 'utf8',
});
const files = tracked.stdout.split('\n').filter((name) => name !== '' && existsSync(name));

/** The headers of a cycle of includes, if there is one. */
function includeCycle() {
  const includes = new Map(files.map((name) => [name.replace(/^native\//, ''), readFileSync(name, 'utf8')]));
  const done = new Set();
  const visit = (name, path) => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return null;
    done.add(name);
    for (const [, other] of (includes.get(name) ?? '').matchAll(/^#include "(.+)"$/gm)) {
      const cycle = visit(other, [...path, name]);
      if (cycle) return cycle;
    }
    return null;
  };
  for (const name of includes.keys()) {
    const cycle = visit(name, []);
    if (cycle) return cycle;
  }
  return null;
}

const cycle = includeCycle();
if (cycle !== null) {
  console.error(`native/: headers include each other: ${cycle.join(' → ')}`);
  process.exit(1);
}

const format = spawnSync(find('clang-format'), [...(fix ? ['-i'] : ['--dry-run', '-Werror']), ...files], {
  stdio: 'inherit',
});
if (fix || format.status !== 0) process.exit(format.status ?? 1);

// The kernels are the same text in every instruction set: one vector width and the scalar form show all of it. What is
// for WebAssembly alone does not compile for this machine.
const left = /wasm|mpi|isa\/(sse2|avx512|neon|simd128|relaxed)/;
const units = files.filter((name) => name.endsWith('.cc') && !left.test(name));
const flags = ['-std=c++20', '-Wall', '-Wextra', '-Wno-psabi', '-Wno-unknown-warning-option', '-Inative'];
flags.push('-DSIMDFORMER_SCALAR');
const nodeHeaders = join(dirname(dirname(process.execPath)), 'include/node');
const addonApi = createRequire(import.meta.url)('node-addon-api').include_dir;
flags.push('-isystem', nodeHeaders, '-isystem', addonApi, '-DNAPI_VERSION=8', '-DNAPI_DISABLE_CPP_EXCEPTIONS');

/** Prints what clang-tidy finds in one file, without its counts of what it left out. */
function tidy(name) {
  return new Promise((resolve) => {
    const child = spawn(find('clang-tidy'), ['--quiet', name, '--', ...flags], { stdio: ['ignore', 'pipe', 'ignore'] });
    child.stdout.pipe(process.stdout);
    child.on('close', resolve);
  });
}

let failed = 0;
await inParallel(units, async (name) => {
  if ((await tidy(name)) !== 0) failed++;
});
process.exit(failed === 0 ? 0 : 1);
