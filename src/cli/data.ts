import { readFile } from 'node:fs/promises';
import { ArgumentError } from '../core/errors.js';

/** An input and every output that is right for it. */
export interface Pair {
  readonly source: string;
  readonly targets: readonly string[];
}

/** Reads a text file. Throws ArgumentError if it is not in UTF-8. */
export async function readText(path: string): Promise<string> {
  return decodeText(path, await readFile(path));
}

/** Bytes as UTF-8, without a byte order mark. Throws ArgumentError, naming them, if they are not. */
export function decodeText(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ArgumentError(`${name} is not text in UTF-8`, { cause });
  }
}

/**
 * Reads a file of pairs: a line each, source and one or more targets separated by tabs. Lines of the same source are
 * joined. Sources become lower case where `lowerCase` says so.
 */
export async function readPairs(path: string, { lowerCase = false } = {}): Promise<Pair[]> {
  const pairs = new Map<string, Set<string>>();
  const lines = (await readText(path)).split(/\r?\n/);
  lines.forEach((line, i) => {
    if (line === '') return;
    const [source = '', ...targets] = line.split('\t');
    if (source === '' || targets.length === 0 || targets.some((target) => target.trim() === '')) {
      throw new ArgumentError(`${path}:${i + 1}: expected a source, a tab and a target, got ${JSON.stringify(line)}`);
    }
    const key = lowerCase ? source.toLowerCase() : source;
    pairs.set(key, new Set([...(pairs.get(key) ?? []), ...targets]));
  });
  if (pairs.size === 0) throw new ArgumentError(`${path} has no pairs in it`);
  return [...pairs].map(([source, targets]) => ({ source, targets: [...targets] }));
}

/** The CMU pronouncing dictionary of npm's `cmu-pronouncing-dictionary`, without stress. */
export async function readDictionary(): Promise<Pair[]> {
  let dictionary: Record<string, string>;
  try {
    ({ dictionary } = await import('cmu-pronouncing-dictionary'));
  } catch (cause) {
    throw new ArgumentError(
      'the dictionary is not installed: npm install cmu-pronouncing-dictionary, or give a file with --data',
      { cause },
    );
  }
  const pairs = new Map<string, Set<string>>();
  for (const [key, value] of Object.entries(dictionary)) {
    const word = key.replace(/\(\d+\)$/, ''); // "read(2)" is another pronunciation of "read"
    if (!/^[a-z']+$/.test(word)) continue;
    const pronunciation = value.replace(/ *#.*$/, '').replace(/\d/g, '');
    pairs.set(word, (pairs.get(word) ?? new Set()).add(pronunciation));
  }
  return [...pairs].map(([source, targets]) => ({ source, targets: [...targets] }));
}
