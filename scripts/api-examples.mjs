// The examples of the API's pages: the blocks of docs/examples/<subpath>.md. A block is the example of each export that it
// imports from simdformer. `index.md` has those of the root.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), 'docs/examples');

/** Names that a program imports, in the form `subpath:name`; the root's subpath is `index`. */
function importedNames(code) {
  const imports = [...code.matchAll(/^import \{([^}]*)\} from 'simdformer(?:\/([\w-]+))?';$/gm)];
  return imports.flatMap(([, names, subpath = 'index']) =>
    names
      .split(',')
      .map((name) => name.replace(/^\s*(type )?/, '').trim())
      .filter((name) => name !== '')
      .map((name) => `${subpath}:${name}`),
  );
}

/** The blocks of all files, in order. `page`: the file's name without ending; `title`: the heading above the block. */
export function apiExamples() {
  return readdirSync(folder).flatMap((file) => {
    const page = file.replace(/\.md$/, '');
    const text = readFileSync(join(folder, file), 'utf8');
    return [...text.matchAll(/^## (?<title>[^\n]*)\n\n```ts\n(?<code>.*?)^```$/gms)].map(({ groups }) => ({
      page,
      ...groups,
      imports: importedNames(groups.code),
    }));
  });
}

/** Returns the example of an export: the first block of its subpath's file that imports it, else the first of all. */
export function exampleOf(examples, subpath, name) {
  const found = examples.filter(({ imports }) => imports.includes(`${subpath}:${name}`));
  return found.find(({ page }) => page === subpath) ?? found[0];
}
