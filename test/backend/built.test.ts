import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';

const built = existsSync('wasm/dist/simd128.wasm');
if (!built) console.warn('WARNING: NOT TESTED on WebAssembly: its engine was not built (npm run build:wasm)');

// The tests of a backend that is missing do not run at all, which nobody would notice in CI.
it.skipIf(!built && !process.env.CI)('the WebAssembly engine is there to be tested', () => expect(built).toBe(true));
