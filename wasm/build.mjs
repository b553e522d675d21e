// Builds wasm/dist, the files that runtimes load by URL. The WebAssembly modules need no generated JavaScript:
// src/backend/wasm.ts drives them. Each instruction set has a core, <set>.wasm, and further parts of the kernels,
// <set>-<part>.wasm. A device loads a part when it first needs one of its kernels. Workers run worker.js and thread.js.
//
// All modules import their memory. They use atomics, which are valid on unshared memory, too. So one file works with
// and without threads: src/backend/wasm-load.ts sets the bit that makes the imported memory a shared one.
//
//   node wasm/build.mjs              builds modules that are older than their sources
//   node wasm/build.mjs --optional   the same, but only prints a message if Emscripten is missing
import { execFileSync, spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { findEmscripten } from '../scripts/equipment.mjs';
import { inParallel } from '../scripts/tools.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const outputs = join(root, 'wasm/dist');

const flags = ['-std=c++20', '-Wall', '-Wextra', '-Werror', '-fno-exceptions', '-fno-rtti', '-Inative', '-msimd128'];
flags.push('-fno-math-errno', '-fno-trapping-math', '-ffp-contract=fast', '-matomics', '-mbulk-memory');
// Kernels unroll their long loops by pragma. Other loops of unknown length are not unrolled, which saves 4 % of a
// module.
flags.push('-mllvm', '-unroll-runtime=false', '-mllvm', '-unroll-allow-partial=false');

// Memory layout: the stack, static data of the parts, static data of the core, the heap. The stack is lowest, so that
// an overflow traps instead of overwriting data.
const STACK = 256 << 10;
const PART_ROOM = 32 << 10;
/** The parts other than the core, with their names in native/abi.h. Each has a range of memory and of the function table. */
const parts = { packed: 'kPacked', training: 'kTraining', rare: 'kRare', bfloat16: 'kBfloat16' };
const partNames = Object.keys(parts);
/**
 * Levels of optimization other than -O3. Parts with few products become larger by -O3, but not faster. Products of bfloat16
 * are for equal bits: without instructions for them, they are slower than those of floats.
 */
const LEVELS = { rare: '-O2', training: '-O2', bfloat16: '-Os' };
const TABLE_ROOM = 1024;

// Threads work without Emscripten's runtime. Each worker instantiates the modules over the same memory, with its own
// stack. Only the device's thread allocates, so the single-threaded C library is sufficient, and the linker is told to
// accept it.
const coreFlags = ['-O3', '-sSTANDALONE_WASM', '-sPURE_WASI', '--no-entry', `-sSTACK_SIZE=${STACK}`];
coreFlags.push(
  '-sALLOW_MEMORY_GROWTH',
  '-sALLOW_TABLE_GROWTH',
  '-sINITIAL_MEMORY=1MB',
  '-sMAXIMUM_MEMORY=4GB',
  '-sIMPORTED_MEMORY',
);
coreFlags.push(`-Wl,--stack-first,--global-base=${STACK + PART_ROOM * partNames.length}`, '-sMALLOC=emmalloc');
coreFlags.push('-Wl,--shared-memory,--no-check-features,--export=__stack_pointer');
/** Functions that parts import from the core: Team::parallel, and the C library's functions that kernels use. */
const shared = ['_ZN10simdformer4Team8parallelEjPFvPKvjES2_', 'cos', 'exp', 'exp2', 'log', 'log1p', 'sin'];
shared.push('memcpy', 'memmove', 'memset');
coreFlags.push(`-Wl,${shared.map((name) => `--export=${name}`).join(',')}`);

const core = ['wasm.cc', 'heap_wasm.cc', 'run.cc', 'threads.cc', 'isa/pick.cc'];
const sets = { simd128: [], relaxed: ['-mrelaxed-simd'] };
/**
 * Products of bfloat16 have the same bits with all instruction sets, and are not faster with relaxed instructions. So both
 * cores share that part.
 */
const isShared = (set, part) => set === 'relaxed' && part === 'bfloat16';
const modules = Object.keys(sets).flatMap((set) => [
  { name: set, set },
  ...partNames.filter((part) => !isShared(set, part)).map((part) => ({ name: `${set}-${part}`, set, part })),
]);

/** The time of the newest source file. */
function youngest() {
  const names = readdirSync(join(root, 'native'), { recursive: true }).map((name) => join(root, 'native', name));
  return Math.max(...[fileURLToPath(import.meta.url), ...names].map((name) => statSync(name).mtimeMs));
}

mkdirSync(outputs, { recursive: true });
// Obsolete modules of an earlier build would be published, so they are removed.
for (const file of readdirSync(outputs))
  if (file.endsWith('.wasm') && !modules.some(({ name }) => file === `${name}.wasm`)) rmSync(join(outputs, file));
copyFileSync(join(root, 'wasm/thread.js'), join(outputs, 'thread.js'));
await build({
  entryPoints: [join(root, 'src/backend/worker.ts')],
  outdir: outputs,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  // White space and comments are kept, because bundlers read some comments.
  minifyIdentifiers: true,
  minifySyntax: true,
});

const changed = youngest();
const stale = modules.filter(({ name }) => {
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

/** Runs a command and waits for its end. The process ends if it fails. */
async function run(command, ...args) {
  const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
  if ((await new Promise((resolve) => child.on('close', resolve))) !== 0) process.exit(1);
}

/** A setting of Emscripten, from em-config beside the compiler. */
function setting(name) {
  const config = compiler.replace(/em\+\+(?=[^/\\]*$)/, 'em-config');
  return execFileSync(config, [name], { encoding: 'utf8' }).trim();
}

/** The linker of Emscripten. Distributions add its version to the name. */
function linker() {
  const version = setting('LLVM_ADD_VERSION');
  return join(setting('LLVM_ROOT'), version === 'None' ? 'wasm-ld' : `wasm-ld-${version}`);
}

/** Compiles files of native/ for a part of the kernels. Returns the object files. */
async function compile(sources, { name, set, part }) {
  const objects = [];
  for (const source of sources) {
    const object = join(objectFolder, `${name}-${source.replaceAll('/', '-')}.o`);
    const only = `-DSIMDFORMER_PART=${part === undefined ? 'kCore' : parts[part]}`;
    const level = LEVELS[part] ?? '-O3';
    await run(compiler, ...flags, ...sets[set], only, level, '-c', join('native', source), '-o', object);
    objects.push(object);
  }
  return objects;
}

async function linkCore(module, output) {
  const objects = await compile([...core, `isa/${module.set}.cc`], module);
  await run(compiler, ...coreFlags, ...sets[module.set], ...objects, '-o', output);
}

/** Ends the build if a part's static data reach the memory of the next part. `map`: the linker's map of addresses, in hex. */
function checkData(name, map, limit) {
  const rows = (map.split(/ DATA$/m)[1] ?? '').matchAll(/^ *([0-9a-f]+) +[0-9a-f-]+ +([0-9a-f]+) /gm);
  const end = Math.max(...Array.from(rows, ([, address, size]) => parseInt(address, 16) + parseInt(size, 16)));
  if (end > 0 && end <= limit) return;
  console.error(
    `${name}.wasm: its static data end at ${end}, expected at most ${limit}; raise PART_ROOM in wasm/build.mjs`,
  );
  process.exit(1);
}

/** Links a part by the linker alone, because Emscripten would give it a memory, a table and a C library of its own. */
async function linkPart(module, output) {
  const objects = await compile(['wasm_part.cc', `isa/${module.set}.cc`], module);
  const at = partNames.indexOf(module.part);
  const base = STACK + PART_ROOM * at;
  const places = [`--global-base=${base}`, `--table-base=${TABLE_ROOM * (at + 1)}`];
  const imports = [
    '--import-memory',
    '--shared-memory',
    '--max-memory=4294967296',
    '--import-table',
    '--import-undefined',
  ];
  const rest = ['--no-entry', '--stack-first', '-z', 'stack-size=0', '--no-check-features', '--export=__stack_pointer'];
  const linked = join(objectFolder, `${module.name}.wasm`);
  await run(linker(), ...places, ...imports, ...rest, '-O2', ...objects, `--Map=${linked}.map`, '-o', linked);
  checkData(module.name, readFileSync(`${linked}.map`, 'utf8'), base + PART_ROOM);
  const optimize = ['-O3', '-O3', '--all-features', '--strip-producers', '--strip-target-features'];
  await run(join(setting('BINARYEN_ROOT'), 'bin/wasm-opt'), ...optimize, linked, '-o', output);
}

/** Makes the imported memory an unshared one, in which any host can run the module. */
function unshare(path) {
  const bytes = readFileSync(path);
  const at = bytes.indexOf('memory\u0002\u0003', 'latin1');
  if (at < 0) throw new Error(`${path} imports no shared memory`);
  bytes[at + 'memory'.length + 1] = 1;
  writeFileSync(path, bytes);
}

const objectFolder = join(tmpdir(), `simdformer-wasm-${process.pid}`);
mkdirSync(objectFolder);
await inParallel(stale, async (module) => {
  const output = join(outputs, `${module.name}.wasm`);
  const unfinished = join(objectFolder, `${module.name}-unfinished.wasm`);
  console.log(`> em++ wasm/dist/${module.name}.wasm`);
  await (module.part === undefined ? linkCore : linkPart)(module, unfinished);
  unshare(unfinished);
  copyFileSync(unfinished, output);
});
rmSync(objectFolder, { recursive: true });
