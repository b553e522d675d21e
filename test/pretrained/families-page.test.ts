import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

it('docs/families.md equals the output of scripts/families.mjs', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/families.mjs', '--check'], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

it('docs/models.md equals the output of scripts/models-page.mjs', () => {
  const run = ['--import', 'tsx', 'scripts/models-page.mjs', '--check'];
  const { status, stderr } = spawnSync(process.execPath, run, { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
}, 60_000);
