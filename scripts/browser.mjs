// The package for pages without a bundler: dist/browser/index.js and its chunks, with what they depend on.
//
//   node scripts/browser.mjs [folder]    builds it, into another folder if one is given
//   node scripts/browser.mjs --size      prints what a page downloads, and fails if that is too much
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const options = {
  absWorkingDir: root,
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  keepNames: true,
};

/** Bytes, compressed, of the scripts that a page which trains and generates loads at once. */
async function scriptBytes() {
  const page = `export { createDevice, fit, Transformer } from './src/index.js';`;
  const stdin = { contents: page, resolveDir: root, loader: 'ts' };
  const { outputFiles } = await build({ ...options, stdin, write: false, outdir: '/', chunkNames: 'chunk-[hash]' });
  const byName = new Map(outputFiles.map(({ path, text }) => [path.replaceAll('\\', '/').split('/').at(-1), text]));
  const loaded = new Set(['stdin.js']);
  for (const name of loaded) {
    for (const [, chunk] of byName.get(name).matchAll(/(?:from|import)"\.\/([^"]+)"/g)) loaded.add(chunk);
  }
  return [...loaded].reduce((sum, name) => sum + gzipSync(byName.get(name), { level: 9 }).length, 0);
}

if (process.argv[2] === '--size') {
  const modules = ['simd128', 'simd128-threads', 'relaxed', 'relaxed-threads'].map((name) => `wasm/dist/${name}.wasm`);
  const sizes = modules.map((name) => [name, gzipSync(readFileSync(join(root, name)), { level: 9 }).length, 150]);
  sizes.push(['JavaScript', await scriptBytes(), 60]);
  for (const [name, bytes, limit] of sizes) {
    console.log(`${name}: ${(bytes / 1000).toFixed(1)} kB gzipped, at most ${limit}`);
    if (bytes > limit * 1000) process.exitCode = 1;
  }
} else {
  // As deep in the package as src/backend/, for the paths to wasm/ are relative to that.
  await build({
    ...options,
    entryPoints: ['src/index.ts', 'src/backend/worker.ts'],
    entryNames: '[name]',
    outdir: process.argv[2] ?? 'dist/browser',
  });
}
