// Packs the package and installs it with the example projects and all that these need, unless that was done since the
// last change. Several processes may ask for it at once.
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { alone, isOutdated, run } from '../build-once.js';

/** The example projects that are installed: folders of examples/. */
export const examples = ['script', 'vite', 'webpack', 'esbuild', 'rollup', 'extension'] as const;

/** Outside of the repository, whose packages and tsconfig.json would be found from inside. */
const folder = join(tmpdir(), `simdformer-packages-${digest(resolve('.')).slice(0, 8)}`);
const tarball = join(folder, 'simdformer-0.1.0.tgz');

const npm = (args: readonly string[], cwd: string) =>
  run('npm', [...args, '--no-audit', '--no-fund', '--prefer-offline'], { cwd, env: { ...process.env, CI: '' } });

function digest(...parts: (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** Packs what is younger than the tarball. */
async function pack(): Promise<void> {
  await mkdir(folder, { recursive: true });
  const more = ['README.md', 'scripts/dist.mjs'];
  if (await isOutdated(tarball, more)) await npm(['pack', '--pack-destination', folder], '.');
}

/** The path of the packed package. */
export async function packed(): Promise<string> {
  await alone(`${folder}.lock`, pack);
  return tarball;
}

/** The examples' files by path; their package.json names the tarball, and one above them makes them one installation. */
async function projects(): Promise<Map<string, string>> {
  const root = { private: true, type: 'module', workspaces: examples };
  const files = new Map([['package.json', JSON.stringify(root)]]);
  for (const name of examples) {
    for (const file of await readdir(join('examples', name), { withFileTypes: true })) {
      if (file.isFile()) files.set(join(name, file.name), await readFile(join('examples', name, file.name), 'utf8'));
    }
    const own = JSON.parse(files.get(join(name, 'package.json')) as string);
    own.dependencies.simdformer = `file:${tarball}`;
    files.set(join(name, 'package.json'), JSON.stringify(own));
  }
  return files;
}

async function install(): Promise<string> {
  const files = await projects();
  const wanted = digest(JSON.stringify([...files]), await readFile(tarball));
  const stamp = join(folder, 'node_modules/.installed');
  if ((await readFile(stamp, 'utf8').catch(() => '')) === wanted) return folder;
  // The lockfile holds the digest of the tarball before.
  for (const old of ['package-lock.json', 'node_modules/.package-lock.json', 'node_modules/simdformer', ...examples])
    await rm(join(folder, old), { recursive: true, force: true });
  for (const name of examples) await mkdir(join(folder, name));
  for (const [path, text] of files) await writeFile(join(folder, path), text);
  await npm(['install', '--ignore-scripts'], folder);
  // npm installs it once, above the projects; a project by itself would have it in its own folder.
  for (const name of examples) {
    const own = join(folder, name, 'node_modules/simdformer');
    await cp(join(folder, 'node_modules/simdformer'), own, { recursive: true });
  }
  await writeFile(stamp, wanted);
  return folder;
}

/** Packs and installs the package. Returns the folder of the installation. */
export async function installPackage(): Promise<string> {
  return alone(`${folder}.lock`, async () => {
    await pack();
    return install();
  });
}
