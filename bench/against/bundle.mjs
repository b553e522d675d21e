// Bundles the package of a tree to plain JavaScript, as it is published, in .cache/against-package. This bundle is
// measured. Modules loaded by tsx would cost small models up to a tenth of their time, which users do not pay.
//
// node bench/against/bundle.mjs <tree> <entry>=<file> …
import { build } from 'esbuild';
import { forNode } from '../../scripts/bundle.mjs';

const [tree, ...entries] = process.argv.slice(2);
await build({
  ...forNode,
  absWorkingDir: tree,
  entryPoints: Object.fromEntries(entries.map((entry) => entry.split('='))),
  outdir: '.cache/against-package', // same depth as src/backend, because paths to build/ and wasm/ are relative
  outExtension: { '.js': '.mjs' },
});
