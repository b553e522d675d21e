// The package of some tree, whatever its root and its subpaths export.

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

/** All names in one object: before there were subpaths the root had them. */
export async function packageOf(tree: string): Promise<Package> {
  const files = ['', 'nn', 'ops', 'models', 'train'].map((name) => join(tree, 'src', name, 'index.ts'));
  const modules = await Promise.all(files.filter(existsSync).map((file) => import(pathToFileURL(file).href)));
  return Object.assign({}, ...modules.reverse());
}
