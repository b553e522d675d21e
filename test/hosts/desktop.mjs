// Starts the templates of Electron and VS Code in the real programs. The workflow hosts.yml runs it.
//
//   node test/hosts/desktop.mjs
//
// It needs a built clone (build/Release and dist) and the network, because both programs are downloaded.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const isWindows = process.platform === 'win32';
const home = mkdtempSync(join(tmpdir(), 'simdformer-desktop-'));
const MODEL = resolve('test/data/formats/sentence/pooling-cls');
const TEXT = 'a cat sleeps';

function run(program, args, cwd, env = {}) {
  console.log(`> ${program} ${args.join(' ')}`);
  const options = {
    cwd,
    env: { ...process.env, MODEL, ...env },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  };
  return execFileSync(program, args, { ...options, shell: isWindows });
}

/** On Linux a program with windows needs a display. */
const shown = (program, args, cwd, env) =>
  process.platform === 'linux' ? run('xvfb-run', ['-a', program, ...args], cwd, env) : run(program, args, cwd, env);

run('npm', ['pack', '--ignore-scripts', '--pack-destination', home], '.');
const tarball = join(home, 'simdformer-0.1.0.tgz');
const library = { linux: '-gnu', win32: '-msvc' }[process.platform] ?? '';
const addonName = `simdformer-${process.platform}-${process.arch}${library}`;
const addon = join(home, addonName);
mkdirSync(addon);
writeFileSync(
  join(addon, 'package.json'),
  JSON.stringify({ name: addonName, version: '0.1.0', main: 'simdformer.node' }),
);
cpSync('build/Release/simdformer.node', join(addon, 'simdformer.node'));
run('npm', ['pack', '--pack-destination', home], addon);

/** Copies a template and installs it with the packages of this clone. */
function installed(name, more = {}) {
  const folder = join(home, name);
  cpSync(`examples/hosts/${name}`, folder, { recursive: true });
  const path = join(folder, 'package.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8'));
  const own = { simdformer: `file:${tarball}`, [addonName]: `file:${join(home, `${addonName}-0.1.0.tgz`)}` };
  const devDependencies = { ...manifest.devDependencies, ...more };
  writeFileSync(path, JSON.stringify({ ...manifest, author: 'example', dependencies: own, devDependencies }));
  run('npm', ['install', '--no-audit', '--no-fund'], folder);
  return folder;
}

function check(name, output) {
  const { backend, vector } = JSON.parse(output.trim().split('\n').at(-1));
  if (backend !== 'native' || !vector.every(Number.isFinite)) throw new Error(`${name} answered ${output}`);
  console.log(`${name}: ${vector.length} numbers, computed by the addon`);
}

const electron = installed('electron');
const sandbox = process.platform === 'linux' ? ['--no-sandbox'] : [];
check('Electron', shown('npx', ['electron', '.', ...sandbox], electron, { EMBED: TEXT }));
run('npx', ['electron-builder', '--dir', '--publish', 'never'], electron, { CSC_IDENTITY_AUTO_DISCOVERY: 'false' });
const name = 'simdformer-host-electron';
const packed = {
  linux: `dist/linux-unpacked/${name}`,
  darwin: `dist/mac${process.arch === 'arm64' ? '-arm64' : ''}/${name}.app/Contents/MacOS/${name}`,
  win32: `dist/win-unpacked/${name}.exe`,
}[process.platform];
check('Electron, packed', shown(join(electron, packed), sandbox, electron, { EMBED: TEXT }));

const vscode = installed('vscode', { '@vscode/test-electron': '^3.1.0' });
writeFileSync(
  join(vscode, 'test.cjs'),
  `const vscode = require('vscode');
  exports.run = async () => {
    await vscode.workspace.getConfiguration('simdformer').update('model', process.env.MODEL, true);
    const answer = await vscode.commands.executeCommand('simdformer.embed', '${TEXT}');
    require('node:fs').writeFileSync(process.env.ANSWER, JSON.stringify(answer));
  };`,
);
writeFileSync(
  join(vscode, 'start.cjs'),
  `const { runTests } = require('@vscode/test-electron');
  runTests({ extensionDevelopmentPath: __dirname, extensionTestsPath: __dirname + '/test.cjs' }).catch((error) => {
    console.error(error);
    process.exit(1);
  });`,
);
const ANSWER = join(home, 'answer.json');
shown(process.execPath, ['start.cjs'], vscode, { ANSWER });
check('VS Code', readFileSync(ANSWER, 'utf8'));
