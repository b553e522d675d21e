// Reads test/data: from the disk in Node, through Vite (vitest.config.ts) in a page. The repository contains all of it,
// so a missing file is an error and no reason to skip a test.
import { isNode, nodeModule } from '../src/backend/node.js';

/** A folder of test/data. */
export interface TestData {
  /** The folder's path in Node, its URL in a page. */
  readonly path: string;
  /** Throws if the folder has no such file. */
  bytes(name: string): Promise<Uint8Array<ArrayBuffer>>;
  json<T>(name: string): Promise<T>;
}

/** Vite would replace a literal `new URL('…', import.meta.url)` by the address of an asset. */
const here = import.meta.url;

async function read(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  if (isNode) {
    const { readFile } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
    return new Uint8Array(await readFile(url));
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname} is missing`);
  return new Uint8Array(await response.arrayBuffer());
}

/** `folder` is relative to test/data, for example 'families/llama'. */
export function testData(folder: string): TestData {
  const url = new URL(`data/${folder}/`, here);
  const bytes = (name: string) => read(new URL(name, url));
  return {
    path: decodeURIComponent(url.pathname).replace(/\/$/, ''),
    bytes,
    json: async (name) => JSON.parse(new TextDecoder().decode(await bytes(name))),
  };
}
