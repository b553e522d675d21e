import { existsSync } from 'node:fs';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { chromium } from './test/browser/chromium.js';
import { filesOf, isolation } from './test/browser/server.js';

/** What runs on WebAssembly as on the addon. The rest has no device, or tests the addon itself. */
const everyBackend = ['test/{core,generate,models,nn,ops,train}/**/*.test.ts', 'test/fixtures.test.ts'];
const addonOnly = ['test/core/device.test.ts'];
/** Need a file system, which pages have not. */
const nodeOnly = ['test/models/saved.test.ts', 'test/train/checkpoint.test.ts'];

// test/backend/built.test.ts says so, and fails in CI, where the engine was not built or Chromium is missing.
const wasmBuilt = existsSync('wasm/dist/simd128.wasm');
const inBrowser = wasmBuilt && chromium !== undefined ? everyBackend : [];

/** Everything once more in a page, with threads or without. */
function page(name: string, headers: Record<string, string>): TestProjectInlineConfiguration {
  const shared = filesOf({ '/shared/': '../shared/' });
  return {
    extends: true,
    server: { headers },
    plugins: [{ name: 'shared', configureServer: ({ middlewares }) => void middlewares.use(shared) }],
    test: {
      name,
      include: inBrowser,
      exclude: [...addonOnly, ...nodeOnly],
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({ launchOptions: chromium }),
        instances: [{ browser: 'chromium' }],
      },
    },
  };
}

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
          exclude: addonOnly,
        },
      },
      page('isolated page', isolation),
      page('page', {}),
    ],
  },
});
