// Makes of a tree what is measured of it: its package in plain JavaScript, bundled as the published one is, in .cache/against-package.
// Modules that tsx loads cost small models up to a tenth of their time. Users do not pay that.
//
//   node bench/against/bundle.mjs <tree> <entry>=<file> …
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
