import { availableParallelism } from 'node:os';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { sources } from './examples/explorer/plugins/sources.js';
import { hasWasm } from './scripts/equipment.mjs';
import { chromium } from './test/browser/chromium.js';
import { filesOf, isolation } from './test/browser/server.js';

/** Tests that run on WebAssembly as on the addon. The rest use no device, or test the addon itself. */
const everyBackend = ['test/{core,generate,models,nn,ops,train}/**/*.test.ts', 'test/fixtures.test.ts'];
/** Pretrained models: all of them in Node, one of each kind in pages. */
const pretrained = [
  'test/pretrained/{families,predictor,save,variants}.test.ts',
  'test/pretrained/{quantized,onnx,torch-checkpoints,torch-adapters,gguf-types}.test.ts',
  'test/retrieval/{dense,sparse,late-interaction,modules,rank,precision}.test.ts',
];
/**
 * Tests of parts that can differ in a page: loading the engine, waiting, and starting threads. Each op gives the same
 * numbers as in Node, which compiles the same modules with the same compiler. A few ops of each kind check that.
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
/** Fewer parts can differ without threads: from each folder a short test that uses much of it. */
const inPlainPages = [
  'test/core/{program,queue}.test.ts',
  'test/generate/{generate,streaming}.test.ts',
  'test/models/{decoding,transliteration}.test.ts',
  'test/ops/{attention-decode,softmax}.test.ts',
  'test/train/fit.test.ts',
  'test/pretrained/families.test.ts',
];
const addonOnly = ['test/core/device.test.ts'];
/** Tests that use no backend: options, refusals before anything is queued, and plans. */
const anyBackend = [
  'test/core/{check-options,kinds,parse-json,random}.test.ts',
  'test/ops/arguments.test.ts',
  'test/train/{refusals,schedule}.test.ts',
];

// test/backend/built.test.ts says if the engine was not built or Chromium is missing, and fails in CI.
/** Node 20 has relaxed SIMD behind a flag, which later versions do not know. */
const relaxed = Number.parseInt(process.versions.node, 10) < 22 ? ['--experimental-wasm-relaxed-simd'] : [];
/** Tests that run only in pages, and alone, because they check how smoothly a page runs. */
const pageOnly = ['test/browser/*.page.test.ts'];
/** The documentation site has a configuration of its own: vitest.site.config.ts. */
const site = ['test/site/*.test.ts'];
/** Tests of a page in which models learn while a person clicks. They run after the others. */
const explorer = ['test/explorer/*.test.ts'];
const hasPages = hasWasm && chromium !== undefined;

/**
 * A project of tests in a page. The page has threads if the headers isolate it. Projects of a higher order run later.
 */
function page(
  name: string,
  headers: Record<string, string>,
  include: string[],
  groupOrder: number,
): TestProjectInlineConfiguration {
  const models = process.env.SIMDFORMER_MODELS || '.cache/models'; // same default as in test/real-models.ts
  const data = filesOf({ '/test/data/': 'test/data/', '/models/': `${models}/` });
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
        fileParallelism: false, // the tests in Node keep the processors busy at the same time
        screenshotFailures: false,
        provider: playwright({ ...(chromium && { launchOptions: chromium }) }),
        instances: [{ browser: 'chromium' }],
      },
    },
  };
}

/** Runs the files of a project one after the other, so that they can share processes. */
class ByProject extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).sort((a, b) => a.project.name.localeCompare(b.project.name));
  }
}

export default defineConfig({
  test: {
    reporters: ['default', './test/reporter.ts'],
    maxWorkers: '100%',
    setupFiles: 'test/set-up.ts',
    testTimeout: 180_000, // only stops tests that hang: machines can be slow or busy
    hookTimeout: 180_000, // hooks build pages and packages
    server: { deps: { external: [/\/build\//] } }, // bundles are loaded unchanged
    // Files of one project share a process, which imports src/ once. They leave no changed globals or environment behind.
    isolate: false,
    sequence: { sequencer: ByProject },
    projects: [
      {
        extends: true,
        test: {
          name: 'native',
          globalSetup: ['test/bundle.mjs', 'test/early-builds.ts'],
          include: ['test/**/*.test.ts'],
          exclude: [...pageOnly, ...explorer, ...site, 'test/hosts/*'],
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
        resolve: { alias: sources }, // for functions of the pages that tests call in Node
        test: {
          name: 'explorer',
          include: hasPages ? explorer : [],
          retry: 2, // browsers act and draw in their own time
          sequence: { groupOrder: 3 },
          maxWorkers: availableParallelism() + 1, // these tests wait for pages nearly half of their time
        },
      },
    ],
  },
});
