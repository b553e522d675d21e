import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { docExamples } from './doc-examples.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const examples = docExamples(root);

const formatHost = { getCanonicalFileName: (name: string) => name, getNewLine: () => '\n' };

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(root, 'node_modules/.docs-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('the examples of README.md and docs/', () => {
  it('exist', () => expect(examples.length).toBeGreaterThanOrEqual(20));

  // Settings of a user's project: strict, and nothing else.
  const usual = { strict: true, exactOptionalPropertyTypes: false, noUncheckedIndexedAccess: false };

  it.each([
    ['nodenext', { module: 'nodenext' }],
    ['bundler', { module: 'esnext', moduleResolution: 'bundler' }],
  ])('compile under strict, with the module resolution %s', { timeout: 300_000 }, (_, modules) =>
    inFolder(async (folder) => {
      const files = examples.map(({ name }) => `${name}.mts`);
      for (const [i, { code }] of examples.entries()) await writeFile(join(folder, files[i] as string), code);
      const compilerOptions = { ...usual, noImplicitReturns: false, ...modules };
      const config = { extends: '../../tsconfig.json', compilerOptions, files, include: [] };
      const { options, fileNames, errors } = ts.parseJsonConfigFileContent(config, ts.sys, folder);
      expect(errors).toEqual([]);
      // The examples alone are checked. `npm run lint` checks the sources that they import.
      const program = ts.createProgram(fileNames, options);
      const found = fileNames.flatMap((name) => ts.getPreEmitDiagnostics(program, program.getSourceFile(name)));
      const host = { ...formatHost, getCurrentDirectory: () => folder };
      expect(ts.formatDiagnostics(found, host)).toBe('');
    }),
  );

  // Models of the hub, files and other machines are not at hand here.
  const runnable = examples.filter(
    ({ name, code, hasPrelude }) =>
      !hasPrelude &&
      !name.startsWith('api-') && // test/api-examples runs those
      !/load(?:Text)?Model|loadTokenizer|pipeline\(|from_pretrained|promptApi|localhost|127\.0\.0\.1|simdformer\/(mpi|bulk|server|ai-sdk|langchain)/.test(
        code,
      ),
  );

  it('of training and of own models run', () => expect(runnable.length).toBeGreaterThanOrEqual(6));

  it.each(runnable.map(({ name, code }) => [name, code] as const))(
    '%s runs as it is',
    { timeout: 120_000 },
    (_, code) =>
      inFolder(async (folder) => {
        const file = join(folder, 'example.mjs');
        const bundled = code.replaceAll(/'simdformer(?:\/(\w+))?'/g, (_, path = 'index') =>
          JSON.stringify(join(root, `build/tests/api-${path}.js`)),
        );
        await writeFile(file, (await transform(bundled, { loader: 'ts' })).code);
        const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: folder });
        expect(stdout).not.toBe('');
        if (code.includes('badcafe')) expect(stdout).toContain('efacdab');
      }),
  );
});
