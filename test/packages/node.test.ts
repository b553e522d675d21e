// The installed package in Node, where nothing has built its addon.
import { existsSync } from 'node:fs';
import { copyFile, cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { INSTALLED } from '../../scripts/release/sizes.mjs';
import { run } from '../build-once.js';
import { installed } from './installed.js';

const folder = await installed();

if (folder) {
  describe('the installed package in Node', () => {
    const script = async (text: string, cwd = folder as string) => {
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', text], { cwd });
      return JSON.parse(stdout);
    };

    it('computes in WebAssembly without the addon, with the reason, and gives a remedy if the addon is requested', async () => {
      const [info, error] = await script(`
      import { createDevice } from 'simdformer';
      const { info } = await createDevice();
      const error = await createDevice({ backend: 'native' }).catch(({ name, message }) => ({ name, message }));
      console.log(JSON.stringify([info, error]));
    `);
      expect(info).toMatchObject({ backend: 'wasm', reason: error.message });
      expect(error.name).toBe('DeviceError');
      expect(error.message).toMatch(
        /did not load from .*simdformer\.node: .*npm install simdformer-source && npx simdformer-source/,
      );
    });

    it('writes once to stderr that WebAssembly replaces the addon, unless quiet is set', async () => {
      const opened = (options: string) => `import { createDevice } from 'simdformer';
      await createDevice(${options}); await createDevice(${options}); process.exit();`;
      const told = async (text: string, env = {}) => {
        const options = { cwd: folder as string, env: { ...process.env, ...env } };
        return (await run(process.execPath, ['--input-type=module', '-e', text], options)).stderr;
      };
      expect(await told(opened('{ threads: 1 }'))).toMatch(
        /^simdformer: .*npm install simdformer-source && npx simdformer-source .*\n$/,
      );
      expect(await told(opened('{ threads: 1 }'), { SIMDFORMER_QUIET: '1' })).toBe('');
      expect(await told(opened('{ threads: 1, quiet: true }'))).toBe('');
      expect(await told(opened(`{ threads: 1, backend: 'wasm' }`))).toBe('');
    });

    it('computes with the prebuilt addon of the package for this platform, if that loads', async () => {
      const libraries: Partial<Record<NodeJS.Platform, string>> = { linux: '-gnu', win32: '-msvc' };
      const name = `simdformer-${process.platform}-${process.arch}${libraries[process.platform] ?? ''}`;
      const place = join(folder as string, 'prebuilt');
      const addon = join(place, 'node_modules', name);
      await cp(join(folder as string, 'node_modules/simdformer'), join(place, 'node_modules/simdformer'), {
        recursive: true,
      });
      await mkdir(addon, { recursive: true });
      await writeFile(join(addon, 'package.json'), JSON.stringify({ name, version: '0.1.0', main: 'simdformer.node' }));
      const opened = `import { createDevice } from 'simdformer';
      console.log(JSON.stringify((await createDevice()).info));`;
      await copyFile('build/Release/simdformer.node', join(addon, 'simdformer.node'));
      expect(await script(opened, place)).toMatchObject({ backend: 'native' });
      await writeFile(join(addon, 'simdformer.node'), 'cut off');
      expect(await script(opened, place)).toMatchObject({
        backend: 'wasm',
        reason: expect.stringMatching(
          new RegExp(`simdformer\\.node: it is not there, nor from ${name}: (?!it is not)`),
        ),
      });
    });

    it('shows few lines of its code with an uncaught error, and the name of its class', async () => {
      const text = `import { fit, createDevice } from 'simdformer'; await createDevice({ isa: 'none', backend: 'wasm' });`;
      const { stderr } = await script(text).catch((error) => error);
      expect(stderr).toMatch(/^ArgumentError: createDevice: isa is /m);
      expect(stderr.length).toBeLessThan(3000);
    });

    it('trains in a CommonJS program of tsx, which uses require()', async () => {
      const place = join(folder as string, 'commonjs');
      await mkdir(place, { recursive: true });
      await writeFile(join(place, 'package.json'), '{}');
      await writeFile(
        join(place, 'main.ts'),
        `import { ArgumentError, createDevice, fit, Transformer } from 'simdformer';
      async function main() {
        const device = await createDevice({ backend: 'wasm', worker: true, threads: 1 });
        const model = new Transformer(device, { dModel: 8, heads: 2, encoderLayers: 0, decoderLayers: 1, targetVocab: 9 });
        const { step } = await fit(model, [{ target: [1, 2, 3] }], { steps: 2 });
        const error = await createDevice({ isa: 'none', backend: 'wasm' }).catch((error) => error);
        console.log(step, error instanceof ArgumentError);
        device.dispose();
      }
      main();`,
      );
      const { stdout } = await run(process.execPath, [resolve('node_modules/tsx/dist/cli.mjs'), 'main.ts'], {
        cwd: place,
      });
      expect(stdout).toBe('2 true\n');
    });

    it.each(['esm', 'cjs'] as const)('says what to do when it is in a bundle for Node, %s', async (format) => {
      const file = `bundled/for/node/main.${format === 'esm' ? 'mjs' : 'cjs'}`;
      await build({
        stdin: {
          contents: `import { createDevice } from 'simdformer';
          const open = (options) => createDevice({ threads: 1, ...options })
            .then(({ info }) => info.backend, ({ name, message }) => name + ': ' + message);
          const all = [{}, { backend: 'native' }, { wasmUrl: './node_modules/simdformer/wasm/dist' }].map(open);
          Promise.all(all).then((results) => console.log(JSON.stringify(results)));`,
          resolveDir: folder as string,
        },
        bundle: true,
        platform: 'node',
        format,
        logLevel: 'silent', // a warning that CommonJS has no import.meta
        outfile: join(folder as string, file),
      });
      const { stdout } = await run(process.execPath, [file], {
        cwd: folder as string,
      });
      expect(JSON.parse(stdout)).toEqual([
        expect.stringMatching(/^DeviceError: the WebAssembly engine .*\. In a bundle, leave simdformer out .*wasmUrl/),
        expect.stringMatching(/^DeviceError: the native addon .*leave simdformer out of bundles/),
        'wasm',
      ]);
    });

    it('has the sources of the addon for MPI, which `simdformer mpi build` compiles', async () => {
      const cli = join(folder as string, 'node_modules/simdformer/dist/cli/main.js');
      const env = { ...process.env, SIMDFORMER_MPI: join(folder as string, 'mpi') };
      const { stdout } = await run(process.execPath, [cli, 'mpi', 'info'], { env });
      expect(stdout).toBe('None is built: `simdformer mpi build` does it.\n');
      const mpi = await run('mpicxx', ['--version']).catch(() => null);
      if (mpi === null) return;
      const built = await run(process.execPath, [cli, 'mpi', 'build'], { env });
      expect(built.stdout).toMatch(/^The addon for \w+ is built: /);
    });

    it('has no script that npm runs or warns about when it installs a package', async () => {
      const own = JSON.parse(await readFile(join(folder as string, 'node_modules/simdformer/package.json'), 'utf8'));
      const run = ['preinstall', 'install', 'postinstall', 'preprepare', 'prepare'];
      expect(Object.keys(own.scripts).filter((name) => run.includes(name))).toEqual([]);
    });

    it('takes at most 8.2 MB with any prebuilt addon', async () => {
      const own = join(folder as string, 'node_modules/simdformer');
      const entries = await readdir(own, { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
      const sizes = await Promise.all(files.map(async (path) => (await stat(path)).size));
      expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(INSTALLED.package);
      expect(INSTALLED.package + INSTALLED.addon).toBeLessThanOrEqual(8.2e6);
    });

    it('has its files as subpaths, and its types', async () => {
      const names = [
        ...['relaxed', 'simd128'].flatMap((set) =>
          ['', '-packed', '-training', '-rare'].map((part) => `${set}${part}.wasm`),
        ),
        'simd128-bfloat16.wasm',
        'thread.js',
        'worker.js',
      ];
      const subpaths = ['', '/browser', '/browser/svg', ...names.map((name) => `/wasm/${name}`)];
      const urls: string[] = await script(
        `console.log(JSON.stringify(${JSON.stringify(subpaths)}.map((path) => import.meta.resolve('simdformer' + path))))`,
      );
      for (const url of urls) expect(existsSync(new URL(url)), url).toBe(true);
      const own = join(folder as string, 'node_modules/simdformer');
      expect(existsSync(join(own, 'dist/index.d.ts'))).toBe(true);
      const command = [join(own, 'dist/cli/main.js'), 'run', 'g2p-en', 'hello'];
      await expect(run(process.execPath, command, { cwd: folder as string })).rejects.toThrow(
        /there is no model 'g2p-en'.*npm install simdformer-g2p-en/,
      );
    });

    it('has a command that reads a folder and writes a file', async () => {
      const command = join(folder as string, 'node_modules/simdformer/dist/cli/main.js');
      const model = resolve('test/data/checkpoints/rxnmapper-albert');
      const { stdout } = await run(process.execPath, [command, 'info', model]);
      expect(stdout).toMatch(/^loads +yes/m);
      const texts = join(folder as string, 'texts.txt');
      await writeFile(texts, 'CCO\nCCN\n');
      const out = join(folder as string, 'vectors.npy');
      await run(process.execPath, [command, 'embed', model, texts, '-o', out]);
      expect((await readFile(out)).subarray(0, 6).toString('latin1')).toBe('\x93NUMPY');
    });

    it('has no files of removed modules, even after an earlier build', async () => {
      const files = await readdir(join(folder as string, 'node_modules/simdformer/dist'), { recursive: true });
      const modules = files.filter((file) => file.endsWith('.d.ts')).map((file) => file.replace(/\.d\.ts$/, '.ts'));
      expect(modules).toContain(join('core', 'tensor.ts'));
      expect(modules.filter((module) => !existsSync(join('src', module)))).toEqual([]);
    });

    it('is not compiled by installers: pnpm 9 and Yarn 1 would compile a binding.gyp in its root', async () => {
      const own = join(folder as string, 'node_modules/simdformer');
      const { scripts } = JSON.parse(await readFile(join(own, 'package.json'), 'utf8'));
      for (const name of ['preinstall', 'install', 'postinstall']) expect(scripts).not.toHaveProperty(name);
      expect(existsSync(join(own, 'binding.gyp'))).toBe(false);
    });

    it('installs only the packages that embedding a text needs', async () => {
      const own = join(folder as string, 'node_modules/simdformer');
      const { dependencies, optionalDependencies } = JSON.parse(await readFile(join(own, 'package.json'), 'utf8'));
      expect(dependencies).toBeUndefined(); // they are in the bundles, with their licences
      expect(optionalDependencies).toBeUndefined(); // until the addons are named there by a release
      const files = await readdir(own, { recursive: true, withFileTypes: true });
      const names = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name));
      const sources = names.filter((name) => /\.(cc|h|o|gyp|safetensors)$/.test(name));
      const others = sources.filter((name) => !name.startsWith(join(own, 'native/mpi')));
      expect(others).toEqual([]); // `simdformer mpi build` compiles those of MPI
      expect((await stat('build/Release/simdformer.node')).size).toBeLessThan(2.68e6);
    });

    it('names the packages that the server needs, with the command that installs them', async () => {
      const place = join(folder as string, 'alone'); // from where no other package is found
      await cp(join(folder as string, 'node_modules/simdformer'), join(place, 'node_modules/simdformer'), {
        recursive: true,
      });
      const serve = "await (await import('simdformer/server')).serve({}).catch((error) => error.message)";
      const message = await script(`console.log(JSON.stringify(${serve}))`, place);
      if (existsSync(join(folder as string, 'node_modules/hono'))) return; // an example brings it
      expect(message).toMatch(/npm install hono@4 @hono\/node-server@2 pino@10 prom-client@15$/);
    });

    it('names the package that reads Parquet files, with the command that installs it', async () => {
      const read = "(await import('simdformer/finetune')).readRows('rows.parquet').next()";
      const message = await script(`console.log(JSON.stringify(await ${read}.catch((error) => error.message)))`);
      expect(message).toMatch(/^A Parquet file needs packages .* npm install hyparquet@1$/);
    });

    it('has its complete C++ sources in a separate package', async () => {
      await run(process.execPath, ['scripts/packages.mjs']);
      const source = 'build/npm/simdformer-source';
      const [{ sources }] = JSON.parse(await readFile(join(source, 'binding.gyp'), 'utf8')).targets;
      for (const file of sources) expect(existsSync(join(source, file)), file).toBe(true);
      expect(existsSync(join(source, 'native/isa/scalar.cc'))).toBe(true);
      const manifest = JSON.parse(await readFile(join(source, 'package.json'), 'utf8'));
      expect(manifest).toMatchObject({ version: '0.1.0', bin: 'compile.mjs', main: 'simdformer.node' });
      expect(Object.keys(manifest.dependencies)).toEqual(['node-addon-api']);
      expect(existsSync('build/npm/simdformer-g2p-en/model.safetensors')).toBe(true);
    });

    it('gives the same files to tools that ignore exports: Parcel, and TypeScript with the module resolution node10', async () => {
      const own = JSON.parse(await readFile(join(folder as string, 'node_modules/simdformer/package.json'), 'utf8'));
      const { types, node, browser } = own.exports['.'];
      expect(own).toMatchObject({ types, main: node.default, module: browser });
    });

    it('has types that need only the libraries ES2022 and DOM', { timeout: 300_000 }, async () => {
      const place = join(folder as string, 'types');
      await mkdir(place, { recursive: true });
      const compilerOptions = { noEmit: true, target: 'es2022', module: 'nodenext', lib: ['es2022', 'dom'], types: [] };
      await writeFile(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['main.mts'] }));
      await writeFile(join(place, 'main.mts'), `export { createDevice } from 'simdformer';`);
      const { stdout } = await run(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', place]);
      expect(stdout).toBe('');
    });

    it('has types for custom ops, and for undefined options in strict projects', async () => {
      const place = join(folder as string, 'strict');
      await mkdir(place, { recursive: true });
      const strict = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true };
      const compilerOptions = { noEmit: true, target: 'es2022', module: 'nodenext', types: [], ...strict };
      await writeFile(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['main.mts'] }));
      await writeFile(
        join(place, 'main.mts'),
        `import { createDevice, fit, Transformer } from 'simdformer';
import { type Example } from 'simdformer/train';
      export async function train(examples: Example[], signal: AbortSignal | undefined): Promise<number> {
        const device = await createDevice({ threads: undefined });
        const model = new Transformer(device, { encoderLayers: 0, targetVocab: 9, dropout: undefined });
        await fit(model, examples, { steps: 3, signal, validate: undefined });
        await model.generate([[1]], { maxNewTokens: undefined, signal });
        const x = device.tensor([1, 2]);
        device.emit('copy', { x, y: device.empty(x.shape) });
        return model.config.dModel;
      }`,
      );
      await run(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', place]);
    });

    it('computes in WebAssembly from the folder in wasmUrl, and reports a wrong folder', async () => {
      const results = await script(`
      import { createDevice } from 'simdformer';
      const open = (wasmUrl, threads) => createDevice({ backend: 'wasm', wasmUrl, threads })
        .then(({ info }) => info.threads, ({ name, message }) => name + ': ' + message);
      const folder = './node_modules/simdformer/wasm/dist';
      console.log(JSON.stringify([await open(folder, 2), await open(new URL(folder + '/', 'file://' + process.cwd() + '/'), 1), await open('./nowhere', 1)]));
      process.exit();
    `);
      expect(results).toEqual([
        2,
        1,
        expect.stringMatching(/^DeviceError: .*did not load from file:.*nowhere\/simd128.wasm: /),
      ]);
    });
  });
}
