// The cases of test/data/families: one small random checkpoint in each folder.
import { isNode, nodeModule } from '../../src/backend/node.js';
import { testData } from '../test-data.js';

export const families = testData('families');

/** In a page, which lists no folders, one case of each kind. WebAssembly in Node has all. */
const inPages = ['bert-sequence', 'llama', 't5', 'vit-image', 'whisper'];

/** The names of all cases. */
export const familyCases: readonly string[] = isNode ? await namesOf(families.path) : inPages;

async function namesOf(path: string): Promise<string[]> {
  const { readdir } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const entries = await readdir(path, { withFileTypes: true });
  return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort();
}
