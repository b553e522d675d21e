// One interface to the files of a model, for folders, servers, the hub and files in memory.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { OpenFile } from '../io/file.js';
import type { GgufValue } from '../io/gguf-values.js';
import type { WeightEntry, Weights } from '../models/weight-entry.js';
import { checkFileName } from './file-name.js';

/**
 * The files of a model. Names are relative, with slashes, such as `1_Pooling/config.json`. All methods throw
 * FormatError for names that lead out of the folder.
 */
export interface ModelSource {
  /** Name of the source in messages: the folder's path, the URL or the hub id. */
  readonly name: string;
  /** Returns the names of all files; null if they are unknown, as for a folder on a server. */
  list(): Promise<readonly string[] | null>;
  has(name: string): Promise<boolean>;
  /** Reads a file. Throws FormatError if it does not exist. */
  bytes(name: string): Promise<Uint8Array>;
  /** Reads the object in a JSON file. Throws FormatError if the file does not exist or is not an object. */
  json(name: string): Promise<Readonly<Record<string, unknown>>>;
  /**
   * Opens a file, of which any part can be read until it is closed. Blobs are read by `readAsync`; for them, `read`
   * works only for the header of a safetensors file. Throws FormatError if the file does not exist.
   */
  open(name: string): Promise<OpenFile>;
  /** The weights of a GGUF file, which has no separate files of weights. The file is open until these are closed. */
  readonly weights?: Weights | undefined;
  /** Opens weights that replace those of the same names, such as an adapter of a language. */
  replacements?(): Promise<Weights>;
  /** Projections after the pooling in a GGUF file, by folder and parameter. */
  readonly projections?: ReadonlyMap<string, ReadonlyMap<string, WeightEntry>> | undefined;
  /** The vocabulary's metadata in a GGUF file. */
  readonly vocabulary?: ReadonlyMap<string, GgufValue> | undefined;
}

/** Length above which a file is parsed in slices. The code for that is loaded on demand. */
const LONG_JSON = 1 << 16;

/** Maximum bytes of a JSON file. */
const MAX_JSON = 200_000_000;

/** Makes a source from a function that opens files, and returns null for files that do not exist. */
export function sourceOf(
  name: string,
  names: readonly string[] | null,
  find: (name: string) => Promise<OpenFile | null>,
  signal?: AbortSignal,
): ModelSource {
  const opened = async (file: string): Promise<OpenFile | null> => {
    checkFileName(file);
    signal?.throwIfAborted();
    return find(file);
  };
  const open = async (file: string): Promise<OpenFile> => {
    const found = await opened(file);
    if (found !== null) return found;
    // A service worker has no import().
    const hints = file === 'config.json' ? await import('./no-config.js').catch(() => null) : null;
    throw new FormatError(`${name} has no ${file}${hints?.withoutConfig(names) ?? ''}`);
  };
  const bytes = async (file: string, max = Number.POSITIVE_INFINITY): Promise<Uint8Array> => {
    const found = await open(file);
    try {
      if (found.size > max) throw new FormatError(`${name}: ${file} has ${found.size} bytes, expected at most ${max}`);
      if (found.view) return found.view(0, found.size);
      const all = new Uint8Array(found.size);
      await (found.readAsync ? found.readAsync(0, all) : found.read(0, all));
      return all;
    } finally {
      found.close();
    }
  };
  return {
    name,
    list: async () => names,
    async has(file) {
      if (names !== null) return names.includes(checkFileName(file));
      const found = await opened(file);
      found?.close();
      return found !== null;
    },
    bytes: (file) => bytes(file),
    async json(file) {
      const value = await parseJson(`${name}: ${file}`, await bytes(file, MAX_JSON));
      if (isObject(value)) return value;
      throw new FormatError(`${name}: ${file} holds ${describeValue(value)}, expected an object`);
    },
    open,
  };
}

/** Parses a JSON file. Rejects with FormatError, which names the file, if it is not JSON. */
export async function parseJson(where: string, bytes: Uint8Array): Promise<unknown> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (text.length < LONG_JSON) return JSON.parse(text);
    const { parseJsonAsync } = await import('../core/parse-json.js');
    return await parseJsonAsync(text);
  } catch (cause) {
    throw new FormatError(`${where} is not JSON in UTF-8: ${(cause as Error).message}`, { cause });
  }
}
