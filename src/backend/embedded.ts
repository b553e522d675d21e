// Files of the package as text, for bundles that must not need other files. scripts/bundle.mjs fills them in.

/** The module simd128.wasm (`core`) and its parts by name, deflated and encoded as base 85. */
export const wasm: Record<string, string> & { core: string } = { core: '' };
export const worker: string = '';
