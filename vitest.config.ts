import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { hasWasm } from './scripts/equipment.mjs';
import { chromium } from './test/browser/chromium.js';
import { filesOf, isolation } from './test/browser/server.js';

/** What runs on WebAssembly as on the addon. The rest has no device, or tests the addon itself. */
const everyBackend = ['test/{core,generate,models,nn,ops,train}/**/*.test.ts', 'test/fixtures.test.ts'];
/** Other people's models: all in Node, one of each kind in pages. */
const pretrained = ['test/pretrained/{families,families-2025,switches,save}.test.ts'];
/**
 * What can differ in a page: how the engine is loaded, how it waits, how its threads start. The numbers of each op are
 * those of Node, which runs the same modules on the same compiler; some ops of each kind show it.
 */
const inPages = [
  'test/core/{autograd,program,programs-together,queue,recompute,tensor}.test.ts',
  'test/generate/{ahead,beam-search,continuous-batching,generate,meanwhile,memory,streaming,transliteration}.test.ts',
  'test/models/{decoding,fixtures,recorded-training,transformer,transliteration}.test.ts',
  'test/nn/{modules,packed-weight}.test.ts',
  'test/ops/{attention-decode,embedding,limits,matmul,softmax}.test.ts',
  'test/train/{batches,fit,streams}.test.ts',
  'test/fixtures.test.ts',
  'test/pretrained/families.test.ts',
];
/** Without threads there is less that can: of each folder what uses most of it. */
const inPlainPages = [
  'test/core/{program,queue}.test.ts',
  'test/generate/{generate,streaming}.test.ts',
  'test/models/{transformer,transliteration}.test.ts',
  'test/ops/{attention-decode,matmul}.test.ts',
  'test/train/fit.test.ts',
  'test/pretrained/families.test.ts',
];
const addonOnly = ['test/core/device.test.ts'];
/** Of what no backend has part in: options, refusals before anything is queued, and plans. */
const anyBackend = [
  'test/core/{check-options,kinds,random}.test.ts',
  'test/ops/arguments.test.ts',
  'test/train/{refusals,schedule}.test.ts',
];

// test/backend/built.test.ts says if the engine was not built or Chromium is missing, and fails in CI.
/** Node had relaxed SIMD behind a flag, which later versions do not know. */
const relaxed = Number.parseInt(process.versions.node, 10) < 22 ? ['--experimental-wasm-relaxed-simd'] : [];
/** In pages alone, and when nothing else keeps the machine busy: they look at how smoothly a page runs. */
const pageOnly = ['test/browser/*.page.test.ts'];
/** Of a page in which models learn while a person clicks: one at a time, after the others. */
const explorer = ['test/explorer/*.test.ts'];
const hasPages = hasWasm && chromium !== undefined;

/** Tests in a page, which has threads if the headers isolate it. Projects of a higher order run after the others. */
function page(
  name: string,
  headers: Record<string, string>,
  include: string[],
  groupOrder: number,
): TestProjectInlineConfiguration {
  const data = filesOf({ '/test/data/': 'test/data/' });
  return {
    extends: true,
    server: { headers },
    plugins: [{ name: 'test-data', configureServer: ({ middlewares }) => void middlewares.use(data) }],
    test: {
      name,
      include: hasPages ? include : [],
      sequence: { groupOrder },
      browser: {
        enabled: true,
        headless: true,
        fileParallelism: false, // beside the tests in Node, which keep the processors busy
        screenshotFailures: false,
        provider: playwright({ ...(chromium && { launchOptions: chromium }) }),
        instances: [{ browser: 'chromium' }],
      },
    },
  };
}

export default defineConfig({
  test: {
    reporters: ['default', './test/reporter.ts'],
    maxWorkers: '100%',
    setupFiles: 'test/equality.ts',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    server: { deps: { external: [/\/build\//] } }, // what was bundled is loaded as it is
    projects: [
      {
        extends: true,
        test: {
          name: 'native',
          globalSetup: 'test/bundle.mjs',
          include: ['test/**/*.test.ts'],
          exclude: [...pageOnly, ...explorer],
        },
      },
      {
        extends: true,
        test: {
          name: 'wasm',
          env: { SIMDFORMER_BACKEND: 'wasm' },
          include: hasWasm ? everyBackend : [],
          exclude: [...addonOnly, ...anyBackend],
        },
      },
      {
        extends: true,
        test: {
          name: 'wasm, pretrained',
          env: { SIMDFORMER_BACKEND: 'wasm' },
          execArgv: relaxed,
          include: hasWasm ? pretrained : [],
        },
      },
      page('isolated page', isolation, inPages, 0),
      page('page', {}, inPlainPages, 0),
      page('isolated page, alone', isolation, pageOnly, 1),
      page('page, alone', {}, pageOnly, 2),
      {
        extends: true,
        // Two browsers act and draw in their own time; what fails once is told, what fails thrice fails.
        test: {
          name: 'explorer',
          include: hasPages ? explorer : [],
          retry: 2,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
