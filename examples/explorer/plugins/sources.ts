// Settings that pages of this repository share: the package's sources, and the headers of their server.

import { fileURLToPath } from 'node:url';

const source = (path: string) => fileURLToPath(new URL(`../../../src/${path}`, import.meta.url));

/** Resolves `simdformer` and its subpaths to the sources of this repository. */
export const sources = [
  { find: /^simdformer$/, replacement: source('index.ts') },
  { find: /^simdformer\/(\w+)$/, replacement: source('$1/index.ts') },
];

/** Headers that allow shared memory. Without them the engine has only one thread. */
export const isolated = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};
