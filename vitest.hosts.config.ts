import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(`src/${path}`, import.meta.url));

/** Tests with large frameworks, which they install at the first run: see `npm run check:hosts`. */
export default defineConfig({
  resolve: {
    alias: [
      { find: /^simdformer\/(.*)$/, replacement: `${source('')}$1/index.ts` },
      { find: /^simdformer$/, replacement: source('index.ts') },
    ],
  },
  test: { name: 'hosts', include: ['test/hosts/*.test.ts'], testTimeout: 120_000, hookTimeout: 600_000 },
});
