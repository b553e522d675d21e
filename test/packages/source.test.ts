// The packages beside the main one.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

it('installing the C++ sources compiles nothing; npx simdformer-source does', () => {
  execFileSync(process.execPath, ['scripts/packages.mjs']);
  const folders = ['.', ...readdirSync('build/npm').map((name) => `build/npm/${name}`)];
  const withSources = folders.filter((folder) => existsSync(`${folder}/binding.gyp`));
  expect(withSources).toContain('build/npm/simdformer-source');
  for (const folder of withSources) {
    const { gypfile, scripts = {} } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
    expect(gypfile, folder).toBe(false); // otherwise npm runs node-gyp for a package with a binding.gyp
    expect(Object.keys(scripts), folder).not.toContain('install');
  }
});
