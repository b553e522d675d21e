// The licences of what a build has in it from other packages, which ask that their text goes along.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** All of them, one after the other. `metafile` is esbuild's. */
export function licenses({ inputs }, root) {
  const folders = Object.keys(inputs).map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0]);
  const bundled = [...new Set(folders.filter((folder) => folder !== undefined))].sort();
  return bundled.map((folder) => licenseOf(join(root, folder))).join('\n');
}

function licenseOf(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json')).toString());
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? license : readFileSync(join(folder, file)).toString();
  return `${name} ${version}\n\n${text.trim()}\n`;
}
