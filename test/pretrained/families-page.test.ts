import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { untested } from '../equipment.js';

const hasReference = existsSync(fileURLToPath(new URL('../../../shared/reference', import.meta.url)));
if (!hasReference) untested('docs/families.md', '../shared/reference is missing');

it.runIf(hasReference)('docs/families.md is what scripts/families.mjs makes', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/families.mjs', '--check'], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});
