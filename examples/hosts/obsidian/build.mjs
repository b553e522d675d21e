// Makes main.js. Obsidian installs no other file of a plugin, so the engine is text in it.
import { build } from 'esbuild';

await build({
  entryPoints: ['plugin.js'],
  outfile: 'main.js',
  bundle: true,
  minify: true,
  format: 'cjs',
  platform: 'browser',
  target: 'es2022',
  external: ['obsidian', 'electron'],
  logLevel: 'error', // CommonJS code does not know its URL. The engine in the bundle needs none.
});
