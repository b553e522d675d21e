// Folders of sentence-transformers and its relatives, with what the original libraries compute.
import { readFileSync } from 'node:fs';
import { loadModel } from '../../src/index.js';
import type { TextModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';

export const FOLDERS = 'test/data/formats/sentence';

export const folderOf = (name: string) => `${FOLDERS}/${name}`;

/** The numbers of a folder's expected.json. */
// biome-ignore lint/suspicious/noExplicitAny: each folder has other keys, which its test names.
export function expectedOf(name: string): any {
  const text = readFileSync(`${folderOf(name)}/expected.json`, 'utf8');
  return JSON.parse(text.replace(/\bInfinity\b/g, '1e999'));
}

export async function load(name: string, options = {}): Promise<TextModel> {
  const device = await deviceFor(isas.at(-1) as string, 2);
  const onWarning = (message: string) => {
    throw new Error(message);
  };
  return loadModel(device, folderOf(name), { onWarning, ...options });
}

/** The agreement that is asked for, relative to numbers above 1. Both sides are rounded to float32. */
export const TOLERANCE = 1e-5;

/** The greatest difference of two lists of numbers, nested alike. Throws for other shapes. */
export function difference(found: unknown, expected: unknown, path = ''): number {
  if (typeof expected === 'number') {
    if (typeof found !== 'number') throw new Error(`${path} is ${found}, expected a number`);
    return Math.abs(found - expected) / Math.max(1, Math.abs(expected));
  }
  const [left, right] = [Array.from(found as ArrayLike<unknown>), Array.from(expected as ArrayLike<unknown>)];
  if (left.length !== right.length) throw new Error(`${path} has ${left.length} entries, expected ${right.length}`);
  return right.reduce<number>((max, each, i) => Math.max(max, difference(left[i], each, `${path}[${i}]`)), 0);
}
