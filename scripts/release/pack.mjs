// The tarballs of a release, and what is checked about them without running them.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { INSTALLED } from './sizes.mjs';
import { run } from './tools.mjs';

export const out = resolve('build/release');
const npmFolder = resolve('build/npm');

/** Largest sizes of tarballs, in bytes: of the main package, and of a platform's addon. */
const LIMITS = { main: 3e6, platform: 1.5e6 };

/** Scripts that npm runs on the machine of a user, who would have to allow them. */
const INSTALL_SCRIPTS = ['preinstall', 'install', 'postinstall', 'prepare'];

/** Packs a folder whose files are made. Returns the path of the tarball. */
function pack(folder) {
  const options = ['--json', '--silent', '--ignore-scripts', '--pack-destination', out];
  const [{ filename }] = JSON.parse(run('npm', ['pack', ...options], { cwd: folder }));
  return join(out, filename);
}

const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');
const manifestIn = (tarball) => JSON.parse(run('tar', ['xzOf', tarball, 'package/package.json']));

/** Builds and packs the main package, the addons of these platforms, the sources and the models. Returns their paths. */
export function packAll(platforms) {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const node = (...args) => run(process.execPath, args, { stdio: 'inherit' });
  node('scripts/addons.mjs', ...platforms);
  node('scripts/packages.mjs');
  run('npm', ['run', 'prepack'], { stdio: 'inherit' });
  const main = pack('.');
  const addons = new Map(platforms.map((platform) => [platform, pack(join(npmFolder, platform))]));
  const others = readdirSync(npmFolder).filter((name) => name.startsWith('simdformer-'));
  return { main, addons, others: others.map((name) => pack(join(npmFolder, name))) };
}

/** Bytes that a package takes when it is installed. */
function unpacked(tarball) {
  const listed = run('tar', ['tvzf', tarball]).trim().split('\n');
  return listed.reduce((sum, line) => sum + Number(line.split(/\s+/)[2]), 0);
}

/** Throws if the main package and a platform's addon are larger than their limits when they are installed. */
function checkInstalled({ main, addons }) {
  const rows = [['the main package', main, INSTALLED.package]];
  for (const [platform, path] of addons) rows.push([platform, path, INSTALLED.addon]);
  for (const [name, path, limit] of rows) {
    const size = unpacked(path);
    console.log(`${name} installed  ${(size / 1e6).toFixed(2)} MB`);
    if (size > limit) throw new Error(`${name} takes ${size} bytes when it is installed, expected at most ${limit}`);
  }
}

/** Throws if a tarball is larger than its limit, packed or installed, or has a script that npm runs at installation. */
export function checkTarballs({ main, addons, others }) {
  checkInstalled({ main, addons });
  const rows = [[main, LIMITS.main], ...[...addons.values()].map((path) => [path, LIMITS.platform])];
  for (const [path, limit] of rows) {
    const { length } = readFileSync(path);
    console.log(`${path.slice(out.length + 1)}  ${(length / 1e6).toFixed(2)} MB`);
    if (length > limit) throw new Error(`${path} has ${length} bytes, expected at most ${limit}`);
  }
  for (const path of [main, ...addons.values(), ...others]) {
    const { scripts = {}, gypfile } = manifestIn(path);
    const found = INSTALL_SCRIPTS.filter((name) => name in scripts);
    if (found.length > 0) throw new Error(`${path} has the script '${found[0]}', which npm runs at installation`);
    const hasGyp = run('tar', ['tzf', path]).includes('package/binding.gyp\n');
    if (hasGyp && gypfile !== false) throw new Error(`${path} has a binding.gyp, which npm compiles at installation`);
  }
}

/** Throws if a second build differs from the first in a byte. */
export function checkReproducible({ main, addons }) {
  const before = new Map([main, ...addons.values()].map((path) => [path, sha256(path)]));
  const first = `${out}.first`;
  rmSync(first, { recursive: true, force: true });
  renameSync(out, first);
  for (const folder of ['dist', 'wasm/dist', 'build/addons']) rmSync(folder, { recursive: true, force: true });
  packAll([...addons.keys()]);
  for (const [path, hash] of before) {
    if (sha256(path) !== hash)
      throw new Error(`${path} differs from ${join(first, path.slice(out.length + 1))}: two builds of one commit`);
  }
  rmSync(first, { recursive: true });
  const sums = [...before].map(([path, hash]) => `${hash}  ${path.slice(out.length + 1)}\n`);
  writeFileSync(join(out, 'SHA256SUMS'), sums.join(''));
  console.log(sums.join('').trimEnd());
}

/**
 * Writes the list of all packages that an installation has, in CycloneDX's format: dependencies, packages in the bundles,
 * and the headers in the addon. Throws if one lacks a licence. Two lists of one commit are equal.
 */
export function writeSbom() {
  const omitted = ['dev', 'peer', 'optional'].flatMap((kind) => ['--omit', kind]);
  const { serialNumber: _, ...sbom } = JSON.parse(run('npm', ['sbom', '--sbom-format', 'cyclonedx', ...omitted]));
  delete sbom.metadata.timestamp;
  sbom.metadata.component.name = 'simdformer';
  const headers = JSON.parse(readFileSync('node_modules/node-addon-api/package.json', 'utf8'));
  const inside = [...JSON.parse(readFileSync('build/bundled.json', 'utf8')), headers];
  const known = new Set(sbom.components.map(({ purl }) => purl));
  for (const { name, version, license } of inside) {
    const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
    if (known.has(purl)) continue;
    known.add(purl);
    const licenses = license === undefined ? [] : [{ expression: license }];
    sbom.components.push({ 'bom-ref': `${name}@${version}`, type: 'library', name, version, purl, licenses });
  }
  for (const { name, version, licenses = [] } of sbom.components) {
    const names = licenses.map(({ license, expression }) => expression ?? license?.id ?? license?.name);
    if (names.length === 0) throw new Error(`${name} ${version} names no licence`);
    console.log(`${name} ${version}  ${names.join(', ')}`);
  }
  writeFileSync(join(out, 'sbom.cdx.json'), `${JSON.stringify(sbom, null, 2)}\n`);
}
