// The licences of what a build has in it from other packages, which ask that their text goes along.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The packages that a build has in it, in order: folder, name, version and licence. `metafile` is esbuild's. */
export function bundledPackages({ inputs }, root) {
  const folders = Object.keys(inputs).map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]);
  const bundled = [...new Set(folders.filter((folder) => folder !== undefined))].sort();
  return bundled.map((path) => {
    const folder = join(root, path);
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json')).toString());
    return { folder, name, version, license };
  });
}

/** The texts of their licences, one after the other. */
export function licenses(metafile, root) {
  return bundledPackages(metafile, root).map(licenseOf).join('\n');
}

function licenseOf({ folder, name, version, license }) {
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? license : readFileSync(join(folder, file)).toString();
  return `${name} ${version}\n\n${text.trim()}\n`;
}
