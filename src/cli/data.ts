import { constants } from 'node:buffer';
import { readFile } from 'node:fs/promises';
import { ArgumentError } from '../core/errors.js';
import { withPath } from '../io/atomic-write.js';
import { wordPattern } from '../tokenizers/word.js';
import { quoted } from './encoding.js';

/** An input and every output that is right for it. */
export interface Pair {
  readonly source: string;
  readonly targets: readonly string[];
}

/** Reads a text file. Throws ArgumentError if it is not in UTF-8, or longer than a string can be. */
export async function readText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ERR_FS_FILE_TOO_LARGE') throw tooLong(path, error);
    throw withPath(error, path); // of a folder Node says everything but which
  });
  return decodeText(path, bytes);
}

/** Reads a file of JSON. Throws ArgumentError, as `readText`, and if it is none. */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ArgumentError(`${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Bytes as UTF-8, without a byte order mark. Throws ArgumentError as `readText`, calling them `name`. */
export function decodeText(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_STRING_TOO_LONG') throw tooLong(name, cause);
    throw new ArgumentError(`${name} is not text in UTF-8`, { cause });
  }
}

function tooLong(name: string, cause: unknown): ArgumentError {
  const most = constants.MAX_STRING_LENGTH;
  return new ArgumentError(`${name} is too long: a text has at most ${most} characters, give a part of it`, { cause });
}

/**
 * Reads a file of pairs: a line each, source and one or more targets separated by tabs. Lines of the same source are
 * joined. Sources become lower case where `lowerCase` says so.
 */
export async function readPairs(path: string, { lowerCase = false } = {}): Promise<Pair[]> {
  const pairs = await readPairLines(path);
  return joined(pairs.map(({ source, targets }) => [lowerCase ? source.toLowerCase() : source, targets]));
}

/** Reads a file of pairs as `readPairs`, each line as it stands there. */
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
  if (pairs.length === 0) throw new ArgumentError(`${path} has no pairs in it`);
  return pairs;
}

const WORDS = wordPattern('whitespace');

/** The tokens of an output or a reference, as the tokenizer of pronunciations splits them. */
export function words(text: string): string[] {
  return text.match(WORDS) ?? [];
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
  const pairs = Object.entries(dictionary).flatMap(([key, value]): [string, string[]][] => {
    const word = key.replace(/\(\d+\)$/, ''); // "read(2)" is another pronunciation of "read"
    const pronunciation = value.replace(/ *#.*$/, '').replace(/\d/g, '');
    return /^[a-z']+$/.test(word) ? [[word, [pronunciation]]] : [];
  });
  return joined(pairs);
}

/** Pairs of the same source as one, in the order in which sources and targets come first. */
function joined(pairs: readonly (readonly [source: string, targets: readonly string[]])[]): Pair[] {
  const all = new Map<string, Set<string>>();
  for (const [source, targets] of pairs) {
    const found = all.get(source) ?? new Set();
    for (const target of targets) found.add(target);
    all.set(source, found);
  }
  return [...all].map(([source, targets]) => ({ source, targets: [...targets] }));
}
