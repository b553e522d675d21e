import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { without } from '../explorer/plugins/files.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Without these headers a page has no shared memory, and the engine one thread. */
const isolated = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  root: here('.'),
  base: './',
  publicDir: false,
  resolve: {
    alias: [
      { find: /^simdformer$/, replacement: here('../../src/index.ts') },
      { find: /^simdformer\/(\w+)$/, replacement: here('../../src/$1/index.ts') },
    ],
  },
  plugins: [without(/\.node$/, /\.ts$/)],
  server: { headers: isolated },
  preview: { headers: isolated },
  worker: { format: 'es' },
  build: { outDir: here('dist'), emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0 },
});
