// Which of the modules in wasm/dist this runtime can run, and how it gets them.
import { DeviceError } from '../core/errors.js';
import { nodeModule } from './node.js';

export type WasmIsa = 'simd128' | 'relaxed';

/** A module whose one function, of type () → v128, has these instructions. */
function validates(...instructions: number[]): boolean {
  const body = [0, ...instructions, 0x0b]; // no locals … end
  const type = [1, 5, 1, 0x60, 0, 1, 0x7b];
  const code = [10, body.length + 2, 1, body.length, ...body];
  return WebAssembly.validate(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...type, 3, 2, 1, 0, ...code));
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

/** Written out, because bundlers look for the literal form. src/backend/ and dist/backend/ are equally deep. */
const urls: Record<ModuleName, () => URL> = {
  simd128: () => new URL('../../wasm/dist/simd128.wasm', import.meta.url),
  'simd128-threads': () => new URL('../../wasm/dist/simd128-threads.wasm', import.meta.url),
  relaxed: () => new URL('../../wasm/dist/relaxed.wasm', import.meta.url),
  'relaxed-threads': () => new URL('../../wasm/dist/relaxed-threads.wasm', import.meta.url),
};

const compiled = new Map<ModuleName, Promise<WebAssembly.Module>>();

/** The compiled module, which devices share. */
export function wasmModule(isa: WasmIsa, threads: boolean): Promise<WebAssembly.Module> {
  const name: ModuleName = threads ? `${isa}-threads` : isa;
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const url = urls[name]();
  const module = compile(url).catch((error) => {
    compiled.delete(name);
    throw new DeviceError(`the WebAssembly engine did not load from ${url}: ${error.message}`, { cause: error });
  });
  compiled.set(name, module);
  return module;
}

async function compile(url: URL): Promise<WebAssembly.Module> {
  if (url.protocol === 'file:') {
    const { readFile } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
    return WebAssembly.compile(await readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  // Streaming needs the right content type, which small static servers often do not send.
  return response.headers.get('content-type') === 'application/wasm'
    ? WebAssembly.compileStreaming(response)
    : WebAssembly.compile(await response.arrayBuffer());
}
