import { defineConfig } from 'vitest/config';

/** Tests of the documentation site, which `npm run docs` builds before: see `npm run check:docs`. */
export default defineConfig({
  test: { name: 'site', include: ['test/site/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 },
});
