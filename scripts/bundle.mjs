// Bundles the package's modules: for its files in dist/ (dist.mjs), for pages of tests (browser.mjs), and for the
// programs of tests and benchmarks.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateRawSync } from 'node:zlib';
import { build } from 'esbuild';
import { minify } from 'terser';
import { nodeEntries, packageEntries, pageEntries } from './subpaths.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (name) => readFileSync(join(root, name));

/** Packages that are bundled into one file each, dist/vendor/<name>.js, which is loaded when it is needed. */
export const vendored = {
  commander: "export * from 'commander'",
};

/** Packages that users install. */
const external = [
  '@ai-sdk/provider',
  '@hono/node-server',
  '@langchain/core',
  '@modelcontextprotocol/sdk',
  '@opentelemetry/api',
  'bullmq',
  'cmu-pronouncing-dictionary',
  'hono',
  'ioredis',
  'pino',
  'prom-client',
];

/** The options for a program that runs in the repository. */
export const forNode = {
  absWorkingDir: root,
  bundle: true,
  splitting: true,
  external: [...external, 'commander'],
  format: 'esm',
  platform: 'node',
  target: 'node20',
};

/** Encodes bytes as text for src/backend/base85.ts, which explains the digits. */
export function toBase85(bytes) {
  const dropped = -bytes.length & 3;
  const words = Buffer.concat([bytes, Buffer.alloc(dropped)]);
  const codes = Buffer.alloc((words.length / 4) * 5);
  for (let from = 0, end = 5; from < words.length; from += 4, end += 5)
    for (let word = words.readUInt32BE(from), i = 1; i <= 5; i++, word = Math.floor(word / 85)) {
      const code = 35 + (word % 85);
      codes[end - i] = code === 92 ? 120 : code;
    }
  return `${dropped}${codes.toString('latin1')}`;
}

/**
 * The text that replaces src/backend/embedded.ts in a build. `deflate` compresses bytes to a raw deflate stream, and may
 * return a promise.
 */
export async function embedded(deflate = (bytes) => deflateRawSync(bytes, { level: 9 })) {
  if (!existsSync(join(root, 'wasm/dist/simd128.wasm'))) return read('src/backend/embedded.ts').toString();
  const wasm = {};
  for (const part of ['core', 'packed', 'training', 'rare', 'bfloat16']) {
    const bytes = read(`wasm/dist/simd128${part === 'core' ? '' : `-${part}`}.wasm`);
    wasm[part] = toBase85(await deflate(bytes));
  }
  const worker = read('wasm/dist/worker.js').toString();
  return `export const wasm = ${JSON.stringify(wasm)};\nexport const worker = ${JSON.stringify(worker)};\n`;
}

const engineIsIncluded = {
  name: 'engine is included',
  setup(build) {
    build.onLoad({ filter: /backend[\\/]embedded\.ts$/ }, async () => ({ contents: await embedded(), loader: 'ts' }));
  },
};

/** The package has the engine as text in a file of its own. */
const engineIsAFile = {
  name: 'engine is a file',
  setup(build) {
    build.onResolve({ filter: /backend\/embedded\.js$/ }, () => ({ path: '../browser/embedded.js', external: true }));
  },
};

/** WebAssembly that workerd imports lies beside dist/. */
const modulesOfWorkerd = {
  name: 'modules of workerd',
  setup(build) {
    build.onResolve({ filter: /\.wasm$/ }, ({ path }) => ({ path: path.replace(/^\.\.\//, '../../'), external: true }));
  },
};

/** Modules that need Node's file system. Runtimes share the others. */
const needNode = ['io/file', 'io/atomic-write', 'io/proxied-fetch', 'train/checkpoint'];

/**
 * The text that replaces such a module. Its functions call those that Node's entries provide. In a page they throw, but
 * for fetch: a page's browser has the proxy.
 */
function providedInNode(module) {
  const functions = read(`src/${module}.ts`)
    .toString()
    .matchAll(/^export (?:async )?function\*? (\w+)/gm);
  const otherwise = module === 'io/proxied-fetch' ? 'globalThis.fetch' : 'refuse';
  const exported = Array.from(
    functions,
    ([, name]) => `export const ${name} = (...args) => (own ? own.${name} : ${otherwise})(...args);`,
  );
  return `
    import 'package:root';
    import { refuse } from '../io/no-files.js';
    let own;
    export const provide = (module) => { own = module; };
    ${exported.join('\n')}`;
}

const filesAreProvided = {
  name: 'files are provided',
  setup(build) {
    const pattern = needNode.map((module) => module.replace('/', '[\\\\/]')).join('|');
    const filter = new RegExp(`src[\\\\/](${pattern})\\.ts$`);
    build.onLoad({ filter, namespace: 'file' }, ({ path }) => ({
      contents: providedInNode(relative(join(root, 'src'), path).replaceAll('\\', '/').slice(0, -'.ts'.length)),
      resolveDir: dirname(path),
      loader: 'js',
    }));
    // The modules themselves, for Node's entries and for one another.
    build.onResolve({ filter: /^of-node:/ }, ({ path }) => ({
      path: join(root, 'src', `${path.slice('of-node:'.length)}.ts`),
      namespace: 'of-node',
    }));
    build.onResolve({ filter: /^\./, namespace: 'of-node' }, ({ path, importer }) => {
      const file = join(dirname(importer), path.replace(/\.js$/, '.ts'));
      const isOfNode = filter.test(file);
      return { path: file, namespace: isOfNode ? 'of-node' : 'file' };
    });
    build.onLoad({ filter: /.*/, namespace: 'of-node' }, ({ path }) => ({
      contents: readFileSync(path, 'utf8'),
      resolveDir: dirname(path),
      loader: 'ts',
    }));
    const provided = needNode.map(
      (module, i) =>
        `import { provide as provide${i} } from './src/${module}.ts'; import * as own${i} from 'of-node:${module}'; ` +
        `provide${i}(own${i});`,
    );
    build.onResolve({ filter: /^package-files$/ }, ({ path }) => ({ path, namespace: path, sideEffects: true }));
    build.onLoad({ filter: /.*/, namespace: 'package-files' }, () => ({
      contents: provided.join('\n'),
      resolveDir: root,
    }));
  },
};

const vendorIsAside = {
  name: 'vendor is aside',
  setup(build) {
    build.onResolve({ filter: new RegExp(`^(${Object.keys(vendored).join('|')})$`) }, ({ path }) => ({
      path: `../vendor/${path}.js`,
      external: true,
    }));
  },
};

/** Modules whose import() gets a function of its own, because a program may need the same copies (see `commonJs`). */
const loaders =
  /^src\/(train\/fit|inspect\/trace|core\/create-device|pretrained\/load-later|(models|tasks)\/registry)\.ts$/;

const withLater = (text) =>
  `${text.replace(/import\(('\.[^']*')\)/g, 'later(() => import($1))')}\nimport { later } from 'package-later';\n`;

const later = {
  name: 'later',
  setup(build) {
    build.onResolve({ filter: /^package-later$/ }, ({ path }) => ({ path, namespace: path }));
    build.onLoad({ filter: /.*/, namespace: 'package-later' }, () => ({
      resolveDir: root,
      contents: `
        import 'package:root';
        let load = (module) => module();
        export const later = (module) => load(module);
        export const loadBy = (other) => { load = other; };`,
    }));
  },
};

/**
 * Node's entries for `require`, by path. tsx compiles a program without `"type": "module"` to CommonJS, and with it the
 * modules that this requires, but not import(). That would load a second copy of the package.
 */
export function commonJs() {
  const entry = (name) => `require('./later.cjs');\nmodule.exports = require('./${name}.js');\n`;
  const names = Object.keys(nodeEntries).filter((path) => path.startsWith('node/') && path !== 'node/later');
  return new Map([
    ...names.map((path) => [`${path}.cjs`, entry(path.slice('node/'.length))]),
    [
      'node/later.cjs',
      `const later = require('./later.js');
if (!require('node:util/types').isModuleNamespaceObject(later))
  later.loadBy(async (load) => require('../chunks/' + /[^/"]+(?="\\))/.exec(load)));
`,
    ],
  ]);
}

/**
 * Changes modules as the package needs them. Those that are loaded later import the root. Otherwise esbuild makes a file
 * of each set of modules that they share with it. One file compresses better, by some ten kilobytes.
 */
const changed = (loadedLater) => ({
  name: 'changed',
  setup(build) {
    build.onLoad({ filter: /src[\\/].+\.ts$/, namespace: 'file' }, ({ path }) => {
      const name = relative(root, path).replaceAll('\\', '/');
      const text = read(name).toString();
      const joined = loadedLater.has(name) ? `${text}\nimport 'package:root';\n` : text;
      return { contents: loaders.test(name) ? withLater(joined) : joined, loader: 'ts' };
    });
  },
});

/** Modules that others import() when they are first needed, and that the root itself does not import. */
function loadedLater({ inputs }) {
  const importsOf = (name, kind) =>
    (inputs[name]?.imports ?? []).filter((each) => each.kind === kind).map(({ path }) => path);
  const ofRoot = new Set(['src/index.ts']);
  for (const name of ofRoot) for (const path of importsOf(name, 'import-statement')) ofRoot.add(path);
  const later = Object.keys(inputs).flatMap((name) => importsOf(name, 'dynamic-import'));
  return new Set(later.filter((name) => !ofRoot.has(name)));
}

/** The outputs of a build: the texts of its files by path. */
export async function bundle(options) {
  const outdir = join(root, 'out');
  const { outputFiles, metafile } = await build({ ...options, outdir, write: false, metafile: true });
  const files = new Map(outputFiles.map(({ path, text }) => [relative(outdir, path).replaceAll('\\', '/'), text]));
  return { files, metafile };
}

/**
 * The files of the package: entries for pages and bundlers, and if `forNode`, those of Node and the command line, which
 * share their chunks. Otherwise all files lie in one folder, with the engine in them.
 */
export async function bundlePackage({ forNode }) {
  const options = {
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    format: 'esm',
    target: 'es2022',
    // Terser removes white space and comments. Bundlers read some comments.
    minifySyntax: true,
    minifyIdentifiers: true,
    external: ['node:*', ...external],
    entryPoints: forNode ? { ...pageEntries('browser/'), ...nodeEntries } : pageEntries(''),
    chunkNames: forNode ? 'chunks/[name]-[hash]' : '[name]-[hash]',
    plugins: [
      forNode ? engineIsAFile : engineIsIncluded,
      modulesOfWorkerd,
      vendorIsAside,
      filesAreProvided,
      later,
      packageEntries,
    ],
  };
  const { metafile: graph } = await build({ ...options, outdir: join(root, 'out'), write: false, metafile: true });
  const bundled = withNamedFiles(
    await bundle({ ...options, plugins: [...options.plugins, changed(loadedLater(graph))] }),
  );
  await Promise.all(
    Array.from(bundled.files, async ([name, text]) => {
      const short = await smaller(text);
      bundled.files.set(name, name.includes('chunks/') ? withoutBareImports(short) : short);
    }),
  );
  return bundled;
}

/**
 * Removes imports without names from a chunk that is loaded later. esbuild writes one for each chunk that the chunk needs
 * indirectly. They have no effect, except for that of Node's files, and took 50 kB.
 */
function withoutBareImports(text) {
  return text.replace(/^(?:import\b[^;]*;\s*)+/, (imports) =>
    imports.replace(/import"(?!\.\/files-of-node)[^"]*";\s*/g, ''),
  );
}

/** esbuild's names of such chunks. */
const shared = /\bchunk-[A-Z0-9]{8}\.js/g;

/**
 * Chunks that several files import get short names: five thousand imports name them. The one that gives the package Node's
 * files gets a constant name. package.json lists its side effects under that name, so that bundlers for Node keep it.
 */
function withNamedFiles({ files, metafile }) {
  const names = new Map();
  for (const [path, { inputs }] of Object.entries(metafile.outputs).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if ('package-files:package-files' in inputs) names.set(posix.basename(path), 'files-of-node.js');
    else if (path.match(shared)) names.set(posix.basename(path), `c${names.size.toString(36)}.js`);
  }
  const renamed = (text) => text.replace(shared, (name) => names.get(name) ?? name);
  const outputs = Object.entries(metafile.outputs).map(([path, output]) => [renamed(path), output]);
  return {
    files: new Map(Array.from(files, ([path, text]) => [renamed(path), renamed(text)])),
    metafile: { ...metafile, outputs: Object.fromEntries(outputs) },
  };
}

/** The text as terser makes it, 4 % smaller than esbuild's. */
async function smaller(text) {
  // No getter of ours does anything but get.
  const compress = { passes: 3, pure_getters: true, unsafe_arrows: true };
  // Node shows the line of an uncaught error.
  const format = { comments: /webpackIgnore|@vite-ignore/, max_line_len: 1000 };
  return (await minify(text, { module: true, ecma: 2022, compress, format })).code;
}

/** Paths of the files that a file imports at once. */
export function importsOf(name, text) {
  return Array.from(text.matchAll(/(?:from|import)"(\.[^"]+)"/g), ([, path]) => posix.join(posix.dirname(name), path));
}
