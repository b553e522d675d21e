// What Node loads, after tsc has made dist/: the package and the command line, each in a few files instead of some two
// hundred, most of them d3's, that Node would look for one by one. That was three quarters of the time from import to the
// first result (`npm run bench -- start`).
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { licenses } from './licenses.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
for (const folder of ['dist/node', 'dist/cli']) rmSync(join(root, folder), { recursive: true, force: true });

const { metafile } = await build({
  absWorkingDir: root,
  // As deep in the package as src/backend/ and src/cli/, for the paths to build/, wasm/ and models/ are relative to that.
  entryPoints: { 'node/index': 'src/index.ts', 'cli/main': 'src/cli/main.ts' },
  chunkNames: 'node/[name]-[hash]',
  outdir: 'dist',
  bundle: true,
  splitting: true,
  // One file each, or loaded only when used.
  external: ['@huggingface/tokenizers', 'cli-progress', 'cmu-pronouncing-dictionary', 'commander'],
  format: 'esm',
  platform: 'node',
  target: 'node20',
  metafile: true,
});
writeFileSync(join(root, 'dist/node/LICENSES.txt'), licenses(metafile, root));
