// Programs that tests need and that not every machine has. `npm test` installs them where it can (scripts/equipment.mjs).
// One skipped test, whose title says why, stands for the tests that need a missing program. In CI that test fails.
import { describe, it, type TestOptions } from 'vitest';
import { findChromium, findFirefox, findMpi, findRedis, hasWasm, isHidden } from '../scripts/equipment.mjs';

export { hasWasm };

/** The path of Firefox; undefined if it is missing. */
export const firefox = findFirefox();

const reasons = {
  WebAssembly: hasWasm ? null : 'the engine is not built to WebAssembly: npm run build:wasm, which needs Emscripten',
  Chromium: findChromium() ? null : 'Chromium is missing: apt-get install chromium, or set CHROME_PATH',
  Firefox: firefox ? null : 'Firefox is missing: apt-get install firefox-esr, or set FIREFOX_PATH',
  MPI: findMpi() ? null : 'MPI is missing: apt-get install libopenmpi-dev openmpi-bin',
  Redis: findRedis() ? null : 'Redis is missing: apt-get install redis-server',
} as const;

export type Equipment = keyof typeof reasons;

/** Why tests that need all of this cannot run, or null. */
export function reasonAgainst(...needs: readonly Equipment[]): string | null {
  return needs.map((need) => reasons[need]).find((reason) => reason !== null) ?? null;
}

/** Adds a test that says what is not tested and why: skipped, or failed in CI unless equipment is hidden on purpose. */
export function untested(what: string, reason: string): void {
  const title = `${what}: not tested, ${reason}`;
  it.skipIf(!process.env.CI || isHidden)(title, () => {
    throw new Error(title);
  });
}

type Body = () => void | Promise<void>;

/** `describe` for tests that need equipment. */
export function describeWith(needs: readonly Equipment[], name: string, body: Body): void;
export function describeWith(needs: readonly Equipment[], name: string, options: TestOptions, body: Body): void;
export function describeWith(
  needs: readonly Equipment[],
  name: string,
  options: TestOptions | Body,
  body?: Body,
): void {
  const reason = reasonAgainst(...needs);
  if (reason !== null) untested(name, reason);
  else if (typeof options === 'function') describe(name, options);
  else describe(name, options, body);
}
