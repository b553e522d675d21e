// What not every machine has to test with, and how to say so: `npm test` brings it where it can (scripts/equipment.mjs).
import { existsSync } from 'node:fs';
import { it } from 'vitest';

/** Whether the engine has been compiled to WebAssembly. */
export const hasWasm = existsSync('wasm/dist/simd128.wasm');

/** The program of Firefox: FIREFOX_PATH, or where Debian and others put it. */
export const firefox = [process.env.FIREFOX_PATH, '/usr/bin/firefox-esr', '/usr/bin/firefox'].find(
  (path) => path && existsSync(path),
);

/** Says what cannot be tested here and why; in CI that is a failure. */
export function untested(what: string, reason: string): void {
  const title = `${what}: NOT TESTED, ${reason}`;
  console.warn(`WARNING: ${title}`);
  it.skipIf(!process.env.CI)(title, () => {
    throw new Error(title);
  });
}
