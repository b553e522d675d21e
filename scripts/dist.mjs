// Makes the JavaScript of dist/, after tsc has written the types: entries for Node (dist/node/), for pages and bundlers
// (dist/browser/), and for the command line, and the chunks that they share. Node's start takes few files: finding some
// two hundred took three quarters of the time from import to the first result (`npm run bench -- start`).
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { bundlePackage, commonJs, embedded, vendored } from './bundle.mjs';
import { licenses } from './licenses.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
for (const folder of ['node', 'browser', 'chunks', 'cli', 'addon', 'vendor'])
  rmSync(join(dist, folder), { recursive: true, force: true });
// Outputs of deleted modules must not be published. They are removed after tsc, so that dist/ is never empty.
for (const file of readdirSync(dist, { recursive: true })) {
  const module = /^(.*?)(\.d\.ts|\.js)$/.exec(file)?.[1];
  if (file.endsWith('.js') || (module !== undefined && !existsSync(join(root, 'src', `${module}.ts`))))
    rmSync(join(dist, file));
}

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
writeFileSync(join(dist, 'browser/embedded.js'), embedded());
writeFileSync(join(dist, 'chunks/LICENSES.txt'), licenses(metafile, root));
