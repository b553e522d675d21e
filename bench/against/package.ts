// Loads the package of a tree, whatever its root and its subpaths export.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type * as generate from '../../src/generate/index.js';
import type * as root from '../../src/index.js';
import type * as inspect from '../../src/inspect/index.js';
import type * as io from '../../src/io/index.js';
import type * as models from '../../src/models/index.js';
import type * as nn from '../../src/nn/index.js';
import type * as ops from '../../src/ops/index.js';
import type * as train from '../../src/train/index.js';

export type Package = typeof root &
  typeof nn &
  typeof ops &
  typeof models &
  typeof generate &
  typeof train &
  typeof inspect &
  typeof io;

const places = ['index', 'nn', 'ops', 'models', 'train'];

/** Returns the entries of a tree in the form of `bundle.mjs`'s arguments. In old trees the root exports all names. */
export function entriesOf(tree: string): string[] {
  const files = places.map((name) => [name, name === 'index' ? 'src/index.ts' : `src/${name}/index.ts`] as const);
  return files.filter(([, file]) => existsSync(join(tree, file))).map(([name, file]) => `${name}=${file}`);
}

/** Returns all exports in one object, from the files that `bundle.mjs` made. */
export async function packageOf(folder: string): Promise<Package> {
  const files = places.map((name) => join(folder, `${name}.mjs`)).filter(existsSync);
  const modules = await Promise.all(files.map((file) => import(pathToFileURL(file).href)));
  return Object.assign({}, ...modules.reverse());
}
