// Reads the files of a folder into a store of passages.
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import type { TextModel } from 'simdformer/pretrained';
import { type Passage, splitPassages } from 'simdformer/tasks';
import type { VectorStore } from './store.js';

const EXTENSIONS = new Set('.md .mdx .txt .js .mjs .ts .tsx .py .go .rs .java .c .cc .cpp .h .sh .sql'.split(' '));
const SKIPPED = new Set(['node_modules', 'dist', 'build', 'target', 'vendor']);
/** Passages that are embedded in one call. */
const BATCH = 256;

export interface Indexed {
  /** Files that were new or had changed. */
  readonly read: number;
  readonly unchanged: number;
  /** Files that are no longer there. */
  readonly forgotten: number;
}

interface ChangedFile {
  readonly path: string;
  readonly hash: string;
  readonly passages: readonly Passage[];
}

/** Stores the passages of files that are new or have changed, and forgets deleted files. */
export async function indexFolder(folder: string, embedder: TextModel, store: VectorStore): Promise<Indexed> {
  const stored = await store.hashes();
  const counts = { read: 0, unchanged: 0, forgotten: 0 };
  let changed: ChangedFile[] = [];
  for await (const path of filesOf(folder)) {
    const text = await readFile(join(folder, path), 'utf8');
    const hash = createHash('sha256').update(text).digest('hex');
    const known = stored.get(path);
    stored.delete(path);
    if (known === hash) {
      counts.unchanged++;
      continue;
    }
    counts.read++;
    changed.push({ path, hash, passages: splitPassages(text) });
    if (changed.reduce((sum, { passages }) => sum + passages.length, 0) < BATCH) continue;
    await remember(changed, embedder, store);
    changed = [];
  }
  await remember(changed, embedder, store);
  for (const path of stored.keys()) {
    counts.forgotten++;
    await store.put(path, '', []);
  }
  return counts;
}

async function remember(files: readonly ChangedFile[], embedder: TextModel, store: VectorStore): Promise<void> {
  const texts = files.flatMap(({ passages }) => passages.map(({ text }) => text));
  const vectors: Float32Array[] = [];
  for (let at = 0; at < texts.length; at += BATCH)
    vectors.push(...(await embedder.encodeDocument(texts.slice(at, at + BATCH), { normalize: true })));
  let next = 0;
  for (const { path, hash, passages } of files) {
    const rows = passages.map((passage) => ({ ...passage, path, vector: vectors[next++] as Float32Array }));
    await store.put(path, hash, rows);
  }
}

/** The paths of Markdown and code in a folder, relative and with slashes. Links and hidden files are left out. */
async function* filesOf(folder: string): AsyncGenerator<string> {
  const folders = [folder];
  for (const inside of folders) {
    const entries = await readdir(inside, { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.name.startsWith('.') || SKIPPED.has(entry.name)) continue;
      const path = join(inside, entry.name);
      if (entry.isDirectory()) folders.push(path);
      if (entry.isFile() && EXTENSIONS.has(extname(entry.name))) yield relative(folder, path).split(sep).join('/');
    }
  }
}
