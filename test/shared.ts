// Data that several repositories test with lies in `shared`, beside this one. Where it is missing, tests that need it are
// skipped, and say so.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';

/** Describes tests that read ../shared/`path`, whose absolute path `body` gets. */
export function describeShared(name: string, path: string, body: (path: string) => void): void {
  const found = fileURLToPath(new URL(`../../shared/${path}`, import.meta.url));
  if (existsSync(found)) {
    describe(name, () => body(found));
    return;
  }
  console.warn(`WARNING: ${name}: NOT TESTED, ${found} is missing`);
  it.skip(`${name}: not tested, ${found} is missing`, () => {});
}
