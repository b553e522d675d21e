// The figure of ARCHITECTURE.md is the one list of layers. No file imports a folder above its own, or beside it in the
// figure. Types count, too.
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { expect, it } from 'vitest';

/** Columns of the figure that hold folders; the rest of a line describes them. */
const FOLDER_COLUMNS = 44;

/** Folders of src by their layer, the uppermost first. */
function layersOf(figure: string): string[][] {
  const lines = figure.split('\n').filter((line) => line.startsWith('src/'));
  return lines.map((line) => line.slice(0, FOLDER_COLUMNS).trim().replace('src/', '').split(/\s+/));
}

const layers = layersOf(readFileSync('ARCHITECTURE.md', 'utf8').split('```')[1] ?? '');
const layerOf = (folder: string) => layers.findIndex((layer) => layer.includes(folder));

/** The paths of src's files, as src/core/tensor.ts. */
const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .map((name) => posix.join('src', name.replaceAll('\\', '/')))
  .filter((name) => /\.tsx?$/.test(name));

const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*(?:\/\*.*?\*\/\s*)?['"](\.{1,2}\/[^'"]+)['"]/g;

/** The files that a file imports by a relative path. */
const importsOf = (path: string): string[] =>
  [...readFileSync(path, 'utf8').matchAll(IMPORT)].map(([, to]) => posix.join(posix.dirname(path), to as string));

/** The folder of src that a file belongs to; null for the files of src itself. */
const folderOf = (path: string): string | null => /^src\/([^/]+)\//.exec(path)?.[1] ?? null;

/** Families are loaded by the registry, and their types are in the index. */
const loadsFamilies = (path: string) => /^src\/models\/(families\/.*|index\.ts|registry\.ts)$/.test(path);

/** The reason why a file may not import another one; null if it may. */
function objection(path: string, imported: string): string | null {
  const [from, to] = [folderOf(path), folderOf(imported)];
  if (from === null || to === null) return null;
  const [own, other] = [layerOf(from), layerOf(to)];
  if (other < 0) return `the figure lacks ${to}`;
  if (other < own) return `${to} is above ${from}`;
  if (other === own && from !== to) return `${to} is beside ${from}`;
  if (/^src\/models\/families\//.test(imported) && from === 'models' && !loadsFamilies(path))
    return 'only the registry loads families';
  return null;
}

it('has the folders of src in the figure of ARCHITECTURE.md', () => {
  const folders = new Set(files.flatMap((path) => folderOf(path) ?? []));
  expect(layers.flat().toSorted()).toEqual([...folders].toSorted());
});

it('imports only folders below', () => {
  const imports = files.flatMap((path) => importsOf(path).map((imported) => ({ path, imported })));
  expect(imports.length).toBeGreaterThan(3000);
  const refused = imports.flatMap(({ path, imported }) => {
    const why = objection(path, imported);
    return why === null ? [] : [`${path} imports ${imported}: ${why}`];
  });
  expect(refused).toEqual([]);
});

it('objects to imports that point up, to neighbours, and to families', () => {
  expect(objection('src/core/tensor.ts', 'src/ops/binary.js')).toBe('ops is above core');
  expect(objection('src/ops/binary.ts', 'src/io/gguf.js')).toBe('io is beside ops');
  expect(objection('src/models/model.ts', 'src/models/families/bert.js')).toBe('only the registry loads families');
  expect(objection('src/ops/binary.ts', 'src/core/tensor.js')).toBeNull();
});
