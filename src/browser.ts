// The entry for browsers: the package, and an engine for bundles whose bundler leaves other files behind.
import { bringEngine } from './backend/wasm-modules.js';

bringEngine({
  isa: 'simd128',
  use: 'last',
  async load() {
    const { wasm, worker } = await import('./backend/embedded.js');
    const deflated = Uint8Array.from(atob(wasm), (character) => character.charCodeAt(0));
    const bytes = new Blob([deflated]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
    return { module: await WebAssembly.compile(await new Response(bytes).arrayBuffer()), worker };
  },
});

export * from './index.js';
