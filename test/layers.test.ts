// The figure of ARCHITECTURE.md is the one list of layers. The linter's lists have to agree with it.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

/** Columns of the figure that hold folders; the rest of a line describes them. */
const FOLDER_COLUMNS = 44;

function layers(): string[][] {
  const figure = read('ARCHITECTURE.md').split('```')[1] ?? '';
  const lines = figure.split('\n').filter((line) => line.startsWith('src/'));
  return lines.map((line) => line.slice(0, FOLDER_COLUMNS).trim().replace('src/', '').split(/\s+/));
}

/** Folders that each layer may not import: the layers above, and its neighbours. */
function expectedRestrictions() {
  const restrictions = [];
  const above: string[] = [];
  for (const layer of layers()) {
    const patterns = layer.map((folder) => `**/${folder}/**`);
    const refused = [...above, ...(layer.length > 1 ? patterns : [])];
    if (refused.length > 0) restrictions.push({ includes: layer.map((folder) => `src/${folder}/**`), refused });
    if (layer.includes('models')) {
      const includes = ['src/models/*.ts', '!src/models/{index,registry}.ts'];
      restrictions.push({ includes, refused: [...refused, './families/**'] });
    }
    above.push(...patterns);
  }
  return restrictions;
}

it('restricts imports to the layers below, as the figure of ARCHITECTURE.md shows them', () => {
  const restrictions = [];
  for (const { includes, linter } of JSON.parse(read('biome.json')).overrides) {
    const rule = linter.rules.style?.noRestrictedImports;
    if (rule !== undefined) restrictions.push({ includes, refused: rule.options.patterns[0].group });
  }
  expect(layers().length).toBeGreaterThan(10);
  expect(restrictions).toEqual(expectedRestrictions());
});
