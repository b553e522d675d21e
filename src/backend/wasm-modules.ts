// Which of the modules in wasm/dist this runtime can run, and how it gets them.

import type { WasmOptions } from './backend.js';
import { ArgumentError, DeviceError } from './errors.js';
import { isNode, nodeModule } from './node.js';
import type { WasmEngine } from './wasm-engine.js';
import { threadsHere, warnOnce } from './wasm-threads.js';

type WasmIsa = 'simd128' | 'relaxed';

/** An engine without threads that is part of the code. */
interface BundledEngine {
  readonly isa: WasmIsa;
  /** Before anything is fetched, or when that failed. */
  readonly use: 'first' | 'last';
  load(): Promise<Pick<WasmEngine, 'module' | 'worker'>>;
}

/** True if WebAssembly has these instructions: validates a module with one function, of type () → v128, that uses them. */
function validates(...instructions: number[]): boolean | undefined {
  const body = [0, ...instructions, 0x0b]; // no locals … end
  const type = [1, 5, 1, 0x60, 0, 1, 0x7b];
  const code = [10, body.length + 2, 1, body.length, ...body];
  return globalThis.WebAssembly?.validate(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...type, 3, 2, 1, 0, ...code));
}

const i32Const0 = [0x41, 0];
const i8x16Splat = [0xfd, 0x0f];
const zero = [...i32Const0, ...i8x16Splat];
const f32x4RelaxedMadd = [0xfd, 0x85, 0x02];

/** The instruction sets that this runtime has, best first. */
export const wasmIsas: readonly WasmIsa[] = [
  ...(validates(...zero, ...zero, ...zero, ...f32x4RelaxedMadd) ? ['relaxed' as const] : []),
  ...(validates(...zero) ? ['simd128' as const] : []),
];

type ModuleName = WasmIsa | `${WasmIsa}-threads`;

/**
 * Written out, because bundlers look for the literal form. src/backend/, dist/backend/ and dist/node/ are equally deep.
 */
const urls: Record<ModuleName, () => URL> = {
  simd128: () => new URL('../../wasm/dist/simd128.wasm', import.meta.url),
  'simd128-threads': () => new URL('../../wasm/dist/simd128-threads.wasm', import.meta.url),
  relaxed: () => new URL('../../wasm/dist/relaxed.wasm', import.meta.url),
  'relaxed-threads': () => new URL('../../wasm/dist/relaxed-threads.wasm', import.meta.url),
};

/** Set by the imported entry: src/browser.ts or src/workerd.ts. */
let bundled: BundledEngine | null = null;

export function bringEngine(engine: BundledEngine): void {
  bundled = engine;
}

/**
 * Finds and compiles what the options ask for. Throws DeviceError if the runtime has not got it or it does not load.
 */
export async function wasmEngine(options: WasmOptions): Promise<WasmEngine> {
  const { threads, wasmUrl, isa = wasmIsas[0] } = options;
  if (!wasmIsas.includes(isa as WasmIsa)) {
    const have = wasmIsas.join(' ') || 'none: it has no WebAssembly with SIMD';
    const asked = isa === undefined ? '' : `isa is '${isa}', but `;
    throw new DeviceError(`createDevice: ${asked}this runtime has these instruction sets: ${have}`);
  }
  const count = await threadsHere(threads);
  if (bundled?.use === 'first') {
    if ((options.isa ?? bundled.isa) === bundled.isa) return { ...(await bundled.load()), threads: 1 };
    throw new DeviceError(`createDevice: isa is '${isa}', but here is only the engine of '${bundled.isa}'`);
  }
  const name = (count > 1 ? `${isa}-threads` : isa) as ModuleName;
  if (wasmUrl !== undefined) {
    const folder = await folderUrl(wasmUrl);
    return { module: await wasmModule(new URL(`${name}.wasm`, folder)), threads: count, folder };
  }
  try {
    return { module: await wasmModule(packaged(name)), threads: count };
  } catch (error) {
    if (bundled === null) {
      throw new DeviceError(
        `${(error as Error).message}. In a bundle, leave simdformer out (external), or copy its files from ` +
          "node_modules/simdformer/wasm/dist/ to a folder, and name it: createDevice({ wasmUrl: '/folder/' })",
        { cause: error },
      );
    }
    if ((options.isa ?? bundled.isa) !== bundled.isa) throw error;
    const engine = await bundled.load().catch(() => {
      throw error; // other errors need a repair, such as a policy that forbids WebAssembly
    });
    warnOnce(
      'with a plain copy of its engine, on one thread',
      `the bundler left the files of the best one behind (${(error as Error).message}). Copy ` +
        'them from node_modules/simdformer/wasm/dist/ to a folder of your site, and name it: ' +
        "createDevice({ wasmUrl: '/folder/' })",
    );
    return { ...engine, threads: 1 };
  }
}

/** The URL of a module, in the bundle or in the package. */
function packaged(name: ModuleName): URL {
  try {
    return urls[name]();
  } catch (cause) {
    throw new DeviceError('the WebAssembly engine cannot be found: the code does not know its own URL', { cause });
  }
}

async function folderUrl(folder: string | URL): Promise<string> {
  const base = isNode
    ? (await nodeModule<typeof import('node:url')>('url')).pathToFileURL(`${process.cwd()}/`).href
    : (globalThis.document?.baseURI ?? globalThis.location?.href);
  try {
    const { href } = new URL(folder, base);
    return href.endsWith('/') ? href : `${href}/`;
  } catch (cause) {
    throw new ArgumentError(`createDevice: wasmUrl is '${folder}', expected a URL`, { cause });
  }
}

const compiled = new Map<string, Promise<WebAssembly.Module>>();

/** The compiled module, which devices share. */
function wasmModule(url: URL): Promise<WebAssembly.Module> {
  const known = compiled.get(url.href);
  if (known !== undefined) return known;
  const module = compile(url).catch((error) => {
    compiled.delete(url.href);
    throw new DeviceError(`the WebAssembly engine did not load from ${url}: ${error.message}`, { cause: error });
  });
  compiled.set(url.href, module);
  return module;
}

async function compile(url: URL): Promise<WebAssembly.Module> {
  if (url.protocol === 'file:' && isNode) {
    // Not readFile(), which would start threads for that.
    const { readFileSync } = await nodeModule<typeof import('node:fs')>('fs');
    return WebAssembly.compile(readFileSync(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  const type = response.headers.get('content-type');
  if (type === 'application/wasm') return WebAssembly.compileStreaming(response);
  // Small static servers often do not send the type that streaming needs; others send a page for what they have not
  // got.
  if (type?.startsWith('text/html')) throw new Error('the server sent a page, text/html');
  return WebAssembly.compile(await response.arrayBuffer());
}
