import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { chromium } from '../browser/chromium.js';

// The tests of a backend that is missing do not run at all, which nobody would notice in CI.
const wanted = {
  'the WebAssembly engine (npm run build:wasm)': existsSync('wasm/dist/simd128.wasm'),
  'Chromium (apt-get install chromium, or CHROME_PATH)': chromium !== undefined,
};

for (const [name, there] of Object.entries(wanted)) {
  if (!there) console.warn(`WARNING: NOT TESTED, as it is missing: ${name}`);
  it.skipIf(!there && !process.env.CI)(`${name} is there to be tested with`, () => expect(there).toBe(true));
}
