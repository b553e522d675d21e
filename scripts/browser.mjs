// Makes the files for browsers, after tsc has made dist/. dist/browser/ is the package with its dependencies, for pages
// without a bundler. dist/browser.js contains the engine, for bundles.
//
//     node scripts/browser.mjs [folder]    builds; with a folder, only the package for pages, into that folder     node
// scripts/browser.mjs --size      prints the size of a page's downloads, and fails if it is too large
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { minify } from 'terser';
import { licenses } from './licenses.mjs';
import { packageEntries, pageEntryPoints } from './subpaths.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (name) => readFileSync(join(root, name));

/** The text that replaces src/backend/embedded.ts in a build. */
function embedded() {
  if (!existsSync(join(root, 'wasm/dist/simd128.wasm'))) return read('src/backend/embedded.ts').toString();
  const deflated = (name) => deflateRawSync(read(`wasm/dist/${name}.wasm`), { level: 9 }).toString('base64');
  const parts = ['packed', 'training', 'rare', 'bfloat16'].map((part) => [part, deflated(`simd128-${part}`)]);
  const wasm = { core: deflated('simd128'), ...Object.fromEntries(parts) };
  const worker = read('wasm/dist/worker.js').toString();
  return `export const wasm = ${JSON.stringify(wasm)};\nexport const worker = ${JSON.stringify(worker)};\n`;
}

/** Pictures draw with d3, a third of all code: pages get them from svg.js. */
function withoutPictures(index) {
  return read(index)
    .toString()
    .replace(/^export .* from '\.\/(inspect\/)?svg\.js';$/m, '');
}

/** Modules that read and write files: of no use to a page. package.json tells bundlers what stands for them. */
const ofFiles = Object.keys(JSON.parse(read('package.json')).browser).map((path) => path.match(/dist\/(.+)\.js$/)[1]);

/** The text that replaces such a module in a page. Its functions throw, but for fetch: a page's browser has the proxy. */
function withoutFiles(module) {
  if (module === 'io/proxied-fetch') return 'export const proxiedFetch = (url, init) => fetch(url, init);\n';
  const functions = read(`src/${module}.ts`)
    .toString()
    .matchAll(/^export (?:async )?function (\w+)/gm);
  return `export { ${Array.from(functions, ([, name]) => `refuse as ${name}`).join(', ')} } from '../io/no-files.js';\n`;
}

const withoutModulesOfFiles = {
  name: 'without modules of files',
  setup(build) {
    for (const module of ofFiles) {
      build.onLoad({ filter: new RegExp(`src[\\\\/]${module.replace('/', '[\\\\/]')}\\.ts$`) }, ({ path }) => ({
        contents: withoutFiles(module),
        resolveDir: dirname(path),
      }));
    }
  },
};

const withEngine = {
  name: 'with engine',
  setup(build) {
    build.onLoad({ filter: /backend[\\/]embedded\.ts$/ }, () => ({ contents: embedded(), loader: 'ts' }));
  },
};

/** In the package, files for pages share the text of the engine with the modules for bundlers. */
const engineOfPackage = {
  name: 'engine of the package',
  setup(build) {
    build.onResolve({ filter: /backend\/embedded\.js$/ }, () => ({ path: '../backend/embedded.js', external: true }));
  },
};

/** The text that replaces src/backend/native.ts in a page's files, in case Node loads them. */
const withoutAddon = `import { DeviceError } from '../core/errors.js';
export const createNativeBackend = undefined;
export const tellOfFallback = () => {};
export async function loadAddon() {
  throw new DeviceError("the package's files for pages have no native addon");
}`;

const asInPages = {
  name: 'as in pages',
  setup(build) {
    build.onLoad({ filter: /backend[\\/]native\.ts$/ }, ({ path }) => ({
      contents: withoutAddon,
      resolveDir: dirname(path),
    }));
    build.onLoad({ filter: /src[\\/](inspect[\\/])?index\.ts$/ }, ({ path }) => ({
      contents: withoutPictures(relative(root, path)),
      loader: 'ts',
    }));
  },
};

/**
 * Lets modules that pages load later import the root. Otherwise esbuild makes a file of each set of modules that they
 * share with the page. One file compresses better, by some ten kilobytes.
 */
const joinedToRoot = {
  name: 'joined to the root',
  async setup(build) {
    const later = await loadedLater();
    build.onLoad({ filter: /src[\\/].+\.ts$/ }, ({ path }) => {
      const name = relative(root, path).replaceAll('\\', '/');
      return later.has(name) ? { contents: `${read(name)}\nimport 'package:index';\n`, loader: 'ts' } : undefined;
    });
  },
};

/** Modules that others import() when they are first needed, and that the root itself does not import. */
async function loadedLater() {
  const { plugins, ...rest } = options;
  const { metafile } = await bundle({
    ...rest,
    plugins: [...plugins, asInPages, packageEntries('browser.ts')],
    entryPoints: pageEntryPoints,
  });
  const importsOf = (name, kind) =>
    (metafile.inputs[name]?.imports ?? []).filter((each) => each.kind === kind).map(({ path }) => path);
  const ofRoot = new Set(['src/browser.ts']);
  for (const name of ofRoot) for (const path of importsOf(name, 'import-statement')) ofRoot.add(path);
  const later = Object.keys(metafile.inputs).flatMap((name) => importsOf(name, 'dynamic-import'));
  return new Set(later.filter((name) => !ofRoot.has(name)));
}

const options = {
  absWorkingDir: root,
  plugins: [withEngine, withoutModulesOfFiles],
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
};
const forPages = {
  ...options,
  plugins: [...options.plugins, asInPages, joinedToRoot, packageEntries('browser.ts')],
  entryPoints: { ...pageEntryPoints, svg: 'src/inspect/svg.ts' },
};
/** The bundle of a page that trains and generates. */
const forBundlers = {
  ...options,
  stdin: { resolveDir: root, contents: "export { createDevice, fit, Transformer } from './src/browser.js'" },
};

/** The outputs of a build: the texts of its files by name. */
async function bundle(buildOptions) {
  const { outputFiles, metafile } = await build({ ...buildOptions, outdir: '/', write: false, metafile: true });
  const files = new Map(outputFiles.map(({ path, text }) => [path.replaceAll('\\', '/').split('/').at(-1), text]));
  return { files, metafile };
}

/** The package for pages, which terser makes 4 % smaller than esbuild does. */
async function bundleForPages(...plugins) {
  const { files, metafile } = await bundle({ ...forPages, plugins: [...plugins, ...forPages.plugins] });
  for (const [name, text] of files) {
    // No getter of ours does anything but get.
    const compress = { passes: 3, pure_getters: true, unsafe_arrows: true };
    const { code } = await minify(text, { module: true, ecma: 2022, compress });
    files.set(name, code);
  }
  return { files, metafile };
}

/** Bytes, compressed, of files that begin with these names and of all that they import at once. */
function downloaded({ files }, ...entries) {
  const loaded = new Set([...files.keys()].filter((name) => entries.some((entry) => name.startsWith(entry))));
  for (const name of loaded) {
    for (const [, chunk] of files.get(name).matchAll(/(?:from|import)"\.\/([^"]+)"/g)) loaded.add(chunk);
  }
  return [...loaded].reduce((sum, name) => sum + gzipSync(files.get(name), { level: 9 }).length, 0);
}

/** The largest file that contains a family of src/models/registry.ts, compressed. Several families may share a file. */
function largestFamily({ files, metafile }) {
  const families = new Set(
    Array.from(
      read('src/models/registry.ts')
        .toString()
        .matchAll(/import\('\.\/families\/(.+)\.js'\)/g),
      ([, name]) => name,
    ),
  );
  const sizes = Object.entries(metafile.outputs).flatMap(([path, { inputs }]) => {
    const family = [...families].find((each) => inputs[`src/models/families/${each}.ts`]?.bytesInOutput > 0);
    const text = files.get(path.split('/').at(-1));
    return family === undefined
      ? []
      : [[`JavaScript of the largest of ${families.size} families, ${family}`, gzipSync(text, { level: 9 }).length, 6]];
  });
  return sizes.sort(([, a], [, b]) => b - a)[0];
}

async function checkSizes() {
  const zipped = (name) => gzipSync(read(`wasm/dist/${name}.wasm`), { level: 9 }).length;
  const sizes = ['simd128', 'relaxed'].flatMap((set) => [
    [`${set}.wasm, all that a page with float32 weights loads`, zipped(set), 110],
    [`${set}.wasm and ${set}-packed.wasm`, zipped(set) + zipped(`${set}-packed`), 150],
    [`${set}.wasm and ${set}-training.wasm`, zipped(set) + zipped(`${set}-training`), 175],
    [`${set}-rare.wasm`, zipped(`${set}-rare`), 35],
    [`${set}-bfloat16.wasm`, zipped(`${set}-bfloat16`), 60],
  ]);
  const pages = await bundleForPages();
  sizes.push(['JavaScript of a page without a bundler', downloaded(pages, 'index.'), 67]);
  sizes.push(largestFamily(pages));
  sizes.push([
    'JavaScript that trains and generates, bundled',
    downloaded(await bundle(forBundlers), 'stdin.', 'training-run-'),
    91,
  ]);
  sizes.push(['worker.js', gzipSync(read('wasm/dist/worker.js'), { level: 9 }).length, 60]);
  for (const [name, bytes, limit] of sizes) {
    console.log(`${name}: ${(bytes / 1000).toFixed(1)} kB gzipped, at most ${limit}`);
    if (bytes > limit * 1000) process.exitCode = 1;
  }
}

if (process.argv[2] === '--size') {
  await checkSizes();
} else {
  // The output lies as deep in the package as src/backend/, because the paths to wasm/ are relative to that.
  const outdir = process.argv[2] ?? 'dist/browser';
  rmSync(join(root, outdir), { recursive: true, force: true }); // chunks have other names every time
  mkdirSync(join(root, outdir), { recursive: true });
  const plugins = process.argv[2] === undefined ? [engineOfPackage] : [];
  const { files, metafile } = await bundleForPages(...plugins);
  for (const [name, text] of files) writeFileSync(join(root, outdir, name), text);
  writeFileSync(join(root, outdir, 'LICENSES.txt'), licenses(metafile, root));
  if (process.argv[2] === undefined) {
    writeFileSync(join(root, 'dist/backend/embedded.js'), embedded());
    for (const module of ofFiles) writeFileSync(join(root, `dist/${module}.page.js`), withoutFiles(module));
  }
}
