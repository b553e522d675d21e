// Makes the package for pages without a bundler, in one folder, and measures what pages download.
//
//     node scripts/browser.mjs FOLDER    builds into that folder
//     node scripts/browser.mjs --size    prints the sizes of a page's downloads, and fails if one is too large
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { bundle, bundlePackage, importsOf } from './bundle.mjs';
import { licenses } from './licenses.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const read = (name) => readFileSync(join(root, name));

const zipped = (text) => gzipSync(text, { level: 9 }).length;

/** Bytes, compressed, of files and of all that they import at once. */
function downloaded({ files }, ...entries) {
  const loaded = new Set(entries);
  for (const name of loaded) for (const path of importsOf(name, files.get(name))) loaded.add(path);
  return [...loaded].reduce((sum, name) => sum + zipped(files.get(name)), 0);
}

/** The bundle of a page that trains and generates, made of the package's files. */
function bundledByUsers({ files }) {
  const ofPackage = {
    name: 'files of the package',
    setup(build) {
      build.onResolve({ filter: /^\./ }, ({ path, importer }) => ({
        path: posix.join(posix.dirname(importer), path),
        namespace: 'package',
        external: !files.has(posix.join(posix.dirname(importer), path)),
      }));
      build.onLoad({ filter: /.*/, namespace: 'package' }, ({ path }) => ({ contents: files.get(path) }));
    },
  };
  const contents = "export { createDevice, fit, Transformer } from './browser/index.js'";
  return bundle({
    stdin: { contents },
    bundle: true,
    splitting: true,
    format: 'esm',
    minify: true,
    plugins: [ofPackage],
  });
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
    const text = files.get(path.slice('out/'.length));
    return family === undefined
      ? []
      : [[`JavaScript of the largest of ${families.size} families, ${family}`, zipped(text), 6]];
  });
  return sizes.sort(([, a], [, b]) => b - a)[0];
}

async function checkSizes() {
  const module = (name) => zipped(read(`wasm/dist/${name}.wasm`));
  const sizes = ['simd128', 'relaxed'].flatMap((set) => [
    [`${set}.wasm, all that a page with float32 weights loads`, module(set), 110],
    [`${set}.wasm and ${set}-packed.wasm`, module(set) + module(`${set}-packed`), 150],
    [`${set}.wasm and ${set}-training.wasm`, module(set) + module(`${set}-training`), 175],
    [`${set}-rare.wasm`, module(`${set}-rare`), 35],
  ]);
  sizes.push(['simd128-bfloat16.wasm', module('simd128-bfloat16'), 60]);
  const built = await bundlePackage({ forNode: true });
  sizes.push(['JavaScript of a page without a bundler', downloaded(built, 'browser/index.js'), 69]);
  sizes.push(largestFamily(built));
  const users = await bundledByUsers(built);
  const training = [...users.files.keys()].find((name) => name.startsWith('training-run-'));
  sizes.push(['JavaScript that trains and generates, bundled', downloaded(users, 'stdin.js', training), 78]);
  sizes.push(['worker.js', zipped(read('wasm/dist/worker.js')), 60]);
  for (const [name, bytes, limit] of sizes) {
    console.log(`${name}: ${(bytes / 1000).toFixed(1)} kB gzipped, at most ${limit}`);
    if (bytes > limit * 1000) process.exitCode = 1;
  }
}

async function buildInto(folder) {
  // The output lies as deep in the repository as src/backend/, because the paths to wasm/ are relative to that.
  rmSync(join(root, folder), { recursive: true, force: true }); // chunks have other names every time
  mkdirSync(join(root, folder), { recursive: true });
  const { files, metafile } = await bundlePackage({ forNode: false });
  for (const [name, text] of files) writeFileSync(join(root, folder, name), text);
  writeFileSync(join(root, folder, 'LICENSES.txt'), licenses(metafile, root));
}

if (process.argv[2] === '--size') await checkSizes();
else await buildInto(process.argv[2]);
