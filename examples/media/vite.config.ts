import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { without } from '../explorer/plugins/files.js';
import { isolated, sources } from '../explorer/plugins/sources.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here('.'),
  base: './',
  resolve: { alias: sources },
  plugins: [without(/\.node$/, /\.ts$/)],
  server: { headers: isolated },
  preview: { headers: isolated },
  worker: { format: 'es' },
  build: {
    outDir: here('dist'),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    rollupOptions: { input: ['captions', 'photos', 'cut-out'].map((page) => here(`${page}.html`)) },
  },
});
