// The programs in README.md and docs/. A page may have a hidden prelude: an HTML comment `<!-- prelude … -->` right before a
// block, whose code that block takes for granted.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

export interface DocExample {
  /** The page and the number of the block, from 1. */
  readonly name: string;
  readonly code: string;
  readonly hasPrelude: boolean;
}

const BLOCK = /(?:<!-- prelude\n(?<prelude>.*?)-->\s*)?```ts\n(?<code>.*?)```/gs;

/** All blocks of TypeScript of the pages, in order. */
export function docExamples(root: string): DocExample[] {
  const docs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  const api = readdirSync(join(root, 'docs/examples'));
  const pages = [
    'README.md',
    ...docs.map((name) => join('docs', name)),
    ...api.map((name) => join('docs/examples', name)),
  ];
  return pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(BLOCK)].map(({ groups = {} }, i) => ({
      name: `${page.includes('examples') ? 'api-' : ''}${basename(page, '.md')}-${i + 1}`,
      code: `${groups.prelude ?? ''}${groups.code}\nexport {};\n`,
      hasPrelude: groups.prelude !== undefined,
    })),
  );
}
