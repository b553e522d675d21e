import { expect, it } from 'vitest';
import { chromium } from '../browser/chromium.js';
import { firefox, hasWasm, untested } from '../equipment.js';

// The tests of a backend that is missing do not run at all, which nobody would notice in CI.
const wanted: [what: string, reason: string, isHere: boolean][] = [
  ['WebAssembly', 'the engine is not built: npm run build:wasm, which needs Emscripten', hasWasm],
  ['pages in Chromium', 'it is not there (CHROME_PATH; on Debian apt-get install chromium)', chromium !== undefined],
  ['pages in Firefox', 'it is not there (FIREFOX_PATH; on Debian apt-get install firefox-esr)', firefox !== undefined],
];

for (const [what, reason, isHere] of wanted) {
  if (isHere) it(`there is what ${what} is tested with`, () => expect(isHere).toBe(true));
  else untested(what, reason);
}
