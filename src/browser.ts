// The entry for browsers: the package, and an engine for bundles whose bundler leaves other files behind.
import { setBundledEngine } from './backend/wasm-modules.js';

setBundledEngine({
  isa: 'simd128',
  use: 'last',
  async load() {
    const [{ wasm, worker }, { fromBase85 }] = await Promise.all([
      import('./backend/embedded.js'),
      import('./backend/base85.js'),
    ]);
    const compile = async (text: string) => {
      const bytes = new Blob([fromBase85(text)]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
      return WebAssembly.compile(await new Response(bytes).arrayBuffer());
    };
    const compileAll = async (texts: Record<string, string>) =>
      Object.fromEntries(
        await Promise.all(Object.entries(texts).map(async ([name, text]) => [name, await compile(text)] as const)),
      );
    const { core, ...rest } = wasm;
    const [module, parts] = await Promise.all([compile(core), compileAll(rest)]);
    return { module, parts, worker };
  },
});

export * from './index.js';
