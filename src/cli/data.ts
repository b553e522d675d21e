import { constants } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { ArgumentError } from '../core/errors.js';
import { withPath } from '../io/atomic-write.js';
import { wordPattern } from '../tokenizers/word.js';
import { quoted } from './encoding.js';

/** An input with all of its correct outputs. */
export interface Pair {
  readonly source: string;
  readonly targets: readonly string[];
}

/** Reads a text file. Throws ArgumentError if it is not in UTF-8, or longer than a string can be. */
export async function readText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ERR_FS_FILE_TOO_LARGE') throw tooLong(path, error);
    throw withPath(error, path); // Node's errors about folders do not name them
  });
  return decodeText(path, bytes);
}

/** Reads a JSON file. Throws ArgumentError as `readText`, and for invalid JSON. */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ArgumentError(`${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Decodes UTF-8, without a byte order mark. Throws the errors of `readText`, which call the text `name`. */
export function decodeText(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_STRING_TOO_LONG') throw tooLong(name, cause);
    throw new ArgumentError(`${name} is not text in UTF-8`, { cause });
  }
}

function tooLong(name: string, cause: unknown): ArgumentError {
  const max = constants.MAX_STRING_LENGTH;
  return new ArgumentError(`${name} is too long: a text has at most ${max} characters, give a part of it`, { cause });
}

/**
 * Reads a file of pairs. Each line has a source and one or more targets, separated by tabs. Lines with equal sources
 * are joined. `lowerCase` converts sources to lower case.
 */
export async function readPairs(path: string, { lowerCase = false } = {}): Promise<Pair[]> {
  const pairs = await readPairLines(path);
  return joined(pairs.map(({ source, targets }) => [lowerCase ? source.toLowerCase() : source, targets]));
}

/** Reads a file of pairs as `readPairs`, but keeps each line as it is. */
export async function readPairLines(path: string): Promise<Pair[]> {
  const lines = (await readText(path)).split(/\r\n?|\n/);
  const pairs = lines.flatMap((line, i): Pair[] => {
    if (line === '') return [];
    const [source = '', ...targets] = line.split('\t');
    if (source === '' || targets.length === 0 || targets.some((target) => words(target).length === 0)) {
      throw new ArgumentError(`${path}:${i + 1}: expected a source, a tab and a target, got ${quoted(line)}`);
    }
    return [{ source, targets }];
  });
  if (pairs.length === 0)
    throw new ArgumentError(`${path} has no pairs, expected lines with a source, a tab and a target`);
  return pairs;
}

const WORDS = wordPattern('whitespace');

/** Tokens of an output or a reference, as the tokenizer of pronunciations splits them. */
export function words(text: string): string[] {
  return text.match(WORDS) ?? [];
}

/** The CMU pronouncing dictionary in the npm package `cmu-pronouncing-dictionary`, without stress marks. */
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
  const pairs = Object.entries(dictionary).flatMap(([key, value]): [string, string[]][] => {
    const word = key.replace(/\(\d+\)$/, ''); // "read(2)" is another pronunciation of "read"
    const pronunciation = value.replace(/ *#.*$/, '').replace(/\d/g, '');
    return /^[a-z']+$/.test(word) ? [[word, [pronunciation]]] : [];
  });
  return joined(pairs);
}

/** Joins pairs with equal sources. Sources and targets keep the order of their first occurrence. */
function joined(pairs: readonly (readonly [source: string, targets: readonly string[]])[]): Pair[] {
  const all = new Map<string, Set<string>>();
  for (const [source, targets] of pairs) {
    const found = all.get(source) ?? new Set();
    for (const target of targets) found.add(target);
    all.set(source, found);
  }
  return [...all].map(([source, targets]) => ({ source, targets: [...targets] }));
}
