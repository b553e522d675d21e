// The projects of vitest.config.ts that run through WebAssembly and in pages are empty if their equipment is missing.
// These tests say so, and fail in CI.
import { expect, it } from 'vitest';
import { type Equipment, reasonAgainst, untested } from '../equipment.js';

for (const what of ['WebAssembly', 'Chromium'] satisfies Equipment[]) {
  const reason = reasonAgainst(what);
  if (reason === null) it(`${what} is tested`, () => expect(reason).toBeNull());
  else untested(`projects that need ${what}`, reason);
}
