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

const entries = (names, folder, kind) =>
  Object.fromEntries(names.map((name) => [`${folder}${name}`, `package:${kind}/${name}`]));

/** esbuild's entry points for Node: the root, the subpaths, and the command line. */
export const nodeEntries = {
  ...entries(['index', ...subpaths], 'node/', 'node'),
  'node/later': 'package-later',
  'cli/main': 'package:./src/cli/main.ts',
};

/** Subpaths that also work in pages. */
const ofPages = subpaths.filter((name) => exports[`./${name}`].default !== undefined);

/** esbuild's entry points for pages, and for bundlers that make pages. */
export const pageEntries = (folder) => ({
  ...entries(['index', ...ofPages], folder, 'page'),
  [`${folder}svg`]: 'package:./src/inspect/svg.ts',
  [`${folder}inspect-svg`]: 'package:page/inspect-svg',
  [`${folder}workerd`]: 'package:./src/workerd.ts',
});

/** Pictures draw with d3, a third of all code: a page without a bundler gets them from svg.js. */
const withoutPictures = (text) => text.replace(/^export .* from '\.\/svg\.js';$/m, '');

/** The text of an entry, and the folder that its imports are relative to. */
function entry(kind, name) {
  const first = kind === 'node' ? "import 'package-files'; import 'package:root';" : "import 'package:root';";
  if (name === 'index') return `${first} export * from './src/${kind === 'node' ? 'index.ts' : 'browser.ts'}';`;
  const own = `${first} export * from './src/${name}/index.ts';`;
  if (kind === 'node') return own;
  if (name === 'inspect')
    return `${first} ${withoutPictures(readFileSync(join(root, 'src/inspect/index.ts'), 'utf8')).replaceAll("'./", "'./src/inspect/")}`;
  if (name === 'inspect-svg') return `${first} export * from './src/inspect/index.ts';`;
  return own;
}

/**
 * Makes these entries. Every entry imports the root, whose modules therefore come in one file. esbuild would otherwise
 * make a file for each set of entries that share something. A class is the same wherever it is imported from.
 */
export const packageEntries = {
  name: 'entries of the package',
  setup(build) {
    build.onResolve({ filter: /^package:/ }, ({ path }) =>
      path === 'package:root'
        ? { path: join(root, 'src/index.ts'), sideEffects: true }
        : { path: path.slice('package:'.length), namespace: 'package', sideEffects: true },
    );
    build.onResolve({ filter: /^\.\/src\/.+\.ts$/, namespace: 'package' }, ({ path }) => ({
      path: join(root, path),
      sideEffects: true,
    }));
    build.onLoad({ filter: /.*/, namespace: 'package' }, ({ path }) => {
      const [kind, name] = path.split('/');
      if (kind === '.') {
        const first = path === './src/cli/main.ts' ? "#!/usr/bin/env node\nimport 'package-files'; " : '';
        return { contents: `${first}import 'package:root'; export * from '${path}';`, resolveDir: root };
      }
      return { contents: entry(kind, name), resolveDir: root, loader: 'ts' };
    });
  },
};
