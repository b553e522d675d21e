// Finds the modules of wasm/dist that this runtime can run, and their URLs.

import type { WasmEngineOptions } from './backend.js';
import { ArgumentError, DeviceError } from './errors.js';
import { isNode, nodeModule } from './node.js';
import type { WasmEngine } from './wasm-engine.js';
import { moduleOf } from './wasm-load.js';
import { threadsHere, warnOnce } from './wasm-threads.js';

type WasmIsa = 'simd128' | 'relaxed';

/** An engine without threads that is part of the code. */
interface BundledEngine {
  readonly isa: WasmIsa;
  /** 'first': used instead of fetching a module. 'last': used if fetching failed. */
  readonly use: 'first' | 'last';
  load(): Promise<Pick<WasmEngine, 'module' | 'parts' | 'worker'>>;
}

/**
 * True if WebAssembly supports these instructions. It validates a module with one function of type () → v128 that uses
 * them.
 */
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

/** The instruction sets that this runtime supports, best first. */
export const wasmIsas: readonly WasmIsa[] = [
  ...(validates(...zero, ...zero, ...zero, ...f32x4RelaxedMadd) ? ['relaxed' as const] : []),
  ...(validates(...zero) ? ['simd128' as const] : []),
];

/**
 * Names of the modules for an instruction set: the core, and the kernels for packed weights, training, rare models and
 * bfloat16. Products of bfloat16 have the same bits with both sets, which share that file.
 */
const filesOf = (isa: WasmIsa) => [isa, `${isa}-packed`, `${isa}-training`, `${isa}-rare`, 'simd128-bfloat16'];

/**
 * Written out, because bundlers look for the literal form. src/backend/ and dist/chunks/ are equally deep.
 * In the order of `filesOf`.
 */
const urls: Record<WasmIsa, () => readonly URL[]> = {
  simd128: () => [
    new URL('../../wasm/dist/simd128.wasm', import.meta.url),
    new URL('../../wasm/dist/simd128-packed.wasm', import.meta.url),
    new URL('../../wasm/dist/simd128-training.wasm', import.meta.url),
    new URL('../../wasm/dist/simd128-rare.wasm', import.meta.url),
    new URL('../../wasm/dist/simd128-bfloat16.wasm', import.meta.url),
  ],
  relaxed: () => [
    new URL('../../wasm/dist/relaxed.wasm', import.meta.url),
    new URL('../../wasm/dist/relaxed-packed.wasm', import.meta.url),
    new URL('../../wasm/dist/relaxed-training.wasm', import.meta.url),
    new URL('../../wasm/dist/relaxed-rare.wasm', import.meta.url),
    new URL('../../wasm/dist/simd128-bfloat16.wasm', import.meta.url),
  ],
};

/** Set by the imported entry: src/browser.ts or src/workerd.ts. */
let bundled: BundledEngine | null = null;

export function setBundledEngine(engine: BundledEngine): void {
  bundled = engine;
}

/**
 * Finds and compiles the module that the options require. Throws DeviceError if the runtime does not support it or it
 * does not load.
 */
export async function wasmEngine(options: WasmEngineOptions): Promise<WasmEngine> {
  const { threads, wasmUrl, isa = wasmIsas[0] } = options;
  if (!wasmIsas.includes(isa as WasmIsa)) {
    const have = wasmIsas.join(' ') || 'none: it has no WebAssembly with SIMD';
    const prefix = isa === undefined ? '' : `isa is '${isa}', but `;
    throw new DeviceError(`createDevice: ${prefix}this runtime has these instruction sets: ${have}`);
  }
  const count = await threadsHere(threads);
  if (bundled?.use === 'first') {
    if ((options.isa ?? bundled.isa) === bundled.isa) return { ...(await bundled.load()), threads: 1 };
    throw new DeviceError(`createDevice: isa is '${isa}', but this bundle has only the engine for '${bundled.isa}'`);
  }
  if (wasmUrl !== undefined) {
    const folder = await folderUrl(wasmUrl);
    return {
      ...(await engineAt(
        filesOf(isa as WasmIsa).map((name) => new URL(`${name}.wasm`, folder)),
        count,
      )),
      folder,
    };
  }
  try {
    return await engineAt(packaged(isa as WasmIsa), count);
  } catch (error) {
    if (bundled === null) {
      throw new DeviceError(
        `${(error as Error).message}. In a bundle, leave simdformer out (external), or copy its files from ` +
          "node_modules/simdformer/wasm/dist/ to a folder and pass its URL: createDevice({ wasmUrl: '/folder/' })",
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
        'them from node_modules/simdformer/wasm/dist/ to a folder, and pass its URL: ' +
        "createDevice({ wasmUrl: '/folder/' })",
    );
    return { ...engine, threads: 1 };
  }
}

/** Makes the engine from the URLs of these files, in the order of `filesOf`. Only the first is loaded now. */
async function engineAt(files: readonly URL[], threads: number): Promise<WasmEngine> {
  const [core = '', packed = '', training = '', rare = '', bfloat16 = ''] = files.map(({ href }) => href);
  return { module: await moduleOf(core, threads > 1), threads, parts: { packed, training, rare, bfloat16 } };
}

/** Returns the URLs of an instruction set's modules, in the bundle or in the package. */
function packaged(isa: WasmIsa): readonly URL[] {
  try {
    return urls[isa]();
  } catch (cause) {
    throw new DeviceError(
      'the WebAssembly engine is not found, because this code has no URL; pass wasmUrl to createDevice',
      { cause },
    );
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
