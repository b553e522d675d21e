// Settings that pages of this repository share: the package's sources, and the headers of their server.

import { fileURLToPath } from 'node:url';

const source = (path: string) => fileURLToPath(new URL(`../../../src/${path}`, import.meta.url));

/** `simdformer` and its subpaths as the sources beside the examples. */
export const sources = [
  { find: /^simdformer$/, replacement: source('index.ts') },
  { find: /^simdformer\/(\w+)$/, replacement: source('$1/index.ts') },
];

/** Without these headers a page has no shared memory, and the engine one thread. */
export const isolated = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};
