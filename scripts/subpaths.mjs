// Lists the subpaths that package.json exports: `simdformer/nn` is src/nn/index.ts, and so on.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { exports } = JSON.parse(readFileSync(join(root, 'package.json')).toString());

/** The folders of src/ that have a subpath. */
export const subpaths = Object.entries(exports)
  .map(([path, { types }]) => [path.slice('./'.length), types])
  .filter(([name, types]) => types === `./dist/${name}/index.d.ts`)
  .map(([name]) => name);

const entries = (names) => Object.fromEntries(['index', ...names].map((name) => [name, `package:${name}`]));

/** esbuild's entry points for the root and for these. */
export const entryPoints = entries(subpaths);

/** Adapters are for programs with packages of the framework, and thus with a bundler. */
const adapters = ['ai-sdk', 'langchain'];

/** Subpaths that also work in pages without a bundler. */
export const pageEntryPoints = entries(
  subpaths.filter((name) => exports[`./${name}`].default !== undefined && !adapters.includes(name)),
);

/**
 * Makes these entry points: the root, `index`, of src/<rootFile>, and every subpath of its folder and of the root.
 * Every entry then needs everything that the root needs, which therefore comes in one file. esbuild would otherwise
 * make a file for each set of entries that share something. A class is the same wherever it is imported from.
 */
export const packageEntries = (rootFile) => ({
  name: 'entries of the package',
  setup(build) {
    build.onResolve({ filter: /^package:/ }, ({ path }) => ({ path, namespace: 'package', sideEffects: true }));
    build.onLoad({ filter: /.*/, namespace: 'package' }, ({ path }) => {
      const name = path.slice('package:'.length);
      const contents =
        name === 'index'
          ? `export * from './src/${rootFile}';`
          : `import 'package:index'; export * from './src/${name}/index.ts';`;
      return { contents, resolveDir: root };
    });
  },
});
