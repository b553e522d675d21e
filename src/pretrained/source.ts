// The files of a model behind one interface, wherever they lie.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { OpenFile } from '../io/file.js';
import type { GgufValue } from '../io/gguf-values.js';
import type { WeightEntry, Weights } from '../models/weight-entry.js';
import { checkFileName } from './file-name.js';

/**
 * The files of a model. Names are relative, with slashes, such as `1_Pooling/config.json`; all methods throw FormatError for those that lead
 * out of the folder.
 */
export interface ModelSource {
  /** The folder's path, the URL or the id on the hub: what messages call it. */
  readonly name: string;
  /** The names of all files; null where nobody can tell, as of a folder on a server. */
  list(): Promise<readonly string[] | null>;
  has(name: string): Promise<boolean>;
  /** The bytes of a file. Throws FormatError if it is not there. */
  bytes(name: string): Promise<Uint8Array>;
  /** The object that a file of JSON holds. Throws FormatError if it is not there, or not an object. */
  json(name: string): Promise<Readonly<Record<string, unknown>>>;
  /**
   * A file to read any part of, until it is closed. Blobs of pages are read by `readAsync`, and by `read` only as far as it takes to read the
   * header of a safetensors file. Throws FormatError if it is not there.
   */
  open(name: string): Promise<OpenFile>;
  /** The weights, where they are in none of these files: those of a GGUF file, which is open until they are closed. */
  readonly weights?: Weights | undefined;
  /** Projections behind the pooling, by folder and parameter, where they are in none of these files. */
  readonly projections?: ReadonlyMap<string, ReadonlyMap<string, WeightEntry>> | undefined;
  /** The vocabulary's metadata in a GGUF file. */
  readonly vocabulary?: ReadonlyMap<string, GgufValue> | undefined;
}

/** Length from which a file is parsed in slices, by code that is loaded then. */
const LONG_JSON = 1 << 16;

/** Files longer than this are no configuration. */
const MAX_JSON = 200_000_000;

/** A source, by what opens its files: null for those that are not there. */
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
    if (found === null) throw new FormatError(`${name} has no ${file}`);
    return found;
  };
  const bytes = async (file: string, most = Number.POSITIVE_INFINITY): Promise<Uint8Array> => {
    const found = await open(file);
    try {
      if (found.size > most)
        throw new FormatError(`${name}: ${file} has ${found.size} bytes: at most ${most} are read`);
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

/** The value in a file of JSON. Rejects with FormatError, naming the file, if it is no JSON. */
export async function parseJson(where: string, bytes: Uint8Array): Promise<unknown> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    if (text.length < LONG_JSON) return JSON.parse(text);
    const { parseJsonInSlices } = await import('../core/parse-json.js');
    return await parseJsonInSlices(text);
  } catch (cause) {
    throw new FormatError(`${where} is not JSON in UTF-8: ${(cause as Error).message}`, { cause });
  }
}
