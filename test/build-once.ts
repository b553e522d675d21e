// Builds that several test files share. The first file that needs one makes it. It is made again when a source changes.
import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';

/** Runs a program to its end. If it fails, the error contains what it printed. */
export const run = promisify(execFile);

/** Does `work` while no other process has the same lock. */
export async function alone<T>(lock: string, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      await mkdir(lock);
      break;
    } catch {
      const age = Date.now() - ((await stat(lock).catch(() => null))?.mtimeMs ?? Date.now());
      if (age > 300_000) await rm(lock, { recursive: true, force: true }); // left by a killed process
      await setTimeout(100);
    }
  }
  try {
    return await work();
  } finally {
    await rm(lock, { recursive: true, force: true });
  }
}

/** Returns true if `file` is missing, or older than a file of the package's sources or of `more`. */
export async function isOutdated(file: string, more: readonly string[]): Promise<boolean> {
  const built = await stat(file).catch(() => null);
  if (built === null) return true;
  const folders = await Promise.all(
    ['src', 'wasm'].map(async (name) => (await readdir(name, { recursive: true })).map((path) => join(name, path))),
  );
  const files = [...folders.flat(), 'package.json', 'scripts/bundle.mjs', 'scripts/subpaths.mjs', ...more];
  const changed = await Promise.all(files.map(async (path) => (await stat(path)).mtimeMs));
  return changed.some((time) => time > built.mtimeMs);
}

/** The folder of the package for pages without a bundler. It is as deep in the repository as src/backend/. */
export async function pagePackage(): Promise<string> {
  const folder = 'build/page';
  await mkdir('build', { recursive: true });
  await alone(`${folder}.lock`, async () => {
    if (await isOutdated(`${folder}/index.js`, ['scripts/browser.mjs']))
      await run(process.execPath, ['scripts/browser.mjs', folder]);
  });
  return folder;
}

/** Builds the explorer of examples/. Returns the path of the folder, with a slash at its end. */
export async function buildExplorer(): Promise<string> {
  const outDir = `${process.cwd()}/build/explorer/page`;
  const sources = await readdir('examples/explorer', { recursive: true });
  const files = ['package-lock.json', ...sources.map((name) => `examples/explorer/${name}`)];
  await mkdir('build/explorer', { recursive: true });
  const options = ['--config', 'examples/explorer/vite.config.ts', '--outDir', outDir, '--logLevel', 'error'];
  await alone(`${outDir}.lock`, async () => {
    if (await isOutdated(`${outDir}/index.html`, files))
      await run(process.execPath, ['node_modules/vite/bin/vite.js', 'build', ...options]);
  });
  return `${outDir}/`;
}
