// The entry for browsers: the package, and an engine for bundles whose bundler leaves other files behind.
import { bringEngine } from './backend/wasm-modules.js';

bringEngine({
  isa: 'simd128',
  use: 'last',
  async load() {
    const { wasm, worker } = await import('./backend/embedded.js');
    const compile = async (text: string) => {
      const deflated = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      const bytes = new Blob([deflated]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
      return WebAssembly.compile(await new Response(bytes).arrayBuffer());
    };
    const names = Object.keys(wasm);
    const modules = await Promise.all(names.map((name) => compile(wasm[name] as string)));
    const parts = Object.fromEntries(names.map((name, i) => [name, modules[i] as WebAssembly.Module]));
    return { module: parts['core'] as WebAssembly.Module, parts, worker };
  },
});

export * from './index.js';
