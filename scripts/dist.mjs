// Makes the JavaScript of dist/, after tsc has written the types. Node has entries in dist/node/, pages and bundlers in
// dist/browser/. These share the files in dist/chunks/ with the command line. Node's start takes few files: finding some
// two hundred took three quarters of the time from import to the first result (`npm run bench -- start`).
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import zopfli from '@gfx/zopfli';
import { build } from 'esbuild';
import { bundlePackage, commonJs, embedded, vendored } from './bundle.mjs';
import { bundledPackages, licenses } from './licenses.mjs';
import { publicTypes } from './public-types.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
for (const folder of ['node', 'browser', 'chunks', 'cli', 'addon', 'vendor'])
  rmSync(join(dist, folder), { recursive: true, force: true });
/** The package's entries for TypeScript. */
function typeEntries() {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return [...new Set(Object.values(exports).flatMap(({ types = '*' }) => (types.includes('*') ? [] : [types])))];
}

// Types that no user can reach, and outputs of deleted modules, must not be published. They are removed after tsc, so that
// dist/ is never empty.
const types = publicTypes(root, typeEntries());
for (const file of readdirSync(dist, { recursive: true }))
  if (/\.(js|ts)$/.test(file) && !types.has(join(dist, file))) rmSync(join(dist, file));
for (const [path, text] of types) writeFileSync(path, text);

/** The packages are CommonJS, for which the banner makes a `require`. */
const vendor = await build({
  absWorkingDir: root,
  entryPoints: Object.fromEntries(Object.keys(vendored).map((name) => [name, `vendored:${name}`])),
  outdir: 'dist/vendor',
  bundle: true,
  minify: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  plugins: [
    {
      name: 'vendored',
      setup(build) {
        build.onResolve({ filter: /^vendored:/ }, ({ path }) => ({ path: path.slice(9), namespace: 'vendored' }));
        build.onLoad({ filter: /.*/, namespace: 'vendored' }, ({ path }) => ({
          contents: vendored[path],
          resolveDir: root,
        }));
      },
    },
  ],
  metafile: true,
});
writeFileSync(join(dist, 'vendor/LICENSES.txt'), licenses(vendor.metafile, root));

const { files, metafile } = await bundlePackage({ forNode: true });
for (const folder of ['node', 'browser', 'chunks', 'cli']) mkdirSync(join(dist, folder));
for (const [path, text] of [...files, ...commonJs()]) writeFileSync(join(dist, path), text);
chmodSync(join(dist, 'cli/main.js'), 0o755);
// Streams of zopfli are 5 % smaller than zlib's. More iterations save less than 0.1 %.
const deflate = (bytes) => zopfli.deflateAsync(bytes, { numiterations: 3 });
writeFileSync(join(dist, 'browser/embedded.js'), await embedded(deflate));
writeFileSync(join(dist, 'chunks/LICENSES.txt'), licenses(metafile, root));
// The release lists the packages whose code is in the bundles (scripts/release/pack.mjs).
const inBundles = [vendor.metafile, metafile].flatMap((each) => bundledPackages(each, root));
mkdirSync(join(root, 'build'), { recursive: true });
writeFileSync(join(root, 'build/bundled.json'), JSON.stringify(inBundles.map(({ folder: _, ...each }) => each)));
