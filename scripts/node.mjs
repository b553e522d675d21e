// Makes the files for Node, after tsc has made dist/. The package and the command line become a few files each instead
// of some two hundred. Finding these took three quarters of the time from import to the first result (`npm run bench --
// start`).
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { forNode } from './bundle.mjs';
import { licenses } from './licenses.mjs';
import { entryPoints, packageEntries } from './subpaths.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
for (const folder of ['dist/node', 'dist/cli', 'dist/addon', 'dist/vendor'])
  rmSync(join(root, folder), { recursive: true, force: true });
// Outputs of deleted modules must not be published. They are removed after tsc, so that dist/ is never empty.
for (const file of readdirSync(join(root, 'dist'), { recursive: true })) {
  const module = /^(?!browser[\\/])(.*?)(\.page)?(\.d\.ts|\.js)$/.exec(file)?.[1];
  if (module !== undefined && !existsSync(join(root, 'src', `${module}.ts`))) rmSync(join(root, 'dist', file));
}

/**
 * Packages that are bundled, each as a file of its own that is loaded when it is needed: nobody has to install them. They
 * are CommonJS, for which the banner makes a `require`.
 */
const vendored = {
  'cli-progress': "export { default } from 'cli-progress'",
  commander: "export * from 'commander'",
  undici:
    "export { default as EnvHttpProxyAgent } from './node_modules/undici/lib/dispatcher/env-http-proxy-agent.js';" +
    "export { fetch } from './node_modules/undici/lib/web/fetch/index.js'",
};
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

/** Imports of these packages, from dist/node/ and dist/cli/. */
const fromVendor = {
  name: 'from vendor',
  setup(build) {
    build.onResolve({ filter: new RegExp(`^(${Object.keys(vendored).join('|')})$`) }, ({ path }) => ({
      path: `../vendor/${path}.js`,
      external: true,
    }));
    // The package is named by a constant there, so that bundlers for pages leave it out.
    build.onLoad({ filter: /src[\\/]io[\\/]proxied-fetch\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace("UNDICI = String('undici')", "UNDICI = '../vendor/undici.js'"),
      loader: 'ts',
    }));
  },
};

const { metafile } = await build({
  // The output lies as deep as src/backend/ and src/cli/, because the paths to build/, wasm/ and models/ are relative
  // to that.
  entryPoints: {
    'cli/main': 'src/cli/main.ts',
    ...Object.fromEntries(Object.entries(entryPoints).map(([name, entry]) => [`node/${name}`, entry])),
  },
  chunkNames: 'node/[name]-[hash]',
  outdir: 'dist',
  ...forNode,
  external: forNode.external.filter((name) => !Object.hasOwn(vendored, name)),
  minify: true,
  plugins: [fromVendor, ...forNode.plugins, packageEntries('index.ts')],
  metafile: true,
});
writeFileSync(join(root, 'dist/node/LICENSES.txt'), licenses(metafile, root));
writeFileSync(join(root, 'dist/vendor/LICENSES.txt'), licenses(vendor.metafile, root));
