// Builds the native core without Node, under sanitizers, and runs it.
//
//   node scripts/native.mjs check                      the self test: ASan + UBSan, TSan
//   node scripts/native.mjs arm64                      the self test for arm64, run where qemu-aarch64 is installed
//   node scripts/native.mjs fuzz run 30 [options]      libFuzzer on Engine::run, 30 seconds
//   node scripts/native.mjs fuzz safetensors 30        jazzer.js on a reader (`readers` below), 30 seconds
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { flags as addonFlags, sources } from './binding.mjs';
import { findCommand, inParallel } from './tools.mjs';

const core = sources.filter((name) => name !== 'native/addon.cc');
// Every warning is an error. Each build chooses its level of optimization. SCALAR adds the scalar set, which addons of
// x86-64 and arm64 leave out. -g1 has the lines of a stack trace, which is all that a failure shows.
const optimized = /^-O\d$/;
const SCALAR = '-DSIMDFORMER_SCALAR';
const own = ['-g1', '-Werror', '-Inative'];
const flags = [...addonFlags.filter((flag) => !optimized.test(flag)), ...own];

function run(command, args, environment = {}) {
  const env = { ...process.env, ...environment };
  const { status, signal, error } = spawnSync(command, args, { stdio: 'inherit', env });
  if (status === 0) return;
  console.error(`${basename(command)} failed: ${error?.message ?? signal ?? `status ${status}`}`);
  process.exit(1);
}

function compiler(...commands) {
  const found = findCommand(...commands);
  if (found) return found;
  console.error(`none of ${commands.join(', ')} is installed; .ci/run shows the packages`);
  process.exit(1);
}

/** When the youngest of these files and folders was changed. */
function youngest(...paths) {
  const files = paths.flatMap((path) =>
    statSync(path).isDirectory() ? readdirSync(path, { recursive: true }).map((name) => join(path, name)) : [path],
  );
  return Math.max(...files.map((file) => statSync(file).mtimeMs));
}

/**
 * Compiles the core and one test file with these options, one file per processor at a time, unless the program is newer
 * than its sources. Returns the path of the program. Builds of one `name` share their common parts.
 */
async function build(name, cxx, main, options, linked = options) {
  const directory = join('build', 'checks', name);
  mkdirSync(directory, { recursive: true });
  const changed = youngest('native', 'test/native', 'scripts/native.mjs', 'binding.gyp');
  const objectOf = (source) => join(directory, `${basename(source)}.o`);
  const all = [...core, main].reverse(); // the longest, the instruction sets, first
  const stale = all.filter((source) => !existsSync(objectOf(source)) || youngest(objectOf(source)) < changed);
  await inParallel(stale, async (source) => {
    const child = spawn(cxx, [...flags, ...options, '-c', source, '-o', objectOf(source)], { stdio: 'inherit' });
    if ((await new Promise((resolve) => child.on('close', resolve))) !== 0) process.exit(1);
  });
  const program = join(directory, basename(main, '.cc'));
  run(cxx, [...linked, ...all.map(objectOf), '-o', program]);
  return program;
}

/**
 * ASan by calls, as kernels are so much inlined code that checks within it take minutes to compile; UBSan by traps, whose
 * place ASan prints. UBSan leaves out what ASan sees anyway: null, and accesses by pointers that overflowed. The checks of
 * overflow alone take a quarter of the compiler's time. It also leaves out what C++ without classes cannot do. The
 * fuzzer's counters are in the objects of the self test, too, so that both are compiled once.
 */
const sanitizers = [
  SCALAR,
  '-O1',
  '-fsanitize=address,undefined,fuzzer-no-link',
  '-fsanitize-address-outline-instrumentation',
  '-fsanitize-trap=undefined',
  '-fno-sanitize=null,vptr,object-size,return,pointer-overflow',
  '-fno-omit-frame-pointer',
];

/**
 * Fails if the compiler has put vpdpwssd into the kernels of these sets. No kernel asks for it, and processors without VNNI
 * lack it.
 */
function refuseJoinedProducts(name, sets) {
  const objdump = compiler('llvm-objdump-19', 'llvm-objdump', 'objdump');
  for (const set of sets) {
    const object = join('build', 'checks', name, `${set}.cc.o`);
    const script = '"$0" -d --no-show-raw-insn "$1" | grep -m 1 vpdpwssd';
    if (spawnSync('sh', ['-c', script, objdump, object]).status !== 0) continue;
    console.error(
      `${object} has vpdpwssd: the compiler has joined a product with an addition (native/simd/pair_dots.h)`,
    );
    process.exit(1);
  }
}

/** Readers of untrusted input that jazzer.js tests, with its options: --sync where a reader never waits. */
const readers = {
  safetensors: ['--sync'],
  gguf: [],
  pickle: [],
  onnx: [],
  tokenizer: [],
  template: [],
  config: [],
  wav: [],
  image: [],
  schema: [],
  http: [],
};

const commands = {
  async check() {
    const clang = compiler('clang++-19', 'clang++');
    const program = await build('sanitized', clang, 'test/native/selftest.cc', sanitizers);
    refuseJoinedProducts('sanitized', ['avx2', 'avx512']);
    run(program, ['100'], { ASAN_OPTIONS: 'handle_sigill=1' });
    run(program, ['1'], { ASAN_OPTIONS: 'handle_sigill=1', SIMDFORMER_VNNI: '0', SIMDFORMER_AMX: '0' });
    run(program, ['1'], { ASAN_OPTIONS: 'handle_sigill=1', SIMDFORMER_BF16: '0' });
    // Threads are the same code in all sets, so the scalar one is left out.
    run(await build('threads', clang, 'test/native/selftest.cc', ['-O1', '-fsanitize=thread']), ['10']);
  },

  async arm64() {
    const cross = compiler('aarch64-linux-gnu-g++');
    const program = await build('arm64', cross, 'test/native/selftest.cc', [SCALAR, '-O2', '-static']);
    const qemu = findCommand('qemu-aarch64', 'qemu-aarch64-static');
    if (qemu)
      for (const cpu of ['max', 'cortex-a72']) run(qemu, ['-cpu', cpu, program, '10']); // with dot products and without
    else console.log('compiled; qemu-aarch64 is not installed, so it was not run');
  },

  async fuzz(target = 'run', seconds = '30', ...options) {
    const corpus = join('build', 'corpus', target);
    mkdirSync(corpus, { recursive: true });
    const limits = [`-max_total_time=${seconds}`, '-timeout=10', `-artifact_prefix=${corpus}-`, ...options];
    if (target in readers) {
      const file = `test/fuzz/${target}.fuzz`; // jazzer appends .js, for which tsx finds .ts
      // New inputs go to the first folder. The second one is the seed corpus in git.
      const kept = join('test/fuzz/corpus', target);
      const folders = existsSync(kept) ? [corpus, kept] : [corpus];
      const args = [...readers[target], '--timeout=10000', file, ...folders, '--', ...limits];
      return run('node_modules/.bin/jazzer', args, { NODE_OPTIONS: '--import tsx' });
    }
    const clang = compiler('clang++-19', 'clang++');
    const linked = ['-fsanitize=fuzzer,address,undefined'];
    const program = await build('sanitized', clang, 'test/native/fuzz_run.cc', sanitizers, linked);
    // The heap reserves more addresses than libFuzzer's memory limit allows for.
    run(program, [corpus, '-rss_limit_mb=0', '-max_len=512', ...limits]);
  },
};

const [command, ...rest] = process.argv.slice(2);
if (!(command in commands)) {
  console.error(`usage: node scripts/native.mjs check | arm64 | fuzz run|${Object.keys(readers).join('|')} [seconds]`);
  process.exit(1);
}
await commands[command](...rest);
