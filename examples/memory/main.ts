// The command line of the memory: see README.md.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createDevice } from 'simdformer';
import { loadTextModel, type TextModel } from 'simdformer/pretrained';
import { ask, placeOf } from './ask.js';
import { indexFolder } from './index-folder.js';
import type { VectorStore } from './store.js';

const USAGE = `usage: npx tsx main.ts index FOLDER [options]
       npx tsx main.ts ask QUESTION [options]

  --memory FOLDER    where the database is (default: .memory)
  --store NAME       sqlite or lancedb (default: sqlite)
  --embedder MODEL   folder or hub id (default: sentence-transformers/all-MiniLM-L6-v2)
  --reranker MODEL   folder or hub id (default: cross-encoder/ms-marco-MiniLM-L6-v2)
  --chat MODEL       folder, GGUF file or hub id (default: Qwen/Qwen3-0.6B)
  --json             print JSON`;

const options = {
  memory: { type: 'string', default: '.memory' },
  store: { type: 'string', default: 'sqlite' },
  embedder: { type: 'string', default: 'sentence-transformers/all-MiniLM-L6-v2' },
  reranker: { type: 'string', default: 'cross-encoder/ms-marco-MiniLM-L6-v2' },
  chat: { type: 'string', default: 'Qwen/Qwen3-0.6B' },
  json: { type: 'boolean', default: false },
} as const;

/** Runs a command and returns the program's exit status. */
export async function main(args: readonly string[], print: (line: string) => void = console.log): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options });
  const [command, given, ...others] = positionals;
  const isKnown = (command === 'index' || command === 'ask') && ['sqlite', 'lancedb'].includes(values.store);
  if (!isKnown || !given || others.length > 0) {
    console.error(USAGE);
    return 2;
  }
  const device = await createDevice();
  const embedder = await loadTextModel(device, values.embedder, { head: 'none' });
  const store = await openStore(values.store, values.memory, values.embedder, embedder);
  try {
    if (command === 'index') {
      const counts = await indexFolder(given, embedder, store);
      const { read, unchanged, forgotten } = counts;
      print(
        values.json ? JSON.stringify(counts) : `${read} files read, ${unchanged} unchanged, ${forgotten} forgotten`,
      );
      return 0;
    }
    const reranker = await loadTextModel(device, values.reranker);
    const chat = await loadTextModel(device, values.chat);
    const result = await ask(given, { embedder, reranker, chat }, store);
    if (result === null) {
      console.error('The memory is empty: call `index FOLDER` first.');
      return 1;
    }
    print(values.json ? JSON.stringify(result) : `${result.answer}\n  from ${placeOf(result.source)}`);
    return 0;
  } finally {
    store.close();
    device.dispose();
  }
}

/** Each embedding model has a database of its own, because vectors of different models cannot be compared. */
async function openStore(kind: string, memory: string, name: string, embedder: TextModel): Promise<VectorStore> {
  await mkdir(memory, { recursive: true });
  const path = join(memory, `${name.replace(/[^\w.-]+/g, '--')}.${kind}`);
  if (kind === 'lancedb') return (await import('./lance-store.js')).LanceStore.open(path);
  const { SqliteStore } = await import('./sqlite-store.js');
  return new SqliteStore(path, (await embedder.encode('text')).length);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main(process.argv.slice(2));
