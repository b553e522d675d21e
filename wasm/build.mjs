// Makes wasm/dist, the files that runtimes load by URL. The engine as WebAssembly, <name>.wasm, one module for each
// instruction set, without and with threads: the modules import nothing (with threads: their memory) and need no generated
// JavaScript; src/backend/wasm.ts drives them. And the scripts of workers: worker.js, thread.js.
//
//   node wasm/build.mjs              builds what is older than its sources
//   node wasm/build.mjs --optional   the same, but without Emscripten it only says so
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { findEmscripten } from '../scripts/equipment.mjs';
import { inParallel } from '../scripts/tools.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const outputs = join(root, 'wasm/dist');

const flags = ['-std=c++20', '-O3', '-Wall', '-Wextra', '-Werror', '-fno-exceptions', '-fno-rtti', '-Inative'];
flags.push('-fno-math-errno', '-fno-trapping-math', '-ffp-contract=fast', '-msimd128');
// Kernels unroll long loops by pragma. Other loops of unknown length stay as they are, which saves 4 % of a module.
flags.push('-mllvm', '-unroll-runtime=false', '-mllvm', '-unroll-allow-partial=false');
flags.push('-sSTANDALONE_WASM', '-sPURE_WASI', '--no-entry');
// The stack lies below everything else, so that an overflow traps instead of overwriting.
flags.push('-sSTACK_SIZE=256KB', '-Wl,--stack-first');
flags.push('-sALLOW_MEMORY_GROWTH', '-sINITIAL_MEMORY=1MB', '-sMAXIMUM_MEMORY=4GB');

// Threads without Emscripten's runtime: every worker instantiates the module over the same memory, with its own stack.
// Only the device's thread allocates, so the C library may be the single-threaded one, and the linker must accept it.
const threads = ['-matomics', '-mbulk-memory', '-sIMPORTED_MEMORY'];
threads.push('-Wl,--shared-memory,--no-check-features,--export=__stack_pointer');

const sources = ['wasm.cc', 'heap_wasm.cc', 'run.cc', 'threads.cc', 'isa/pick.cc'].map((name) => `native/${name}`);
const modules = {
  simd128: ['native/isa/simd128.cc'],
  'simd128-threads': ['native/isa/simd128.cc', ...threads],
  relaxed: ['native/isa/relaxed.cc', '-mrelaxed-simd'],
  'relaxed-threads': ['native/isa/relaxed.cc', '-mrelaxed-simd', ...threads],
};

/** The time of the newest source file. */
function youngest() {
  const names = readdirSync(join(root, 'native'), { recursive: true }).map((name) => join(root, 'native', name));
  return Math.max(...[fileURLToPath(import.meta.url), ...names].map((name) => statSync(name).mtimeMs));
}

mkdirSync(outputs, { recursive: true });
copyFileSync(join(root, 'wasm/thread.js'), join(outputs, 'thread.js'));
await build({
  entryPoints: [join(root, 'src/backend/worker.ts')],
  outdir: outputs,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  // White space and comments stay, because bundlers read some comments.
  minifyIdentifiers: true,
  minifySyntax: true,
});

const changed = youngest();
const stale = Object.keys(modules).filter((name) => {
  const path = join(outputs, `${name}.wasm`);
  return !existsSync(path) || statSync(path).mtimeMs < changed;
});

const compiler = stale.length > 0 && findEmscripten();
if (stale.length > 0 && !compiler) {
  const how =
    'Install the Emscripten SDK (https://emscripten.org) and set EMSDK, or on Debian and Ubuntu: apt-get install emscripten; ' +
    '`node scripts/setup.mjs --tests` tries both';
  console.error(`The WebAssembly engine was not built: no em++ on PATH, in EMSDK or in .cache/emsdk. ${how}`);
  process.exit(process.argv.includes('--optional') ? 0 : 1);
}

await inParallel(stale, async (name) => {
  const output = join('wasm/dist', `${name}.wasm`);
  console.log(`> em++ ${output}`);
  const command = [...flags, ...sources, ...modules[name], '-o', output];
  const child = spawn(compiler, command, { cwd: root, stdio: 'inherit' });
  if ((await new Promise((resolve) => child.on('close', resolve))) !== 0) process.exit(1);
});
