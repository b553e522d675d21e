// The entry for Cloudflare's workerd, which runs no WebAssembly but what is imported.

// @ts-expect-error: TypeScript knows no modules in WebAssembly.
import module from '../wasm/dist/relaxed.wasm';
// @ts-expect-error
import packed from '../wasm/dist/relaxed-packed.wasm';
// @ts-expect-error
import rare from '../wasm/dist/relaxed-rare.wasm';
// @ts-expect-error
import training from '../wasm/dist/relaxed-training.wasm';
// @ts-expect-error
import bfloat16 from '../wasm/dist/simd128-bfloat16.wasm';
import { setBundledEngine } from './backend/wasm-modules.js';

setBundledEngine({
  isa: 'relaxed',
  use: 'first',
  load: async () => ({ module, parts: { packed, training, rare, bfloat16 } }),
});

export * from './index.js';
