import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { files, without } from './plugins/files.js';
import { isolated, sources } from './plugins/sources.js';
import { wordList } from './plugins/words.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const modelFiles = ['config.json', 'model.safetensors', 'source-tokenizer.json', 'target-tokenizer.json'];

export default defineConfig({
  root: here('.'),
  base: './',
  publicDir: false,
  resolve: { alias: sources },
  plugins: [
    files({
      ...Object.fromEntries(modelFiles.map((name) => [`model/${name}`, here(`../../models/g2p-en/${name}`)])),
      'words.tsv': wordList,
    }),
    without(/\.node$/, /\.ts$/),
  ],
  server: { headers: isolated },
  preview: { headers: isolated },
  worker: { format: 'es' },
  build: {
    outDir: here('dist'),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // the engine's worker and modules must remain files
  },
});
