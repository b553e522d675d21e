// Adapters use our public API only, so anyone can write another one. Only the check of their options is the package's own.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const FOLDERS = ['frameworks', 'ai-sdk', 'langchain', 'mcp'];

it.each(FOLDERS)('src/%s imports only entry points of the package', (folder) => {
  const files = readdirSync(join('src', folder)).filter((name) => name.endsWith('.ts'));
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const text = readFileSync(join('src', folder, file), 'utf8');
    const ours = Array.from(text.matchAll(/from '(\.[^']+)'/g), ([, path]) => path as string);
    const isPublic = (path: string) => /^\.\.\/([a-z-]+\/)?index\.js$/.test(path);
    const isOwn = (path: string) => /^(\.\/|\.\.\/(frameworks\/|core\/check\.js$))/.test(path);
    expect(ours.filter((path) => !isPublic(path) && !isOwn(path))).toEqual([]);
  }
});
