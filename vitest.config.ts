import { existsSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

/** What runs on WebAssembly as on the addon. The rest has no device, or tests the addon itself. */
const everyBackend = ['test/{core,generate,models,nn,ops,train}/**/*.test.ts', 'test/fixtures.test.ts'];

// test/backend/built.test.ts says so, and fails in CI, where the engine was not built.
const wasmBuilt = existsSync('wasm/dist/simd128.wasm');

export default defineConfig({
  test: {
    reporters: ['default', './test/reporter.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    server: { deps: { external: [/\/build\//] } }, // what was bundled is loaded as it is
    projects: [
      { extends: true, test: { name: 'native', include: ['test/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'wasm',
          env: { SIMDFORMER_BACKEND: 'wasm' },
          include: wasmBuilt ? everyBackend : [],
          exclude: ['test/core/device.test.ts'],
        },
      },
    ],
  },
});
