import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const readme = await readFile(join(root, 'README.md'), 'utf8');
const examples = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code as string);
const tsx = fileURLToPath(import.meta.resolve('tsx'));

describe("the README's examples", () => {
  it('are there', () => expect(examples.length).toBeGreaterThanOrEqual(3));

  it('have types', { timeout: 120_000 }, async () => {
    const folder = await mkdtemp(join(root, 'node_modules/.readme-'));
    try {
      const files = examples.map((_, i) => `example-${i}.mts`);
      for (const [i, file] of files.entries()) await writeFile(join(folder, file), examples[i] as string);
      await writeFile(
        join(folder, 'tsconfig.json'),
        JSON.stringify({ extends: '../../tsconfig.json', files, include: [] }),
      );
      await promisify(execFile)(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.each(examples.map((code, i) => [i + 1, code] as const))(
    'example %i runs as it is',
    async (_, code) => {
      const folder = await mkdtemp(join(root, 'node_modules/.readme-'));
      try {
        const file = join(folder, 'example.mts');
        await writeFile(
          file,
          code.replaceAll(/'simdformer(\/\w+)?'/g, (_, path = '') => JSON.stringify(join(root, `src${path}/index.ts`))),
        );
        const { stdout } = await promisify(execFile)(process.execPath, ['--import', tsx, file], { cwd: folder });
        expect(stdout).not.toBe('');
        if (code.includes('badcafe')) expect(stdout).toContain('efacdab');
      } finally {
        await rm(folder, { recursive: true });
      }
    },
    120_000,
  );
});
