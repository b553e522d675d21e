// Files of the package as text, for bundles that are to need no others. scripts/browser.mjs fills them into the build.

/** simd128.wasm, as base64 of its deflated bytes. */
export const wasm: string = '';
export const worker: string = '';
