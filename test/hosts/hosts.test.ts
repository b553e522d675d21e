// examples/hosts: each template with the real host from npm and the packed package, as a user installs and starts it.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium as playwright } from 'playwright-core';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createDevice, loadTextModel } from '../../src/index.js';
import { chromium } from '../browser/chromium.js';
import { alone, run } from '../build-once.js';
import { packed } from '../packages/install.js';
import { folderOf } from '../retrieval/folders.js';
import { type Programs, programs } from '../runtimes/programs.js';

/** Outside of the repository, whose package.json and lockfile some hosts would take for theirs. */
const home = join(tmpdir(), `simdformer-hosts-${createHash('sha256').update(resolve('.')).digest('hex').slice(0, 8)}`);
const model = resolve(folderOf('pooling-cls'));
const TEXT = 'a cat sleeps';
const addonName = `simdformer-${process.platform}-${process.arch}-gnu`;

interface Answer {
  readonly backend: string;
  readonly vector: number[];
}

let tarball: string;
let addon: string;
let paths: Programs;
let expected: number[];
let environment: NodeJS.ProcessEnv;

const digest = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 12);
const npm = (args: readonly string[], cwd: string) => run('npm', args, { cwd, env: environment });

beforeAll(async () => {
  mkdirSync(home, { recursive: true });
  paths = await programs();
  // Several hosts need a newer Node than the tests.
  const PATH = [dirname(paths.node24), dirname(paths.bun), dirname(paths.deno), process.env.PATH].join(delimiter);
  environment = {
    ...process.env,
    PATH,
    CI: '',
    NODE_ENV: '',
    NODE_OPTIONS: '',
    MODEL: model,
    HOST: '127.0.0.1',
    HOSTNAME: '127.0.0.1',
    NEXT_TELEMETRY_DISABLED: '1',
    ASTRO_TELEMETRY_DISABLED: '1',
    NUXT_TELEMETRY_DISABLED: '1',
    WRANGLER_SEND_METRICS: 'false',
  };
  tarball = await packed();
  addon = await packedAddon();
  const device = await createDevice();
  const own = await loadTextModel(device, model);
  expected = [...((await own.encode([TEXT]))[0] as Float32Array)];
  device.dispose();
});

/** The addon of this clone as the package that npm would install. */
async function packedAddon(): Promise<string> {
  const folder = join(home, addonName);
  mkdirSync(folder, { recursive: true });
  const manifest = { name: addonName, version: '0.1.0', main: 'simdformer.node', files: ['simdformer.node'] };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  cpSync('build/Release/simdformer.node', join(folder, 'simdformer.node'));
  await npm(['pack', '--loglevel=error'], folder);
  return join(folder, `${addonName}-0.1.0.tgz`);
}

/** Copies a template and installs what it needs, unless that is there. `without` names packages that are left out. */
async function installed(name: string, without: readonly string[] = []): Promise<string> {
  const folder = join(home, name);
  await alone(`${folder}.lock`, async () => {
    cpSync(`examples/hosts/${name}`, folder, { recursive: true });
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    Object.assign(manifest.dependencies, { simdformer: `file:${tarball}`, [addonName]: `file:${addon}` });
    for (const each of without) delete manifest.devDependencies[each];
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
    const stamp = join(folder, 'node_modules/.installed');
    const wanted = [JSON.stringify(manifest), digest(tarball), digest(addon)].join();
    if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
    rmSync(join(folder, 'package-lock.json'), { force: true }); // the lockfile has the digests of other tarballs
    const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
    await npm(['install', ...options], folder);
    writeFileSync(stamp, wanted);
  });
  return folder;
}

const servers: ChildProcess[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    const ended = new Promise((done) => server.once('exit', done));
    process.kill(-(server.pid as number), 'SIGTERM');
    await ended;
  }
});

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((listening) => probe.listen(0, '127.0.0.1', listening));
  const { port } = probe.address() as { port: number };
  await new Promise((closed) => probe.close(closed));
  return port;
}

/** The answer of a host that is started by `npm SCRIPT`. */
async function answerOf(folder: string, script: readonly string[] = ['run', 'start'], port?: number): Promise<Answer> {
  port ??= await freePort();
  const env = { ...environment, PORT: String(port), NODE_ENV: 'production' };
  // A group of its own: npm starts a shell, which starts the host.
  const server = spawn('npm', script, { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  servers.push(server);
  let said = '';
  for (const stream of [server.stdout, server.stderr]) stream.on('data', (text) => (said += text));
  for (;;) {
    if (server.exitCode !== null) throw new Error(`the host ended: ${said}`);
    const response = await fetch(`http://127.0.0.1:${port}/embed?text=${encodeURIComponent(TEXT)}`).catch(() => null);
    const text = await response?.text();
    if (response?.ok) return JSON.parse(text as string);
    if (response) throw new Error(`${response.status} ${text}\n${said}`);
    await sleep(100);
  }
}

describe('servers', { timeout: 300_000 }, () => {
  it.each([
    ['express', false],
    ['fastify', false],
    ['bun', false],
    ['deno', false],
    ['vite-ssr', true],
    ['next', true],
    ['sveltekit', true],
    ['nuxt', true],
    ['astro', true],
  ])('%s: computes with the addon what a program does', async (name, isBuilt) => {
    const folder = await installed(name);
    if (isBuilt) await npm(['run', 'build'], folder);
    expect(await answerOf(folder)).toEqual({ backend: 'native', vector: expected });
  });
});

/** Expects the numbers of WebAssembly, whose products are not rounded before they are added. */
function expectNear({ backend, vector }: Answer): void {
  expect(backend).toBe('wasm');
  expect(vector.length).toBe(expected.length);
  for (const [i, value] of vector.entries()) expect(value).toBeCloseTo(expected[i] as number, 4);
}

describe('other hosts', { timeout: 300_000 }, () => {
  it('workerd: the Worker that wrangler bundles answers, with its model in its assets', async () => {
    const folder = await installed('workerd');
    cpSync(model, join(folder, 'assets/model'), { recursive: true });
    const port = await freePort();
    const dev = ['exec', '--', 'wrangler', 'dev', '--port', String(port), '--ip', '127.0.0.1', '--local'];
    expectNear(await answerOf(folder, dev, port));
  });

  it('sea: one executable without any other file computes with the addon', async () => {
    const folder = await installed('sea');
    await npm(['run', 'build'], folder);
    const alone = join(home, 'sea-alone');
    rmSync(alone, { recursive: true, force: true });
    mkdirSync(alone);
    cpSync(join(folder, 'dist/embed'), join(alone, 'embed'));
    const env = { MODEL: model, TMPDIR: alone };
    const { stdout } = await run(join(alone, 'embed'), TEXT.split(' '), { cwd: alone, env });
    expect(JSON.parse(stdout)).toEqual({ backend: 'native', vector: expected });
    expect(readdirSync(alone)).toEqual(['embed']); // the addon's copy is gone
  });

  it('vscode: the extension works in a process like the extension host', async () => {
    const folder = await installed('vscode');
    // The editor gives its extensions the module `vscode`. Here are the parts of it that the extension uses.
    writeFileSync(
      join(folder, 'host.cjs'),
      `const commands = new Map();
      const vscode = {
        commands: { registerCommand: (name, run) => (commands.set(name, run), { dispose() {} }) },
        workspace: { getConfiguration: () => ({ get: () => process.env.MODEL }) },
        window: { showInformationMessage: (text) => console.error(text) },
      };
      const Module = require('node:module');
      const load = Module._load;
      Module._load = (name, ...rest) => (name === 'vscode' ? vscode : load(name, ...rest));
      const { activate, deactivate } = require('./extension.js');
      const context = { subscriptions: [] };
      activate(context);
      commands.get('simdformer.embed')(process.argv[2]).then(async (answer) => {
        console.log(JSON.stringify(answer));
        await deactivate();
      });`,
    );
    const { stdout, stderr } = await run(paths.node24, ['host.cjs', TEXT], { cwd: folder, env: environment });
    expect(JSON.parse(stdout)).toEqual({ backend: 'native', vector: expected });
    expect(stderr.trim()).toBe(`${expected.length} numbers, computed by native`);
  });

  it.runIf(chromium)("obsidian: the plugin is one file, and works in a window that has Node's globals", async () => {
    const folder = await installed('obsidian');
    await npm(['run', 'build'], folder);
    const files = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'modules.json', 'model.safetensors'];
    const contents = [...files, '1_Pooling/config.json'].flatMap((path) => {
      const file = join(model, path);
      return existsSync(file) ? [[path, readFileSync(file).toString('base64')] as const] : [];
    });
    const browser = await playwright.launch(chromium as object);
    try {
      const page = await browser.newPage();
      await page.addInitScript(() => {
        Object.assign(globalThis, {
          process: { type: 'renderer', versions: { node: '22.0.0', electron: '39.0.0' }, env: {} },
        });
      });
      await page.goto('data:text/html,<p>Obsidian</p>');
      const answer = await page.evaluate(inObsidian, {
        code: readFileSync(join(folder, 'main.js'), 'utf8'),
        files: Object.fromEntries(contents),
        text: TEXT,
      });
      expectNear(answer);
    } finally {
      await browser.close();
    }
  });
});

/** Runs the plugin in a page, with the parts of Obsidian's API that it uses. */
async function inObsidian({ code, files, text }: { code: string; files: Record<string, string>; text: string }) {
  const bytes = (path: string) => Uint8Array.from(atob(files[path] as string), (letter) => letter.charCodeAt(0)).buffer;
  const root = 'plugins/embed/model/';
  const adapter = {
    exists: async (path: string) => Object.keys(files).some((name) => (root + name).startsWith(`${path}/`)),
    list: async (path: string) => ({
      files: Object.keys(files)
        .map((name) => root + name)
        .filter((name) => name.slice(0, name.lastIndexOf('/')) === path),
    }),
    readBinary: async (path: string) => bytes(path.slice(root.length)),
  };
  const commands: { callback: () => Promise<Answer> }[] = [];
  class Plugin {
    app = {
      workspace: { getActiveFile: () => ({ path: 'note.md' }) },
      vault: { cachedRead: async () => text, adapter },
    };
    manifest = { dir: 'plugins/embed' };
    addCommand(command: (typeof commands)[number]) {
      commands.push(command);
    }
  }
  const notices: string[] = [];
  class Notice {
    constructor(said: string) {
      notices.push(said);
    }
  }
  const module = { exports: {} as { default?: new () => { onload(): void; onunload(): Promise<void> } } };
  const require = () => ({ Plugin, Notice });
  new Function('module', 'exports', 'require', code)(module, module.exports, require);
  const plugin = new (module.exports.default as NonNullable<typeof module.exports.default>)();
  plugin.onload();
  const answer = await (commands[0] as (typeof commands)[number]).callback();
  await plugin.onunload();
  if (notices.length !== 1) throw new Error(`${notices.length} notices`);
  return answer;
}

describe('the addon keeps the rules of Electron', { timeout: 300_000 }, () => {
  it('has no symbol of V8, Node or libuv, and makes no external buffers', async () => {
    const { stdout } = await run('nm', ['-D', '--undefined-only', 'build/Release/simdformer.node']);
    const symbols = stdout.split('\n').map((line) => line.trim().split(/\s+/).at(-1) as string);
    expect(symbols.filter((name) => name.startsWith('napi_')).length).toBeGreaterThan(20);
    // Mangled names of the namespaces v8 and node, and of C functions.
    expect(symbols.filter((name) => /^_ZNK?2v8|^_ZNK?4node|^uv_/.test(name))).toEqual([]);
    // V8's memory cage, which Electron has, refuses memory from outside.
    expect(symbols.filter((name) => /external_(arraybuffer|buffer)|^node_api_.*external/.test(name))).toEqual([]);
  });

  it('loads from the files that asar unpacks', async () => {
    const folder = await installed('electron', ['electron', 'electron-builder']);
    const tool = await installedTool('@electron/asar', '^4.3.2');
    const { createPackageWithOptions, listPackage, statFile } = await import(tool);
    const app = join(home, 'electron-app/app.asar');
    rmSync(dirname(app), { recursive: true, force: true });
    const { build } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    // electron-builder gives the patterns to the same library.
    await createPackageWithOptions(folder, app, { unpack: `{${build.asarUnpack.join()}}` });
    const inside = `node_modules/${addonName}/simdformer.node`;
    expect(listPackage(app, {})).toContain(`/${inside}`);
    expect(statFile(app, inside)).toMatchObject({ unpacked: true });
    const unpacked = join(`${app}.unpacked`, inside);
    const load = `console.log(typeof require(${JSON.stringify(unpacked)}).Engine)`;
    expect((await run(process.execPath, ['-e', load], { cwd: '/' })).stdout).toBe('function\n');
  });

  it("ends its threads with the process, in the middle of a product, and with a worker of Node's", async () => {
    const folder = await installed('electron', ['electron', 'electron-builder']);
    const work = `
      import { createDevice } from 'simdformer';
      import { matmul } from 'simdformer/ops';
      const device = await createDevice({ threads: 4 });
      const a = device.zeros([2048, 2048]);
      let b = a;
      for (let i = 0; i < 4; i++) b = matmul(b, a);
      const pending = b.data();
      await new Promise(setImmediate);`;
    const ended = async (text: string) => {
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', text], { cwd: folder });
      return stdout;
    };
    expect(await ended(`${work} console.log(device.info.backend); process.exit(0);`)).toBe('native\n');
    const reported = `import { parentPort } from 'node:worker_threads'; parentPort.postMessage(device.info.backend);`;
    writeFileSync(join(folder, 'busy.mjs'), `${work}\n${reported}`);
    const inWorker = `
      import { Worker } from 'node:worker_threads';
      const worker = new Worker('./busy.mjs', { execArgv: [] });
      worker.on('message', async (backend) => { console.log(backend, await worker.terminate()); });`;
    expect(await ended(inWorker)).toBe('native 1\n');
  });
});

/** The path of a package that the tests need beside the templates. */
async function installedTool(name: string, version: string): Promise<string> {
  const folder = join(home, 'tools');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: { [name]: version } }));
  if (!existsSync(join(folder, 'node_modules', name)))
    await npm(['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'], folder);
  return createRequire(join(folder, 'package.json')).resolve(name);
}
