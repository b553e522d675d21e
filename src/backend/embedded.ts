// Files of the package as text, for bundles that are to need no others. scripts/bundle.mjs fills them into the build.

/** simd128.wasm and its parts, by the names of these, as base64 of their deflated bytes. */
export const wasm: Record<string, string> & { core: string } = { core: '' };
export const worker: string = '';
