// Every subpath of the installed package, from everything that resolves it, and that it is one package from all of them.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { run } from '../build-once.js';
import { docExamples } from '../doc-examples.js';
import { untested } from '../equipment.js';
import { programs } from '../runtimes/programs.js';
import { installed } from './installed.js';

const folder = await installed();
const subpaths = [
  'nn',
  'ops',
  'models',
  'generate',
  'train',
  'finetune',
  'metrics',
  'inspect',
  'tokenizers',
  'pretrained',
  'tasks',
  'constrain',
  'io',
  'prompt-api',
];
/** Subpaths that need the package of a framework. */
const adapters = ['ai-sdk', 'langchain'];
/** Subpaths for Node alone. */
const ofNode = ['mpi', 'bulk', 'server'];
const names = ['', ...subpaths.map((name) => `/${name}`)];
const runtimes = await programs().catch((error: Error) => {
  untested('require in newer versions of Node', error.message);
  return null;
});

/**
 * A program that gets the package's modules by `load`. It prints only `one package` if classes, errors and tensors of
 * one module are accepted by the others.
 */
const program = (load: (path: string) => string) => `
  const all = [${names.map((name) => `${load(`simdformer${name}`)}`).join(', ')}];
  const [root, nn, ops, models, generate, train, finetune, metrics, inspect, tokenizers, pretrained, tasks, constrain, io] = all;
  async function main() {
    for (const [i, module] of all.entries()) {
      if (Object.keys(module).length === 0) throw new Error('nothing is in ' + i);
      for (const [j, other] of all.entries()) for (const name of Object.keys(module)) {
        // Two folders may have a name each: temperature is an option of one and a reduction of another. The Tensor of
        // tasks is that of transformers.js.
        if (i === 0 && name in other && !(name === 'Tensor' && other === tasks) && other[name] !== module[name]) throw new Error(name + ' of ' + j + ' is another');
      }
    }
    const device = await root.createDevice({ backend: 'wasm', threads: 1 });
    const init = new nn.Initializer(device, 1);
    const linear = new nn.Linear(init, 2, 3);
    if (!(linear instanceof nn.Module)) throw new Error('Linear is not a Module');
    const y = ops.relu(linear.forward(device.tensor([[1, 2]])));
    if (y.constructor !== root.Tensor) throw new Error('results are other tensors');
    let error;
    try { ops.matmul(y, device.tensor([1, 2, 3, 4, 5])); } catch (thrown) { error = thrown; }
    if (!(error instanceof root.ShapeError)) throw new Error('errors are others: ' + error);
    const digits = tokenizers.CharTokenizer.train('0123456789');
    const sizes = { dModel: 8, heads: 2, encoderLayers: 0, decoderLayers: 1, targetVocab: 13 };
    const model = new models.Transformer(device, sizes);
    if (!(model instanceof nn.Module)) throw new Error('Transformer is not a Module');
    await train.fit(model, [{ target: [1, 2, 3] }], { steps: 2, optimizer: new train.AdamW(model.parameters()) });
    const { sequences } = await model.generate([[1]], { maxNewTokens: 2, logitsProcessors: [generate.temperature(2)] });
    if (sequences.length !== 1 || inspect.modelCost(model, { target: 4 }).parameters < 1) throw new Error('no model');
    const bytes = io.serializeSafetensors({ x: { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) } });
    if (io.parseSafetensors(bytes).tensors.get('x').data()[1] !== 2) throw new Error('no file');
    if (root.loadModel !== pretrained.loadModel) throw new Error('loadModel is another');
    const unknown = await tasks.pipeline('nonsense', 'nowhere', { device }).catch((error) => error);
    if (!(unknown instanceof root.ArgumentError)) throw new Error('errors of tasks are others: ' + unknown);
    device.dispose();
    console.log('one package', digits.vocabSize > 0);
  }
  main().then(() => process.exit(), (error) => { console.error(error); process.exit(1); });`;

if (folder) {
  describe('the subpaths of the installed package', () => {
    /** A folder of its own, from which the package is found. */
    const place = async (name: string, files: Readonly<Record<string, string>>) => {
      const path = join(folder as string, name);
      await mkdir(path, { recursive: true });
      for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text);
      return path;
    };
    const imported = program((path) => `await import('${path}')`);
    const required = program((path) => `require('${path}')`);

    it('are those of package.json', async () => {
      const { exports } = JSON.parse(await readFile('package.json', 'utf8'));
      const own = Object.keys(exports).filter(
        (path) => path !== '.' && exports[path].types === `./dist${path.slice(1)}/index.d.ts`,
      );
      const isEverywhere = (path: string) => exports[path].default !== undefined;
      expect(own.filter(isEverywhere)).toEqual([...subpaths, ...adapters].map((name) => `./${name}`));
      expect(own.filter((path) => !isEverywhere(path))).toEqual(ofNode.map((name) => `./${name}`));
    });

    it.each([
      ['imported', 'main.mjs', imported],
      ['required', 'main.cjs', required],
    ])('%s in Node', async (_, file, text) => {
      const cwd = await place('subpaths', { [file]: text });
      expect(await run(process.execPath, [file], { cwd })).toEqual({ stdout: 'one package true\n', stderr: '' });
    });

    it.each(runtimes ? (['node22', 'node24'] as const) : [])('required in %s', async (name) => {
      const cwd = await place('subpaths', { 'main.cjs': required });
      expect((await run(runtimes![name], ['main.cjs'], { cwd })).stdout).toBe('one package true\n');
    });

    it('in a bundle for pages', async () => {
      const cwd = await place('subpaths-bundled', { 'package.json': '{}' });
      const imports = names.map((name, i) => `import * as m${i} from 'simdformer${name}';`).join('\n');
      const contents = `${imports}${program((path) => `m${names.indexOf(path.slice('simdformer'.length))}`)}`;
      const options = { bundle: true, splitting: true, format: 'esm', platform: 'browser', outdir: cwd } as const;
      const outExtension = { '.js': '.mjs' };
      const stdin = { contents, resolveDir: folder as string };
      await build({ ...options, outExtension, stdin, entryNames: 'bundle', logLevel: 'error' });
      // Node runs it with the engine that such bundles have in them.
      expect((await run(process.execPath, ['bundle.mjs'], { cwd })).stdout).toBe('one package true\n');
    });

    it('as files for pages without a bundler', async () => {
      const cwd = await place('subpaths', {
        'page.mjs': program((path) => `await import('${path.replace('simdformer', 'simdformer/browser')}')`),
      });
      expect((await run(process.execPath, ['page.mjs'], { cwd })).stdout).toBe('one package true\n');
    });

    it('have types, in ES modules and in CommonJS', { timeout: 300_000 }, async () => {
      const text = `
      ${names.map((name, i) => `import * as m${i} from 'simdformer${name}';`).join('\n')}
      import { Linear, type Module } from 'simdformer/nn';
      import { createDevice, type Tensor } from 'simdformer';
      import { fit, type FitOptions } from 'simdformer/train';
      import { relu } from 'simdformer/ops';
      import { Transformer } from 'simdformer/models';
      import * as page from 'simdformer/browser/nn';
      export async function main(options: FitOptions): Promise<Tensor> {
        const device = await createDevice();
        const model: Module = new Transformer(device, { encoderLayers: 0, targetVocab: 9 });
        await fit(model as Transformer, [{ target: [1, 2] }], options);
        return relu(new Linear(new page.Initializer(device, 1), 2, 3).forward(device.tensor([1, 2])));
      }
      export const all = [${names.map((_, i) => `m${i}`).join(', ')}];`;
      const compilerOptions = { noEmit: true, strict: true, target: 'es2022', module: 'nodenext', types: [] };
      const files = ['main.mts', 'main.cts'];
      const cwd = await place('subpaths-types', {
        ...Object.fromEntries(files.map((file) => [file, text])),
        'tsconfig.json': JSON.stringify({ compilerOptions, files }),
      });
      await checkTypes(cwd);
    });

    it('have types that suffice for the programs of the documentation', { timeout: 300_000 }, async () => {
      const other =
        /from '(?!simdformer)|import\('(?!simdformer)|simdformer\/(ai-sdk|langchain|server)|process\.|Buffer/;
      const examples = docExamples('.').filter(({ code }) => /from 'simdformer/.test(code) && !other.test(code));
      expect(examples.length).toBeGreaterThan(100);
      const lib = ['es2024', 'esnext.disposable', 'dom', 'dom.iterable', 'dom.asynciterable'];
      const target = { target: 'es2022', module: 'nodenext', lib, types: [] };
      const compilerOptions = { ...target, noEmit: true, strict: true, skipLibCheck: true };
      const files = Object.fromEntries(examples.map(({ name, code }) => [`${name}.mts`, code]));
      const config = JSON.stringify({ compilerOptions, files: Object.keys(files) });
      await checkTypes(await place('documentation-types', { ...files, 'tsconfig.json': config }));
    });
  });

  const checkTypes = (cwd: string) =>
    run(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', '.'], { cwd }).catch((error) => {
      throw new Error(error.stdout);
    });
}
