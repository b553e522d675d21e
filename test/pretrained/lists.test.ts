import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import { families, familyOfGguf } from '../../src/models/registry.js';
import { taskNames } from '../../src/tasks/registry.js';

it('docs/families.md equals the output of scripts/families.mjs', () => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/families.mjs', '--check'], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

it('docs/models.md equals the output of scripts/models-page.mjs', () => {
  const run = ['--import', 'tsx', 'scripts/models-page.mjs', '--check'];
  const { status, stderr } = spawnSync(process.execPath, run, { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

it('docs/gguf.md lists all architectures that are read', async () => {
  const error: unknown = await familyOfGguf('unknown').catch((reason: unknown) => reason);
  const expected = String(error).split('expected one of ')[1]?.split(', ');
  const row = /^\| architectures \| (.*) \|$/m.exec(readFileSync('docs/gguf.md', 'utf8'))?.[1];
  const listed = row?.replaceAll(/ \([^)]*\)/g, '').split(', ');
  expect(listed?.toSorted()).toEqual(expected?.toSorted());
});

it.each([
  ['families', Object.keys(families)],
  ['tasks', taskNames],
])('the registry of %s is sorted', (_, names) => {
  expect(names).toEqual(names.toSorted());
});

it('docs/packed-weights.md lists all formats of blocks', async () => {
  using device = await createDevice({ threads: 1 });
  const listed = /blocks are:\n`([^`]+)`/.exec(readFileSync('docs/packed-weights.md', 'utf8'))?.[1]?.split(' ');
  expect(listed?.toSorted()).toEqual([...device.formats.keys()].filter((name) => name !== 'int8').toSorted());
});
