// Data that several repositories test with lies in `shared`, beside this one. Node reads it from there, a browser asks
// Vite (test/browser/server.ts). Where it is missing, tests that need it are skipped, and say so.
import { describe, it } from 'vitest';
import { isNode, nodeModule } from '../src/backend/node.js';

/** A folder of `shared`. */
export interface SharedFolder {
  bytes(name: string): Promise<Uint8Array>;
  json<T>(name: string): Promise<T>;
}

const here = import.meta.url; // whose `new URL` Vite would take for a file of the repository

/** Null if there is no such file. */
async function read(path: string): Promise<Uint8Array | null> {
  const url = new URL(`../../shared/${path}`, here);
  if (isNode) {
    const { readFile } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
    return readFile(url).catch(() => null);
  }
  const response = await fetch(url);
  return response.ok ? new Uint8Array(await response.arrayBuffer()) : null;
}

/** Describes tests that read ../shared/`folder`, which is there if its file `index` is. */
export async function describeShared(
  name: string,
  folder: string,
  index: string,
  body: (shared: SharedFolder) => Promise<void>,
): Promise<void> {
  const bytes = async (file: string) => {
    const found = await read(`${folder}/${file}`);
    if (found === null) throw new Error(`../shared/${folder}/${file} is missing`);
    return found;
  };
  const json = async (file: string) => JSON.parse(new TextDecoder().decode(await bytes(file)));
  if ((await read(`${folder}/${index}`)) !== null) {
    describe(name, () => body({ bytes, json }));
    return;
  }
  console.warn(`WARNING: ${name}: NOT TESTED, ../shared/${folder} is missing`);
  it.skip(`${name}: not tested, ../shared/${folder} is missing`, () => {});
}
