import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

it('docs/families.md is what scripts/families.mjs makes', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/families.mjs', '--check'], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});
