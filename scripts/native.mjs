// Builds the native core without Node, under sanitizers, and runs it.
//
//   node scripts/native.mjs check                      the self test: ASan + UBSan (GCC), TSan (Clang)
//   node scripts/native.mjs arm64                      the self test for arm64, run where qemu-aarch64 is installed
//   node scripts/native.mjs fuzz run 30 [options]      libFuzzer on Engine::run, 30 seconds
//   node scripts/native.mjs fuzz safetensors 30        jazzer.js on the safetensors reader, 30 seconds
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { flags as addonFlags, sources } from './binding.mjs';
import { findCommand, inParallel } from './tools.mjs';

const core = sources.filter((name) => name !== 'native/addon.cc');
// Every warning is an error; each build chooses how much is optimised.
const flags = [...addonFlags.filter((flag) => flag !== '-O3'), '-g', '-Werror', '-Inative'];

function run(command, args, environment = {}) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...environment } });
  if (status === 0) return;
  console.error(`${basename(command)} failed${error ? `: ${error.message}` : ''}`);
  process.exit(1);
}

function compiler(...commands) {
  const found = findCommand(...commands);
  if (found) return found;
  console.error(`none of ${commands.join(', ')} is installed; .ci/run shows the packages`);
  process.exit(1);
}

/** Compiles the core and one test file with these options, one file per processor at a time; the path of the program. */
async function build(name, cxx, main, options) {
  const directory = join('build', 'checks', name);
  mkdirSync(directory, { recursive: true });
  const objects = [];
  // The longest, the instruction sets, first.
  await inParallel([...core, main].reverse(), async (source) => {
    const object = join(directory, `${basename(source)}.o`);
    objects.push(object);
    const child = spawn(cxx, [...flags, ...options, '-c', source, '-o', object], { stdio: 'inherit' });
    if ((await new Promise((resolve) => child.on('close', resolve))) !== 0) process.exit(1);
  });
  const program = join(directory, name);
  run(cxx, [...options, ...objects, '-o', program]);
  return program;
}

const undefinedBehaviour = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-fno-omit-frame-pointer'];

const commands = {
  async check() {
    const gcc = compiler(process.env.CXX ?? 'g++');
    run(await build('selftest-asan', gcc, 'test/native/selftest.cc', ['-O1', ...undefinedBehaviour]), ['100']);
    const clang = compiler('clang++-19', 'clang++');
    run(await build('selftest-tsan', clang, 'test/native/selftest.cc', ['-O1', '-fsanitize=thread']), ['10']);
  },

  async arm64() {
    const cross = compiler('aarch64-linux-gnu-g++');
    const program = await build('selftest-arm64', cross, 'test/native/selftest.cc', ['-O2', '-static']);
    const qemu = findCommand('qemu-aarch64', 'qemu-aarch64-static');
    if (qemu) run(qemu, [program, '10']);
    else console.log('compiled; qemu-aarch64 is not installed, so it was not run');
  },

  async fuzz(target = 'run', seconds = '30', ...options) {
    const corpus = join('build', 'corpus', target);
    mkdirSync(corpus, { recursive: true });
    const limits = [`-max_total_time=${seconds}`, '-timeout=10', ...options];
    if (target === 'safetensors' || target === 'gguf') {
      const file = `test/fuzz/${target}.fuzz`; // jazzer appends .js, for which tsx finds .ts
      return run('node_modules/.bin/jazzer', ['--sync', file, corpus, '--', ...limits], {
        NODE_OPTIONS: '--import tsx',
      });
    }
    const sanitizers = ['-O1', '-fsanitize=fuzzer', ...undefinedBehaviour];
    const program = await build('fuzz-run', compiler('clang++-19', 'clang++'), 'test/native/fuzz_run.cc', sanitizers);
    // The heap reserves more addresses than libFuzzer's memory limit allows for.
    run(program, [corpus, '-rss_limit_mb=0', '-max_len=512', `-artifact_prefix=${corpus}-`, ...limits]);
  },
};

const [command, ...rest] = process.argv.slice(2);
if (!(command in commands)) {
  console.error('usage: node scripts/native.mjs check | arm64 | fuzz run|safetensors|gguf [seconds]');
  process.exit(1);
}
await commands[command](...rest);
