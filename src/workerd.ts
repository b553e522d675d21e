// The entry for Cloudflare's workerd, which runs no WebAssembly but what is imported.

// @ts-expect-error: TypeScript knows no modules in WebAssembly.
import module from '../wasm/dist/relaxed.wasm';
import { bringEngine } from './backend/wasm-modules.js';

bringEngine({ isa: 'relaxed', use: 'first', load: async () => ({ module }) });

export * from './index.js';
