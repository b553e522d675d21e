// What Node loads, after tsc has made dist/: the package and the command line, each in a few files instead of some two
// hundred, most of them d3's, that Node would look for one by one. That was three quarters of the time from import to the
// first result (`npm run bench -- start`).
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { forNode } from './bundle.mjs';
import { licenses } from './licenses.mjs';
import { entryPoints, packageEntries } from './subpaths.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
for (const folder of ['dist/node', 'dist/cli', 'dist/addon'])
  rmSync(join(root, folder), { recursive: true, force: true });
// Outputs of deleted modules must not be published. They are removed after tsc, so that dist/ is never empty.
for (const file of readdirSync(join(root, 'dist'), { recursive: true })) {
  const module = /^(?!browser[\\/])(.*?)(\.page)?(\.d\.ts|\.js)$/.exec(file)?.[1];
  if (module !== undefined && !existsSync(join(root, 'src', `${module}.ts`))) rmSync(join(root, 'dist', file));
}

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
  plugins: [...forNode.plugins, packageEntries('index.ts')],
  metafile: true,
});
writeFileSync(join(root, 'dist/node/LICENSES.txt'), licenses(metafile, root));

// Who has no prebuilt addon compiles it here, where it is installed: of a binding.gyp in the package's root pnpm 9 and
// Yarn 1 would do so by themselves, and fail without a compiler.
const binding = readFileSync(join(root, 'binding.gyp'), 'utf8').replace(/\bnative\b/g, '../../native');
mkdirSync(join(root, 'dist/addon'), { recursive: true });
writeFileSync(join(root, 'dist/addon/binding.gyp'), binding);
