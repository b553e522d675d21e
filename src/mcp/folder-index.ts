// An index of the passages in the files of a folder, with a vector for each.

import { isUtf8 } from 'node:buffer';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { type Passage, type Pipeline, splitPassages } from '../tasks/index.js';

const MAX_FILE_BYTES = 2 ** 20;
const MAX_FILES = 20_000;
/** Number of passages that are embedded in one call. */
const BATCH = 256;

/** Folders that are skipped, because they contain no texts of the user. Hidden folders are skipped, too. */
const SKIPPED = new Set(['node_modules', 'dist', 'build', 'target', 'vendor', '__pycache__']);

interface IndexedFile {
  readonly modified: number;
  readonly size: number;
  readonly passages: readonly Passage[];
  /** A vector of length 1 for each passage. */
  readonly vectors: readonly Float32Array[];
}

/** A file that seems to be a text, but cannot be searched. */
export interface SkippedFile {
  readonly path: string;
  readonly why: 'not UTF-8' | 'not readable';
}

/** A passage that was found. The path is relative to the folder, with slashes. */
export interface Found extends Passage {
  readonly path: string;
  readonly score: number;
}

export class FolderIndex {
  #files = new Map<string, IndexedFile>();
  #skipped: readonly SkippedFile[] = [];
  /** The running update, which simultaneous searches share. */
  #updating: Promise<void> | null = null;
  readonly #closing = new AbortController();

  constructor(
    readonly folder: string,
    private readonly embedder: Promise<Pipeline<'feature-extraction'>>,
  ) {}

  get passages(): number {
    return [...this.#files.values()].reduce((sum, { passages }) => sum + passages.length, 0);
  }

  /** Files of the last update that cannot be searched. Files with zero bytes are not texts, and not among them. */
  get skipped(): readonly SkippedFile[] {
    return this.#skipped;
  }

  /** Aborts a running update, which rejects with an AbortError. */
  close(): void {
    this.#closing.abort();
  }

  /** Reads the files that are new or have changed, and forgets deleted ones. */
  update(): Promise<void> {
    this.#updating ??= this.#update().finally(() => {
      this.#updating = null;
    });
    return this.#updating;
  }

  /** Returns the `count` passages that are most similar to the query, best first. */
  async search(query: string, count: number): Promise<Found[]> {
    await this.update();
    const { model } = await this.embedder;
    const vector = await model.encodeQuery(query, { normalize: true });
    const found: Found[] = [];
    for (const [path, { passages, vectors }] of this.#files)
      for (const [i, passage] of passages.entries())
        found.push({ ...passage, path, score: product(vector, vectors[i] as Float32Array) });
    return found.sort((a, b) => b.score - a.score).slice(0, count);
  }

  async #update(): Promise<void> {
    const files = new Map<string, IndexedFile>();
    const changed: { path: string; modified: number; size: number; passages: readonly Passage[] }[] = [];
    const skipped: SkippedFile[] = [];
    for await (const { path, modified, size } of textFiles(this.folder)) {
      const known = this.#files.get(path);
      if (known?.modified === modified && known.size === size) files.set(path, known);
      else {
        const read = await textOf(join(this.folder, path));
        if (typeof read === 'string') changed.push({ path, modified, size, passages: splitPassages(read) });
        else if (read !== null) skipped.push({ path, ...read });
      }
    }
    const vectors = await this.#embed(changed.flatMap(({ passages }) => passages.map(({ text }) => text)));
    let offset = 0;
    for (const { path, ...file } of changed) {
      files.set(path, { ...file, vectors: vectors.slice(offset, offset + file.passages.length) });
      offset += file.passages.length;
    }
    this.#files = files;
    this.#skipped = skipped;
  }

  async #embed(texts: readonly string[]): Promise<Float32Array[]> {
    const options = { normalize: true, signal: this.#closing.signal };
    const { model } = await this.embedder;
    const vectors: Float32Array[] = [];
    for (let start = 0; start < texts.length; start += BATCH)
      vectors.push(...(await model.encodeDocument(texts.slice(start, start + BATCH), options)));
    return vectors;
  }
}

/** Yields the text files of a folder and its subfolders. Links are not followed, so that no file outside is read. */
async function* textFiles(folder: string): AsyncGenerator<{ path: string; modified: number; size: number }> {
  const folders = [folder];
  let count = 0;
  for (const inside of folders) {
    const entries = await readdir(inside, { withFileTypes: true }).catch(() => []); // unreadable and deleted folders are skipped
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(inside, entry.name);
      if (entry.name.startsWith('.') || SKIPPED.has(entry.name)) continue;
      if (entry.isDirectory()) folders.push(path);
      if (!entry.isFile()) continue;
      const status = await lstat(path).catch(() => null);
      if (status === null || status.size === 0 || status.size > MAX_FILE_BYTES) continue;
      if (++count > MAX_FILES) return;
      yield { path: relative(folder, path).split(sep).join('/'), modified: status.mtimeMs, size: status.size };
    }
  }
}

/** Returns the text of a file; null for a file with zero bytes, which is not a text; or why it cannot be searched. */
async function textOf(path: string): Promise<string | null | Pick<SkippedFile, 'why'>> {
  const bytes = await readFile(path).catch(() => null);
  if (bytes === null) return { why: 'not readable' };
  if (bytes.includes(0)) return null;
  return isUtf8(bytes) ? new TextDecoder().decode(bytes) : { why: 'not UTF-8' };
}

function product(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}
