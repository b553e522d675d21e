// Files of a folder: a path in Node, or a URL anywhere.

import { isNode, nodeModule } from '../backend/node.js';
import { checkOptions } from '../core/check.js';
import { ArgumentError, FetchError, FormatError } from '../core/errors.js';
import { isUrl } from '../core/kinds.js';
import { inMemory } from './byte-source.js';
import { type OpenFile, openFileOf, readFilesOf } from './file.js';
import { proxiedFetch } from './proxied-fetch.js';

/** Options of `Transformer.load`. */
export interface LoadOptions {
  /** Aborts the loading, which then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** Files by name. Optional ones are present only if they exist. */
interface FolderFiles {
  readonly required: readonly string[];
  readonly optional: readonly string[];
  /** Checks the first required file before others are requested. Throws if it belongs to something else. */
  readonly recognize: (first: Uint8Array) => void;
}

/**
 * Reads files of a folder. In Node, a path is relative to the working directory; in browsers, a URL is relative to the
 * page. Throws FormatError if a required file is missing, and FetchError if the network or the server fails. Throws the
 * system's errors, and the reason of the signal.
 */
async function readFolder(
  folder: string | URL,
  { required, optional, recognize }: FolderFiles,
  options: LoadOptions = {},
): Promise<Record<string, Uint8Array>> {
  const { signal } = checkOptions('load', options, { signal: 'signal' });
  signal?.throwIfAborted();
  const url = remoteUrl(folder);
  const find =
    url === null
      ? await readFilesOf(await pathOf(folder))
      : (name: string) => fetchFile(urlInside(url, name), optional.includes(name), signal);
  const files: Record<string, Uint8Array> = {};
  const read = async (name: string) => {
    const found = await find(name, signal);
    if (typeof found !== 'string') files[name] = found;
    else if (required.includes(name)) throw new FormatError(`${folder} contains no model: there is no ${name}${found}`);
  };
  const [first, ...others] = [...required, ...optional];
  await read(first as string);
  recognize(files[first as string] as Uint8Array);
  await Promise.all(others.map(read));
  return files;
}

/** Like `readFolder`, but opens one large file instead of reading it, if the folder is in Node's file system. */
export async function openFolder(
  folder: string | URL,
  { required, ...others }: FolderFiles,
  large: string,
  options?: LoadOptions,
): Promise<{ files: Record<string, Uint8Array>; opened: OpenFile }> {
  if (remoteUrl(folder) !== null) {
    const files = await readFolder(folder, { required: [...required, large], ...others }, options);
    return { files, opened: { ...inMemory(files[large] as Uint8Array), close() {} } };
  }
  const files = await readFolder(folder, { required, ...others }, options);
  const opened = await openFileOf(await pathOf(folder), large);
  if (opened === null) throw new FormatError(`${folder} contains no model: there is no ${large}`);
  return { files, opened };
}

/** The path of a folder in Node. Throws ArgumentError outside of Node, or for a URL. */
export async function pathOf(folder: string | URL): Promise<string> {
  if (!isNode) throw new ArgumentError(`${folder} cannot be written: this runtime has no folders, use toFiles()`);
  if (remoteUrl(folder) !== null) throw new ArgumentError(`${folder} is not a folder of this machine`);
  const { fileURLToPath } = await nodeModule<typeof import('node:url')>('url');
  return isUrl(folder) || folder.startsWith('file:') ? fileURLToPath(folder) : folder;
}

/** The URL to fetch from. Null for a path in Node's file system. */
export function remoteUrl(folder: string | URL): URL | null {
  // A single letter before the colon is a Windows drive.
  const isPath = isNode && typeof folder === 'string' && !/^[a-z][a-z\d+.-]+:/i.test(folder);
  if (isPath) return null;
  try {
    if (!(typeof folder === 'string' || isUrl(folder))) throw new TypeError(`it is a ${typeof folder}`);
    const url = new URL(folder, globalThis.document?.baseURI ?? globalThis.location?.href);
    return isNode && url.protocol === 'file:' ? null : url;
  } catch (cause) {
    throw new ArgumentError(`${folder} is neither a path nor a URL: ${(cause as Error).message}`, { cause });
  }
}

/** The URL of a file in a folder. The folder's URL may end with a slash or a query. */
export function urlInside(folder: URL, name: string): URL {
  const url = new URL(folder);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/${name}`;
  return url;
}

/** Fetches the bytes of a file. Returns a text in brackets with the reason if the file is missing. */
export async function fetchFile(url: URL, isOptional: boolean, signal?: AbortSignal): Promise<Uint8Array | string> {
  let response: Response;
  let bytes: ArrayBuffer;
  try {
    response = await proxiedFetch(url, { signal: signal ?? null });
    bytes = await response.arrayBuffer();
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    const { message, cause } = error as Error;
    const why = cause instanceof Error ? cause.message : message; // Node's message is only 'fetch failed'
    throw new FetchError(`${url} cannot be fetched: ${why}`, { cause: error });
  }
  const { status } = response;
  // Object stores answer 403 for missing files.
  const isAbsent = status === 404 || status === 410 || (isOptional && status === 403);
  if (isAbsent) return ` (HTTP status ${status} for ${url})`;
  if (!response.ok) throw new FetchError(`${url} cannot be fetched: HTTP status ${status}`);
  // Servers of single-page applications send their page instead of 404.
  const page = response.headers.get('content-type')?.startsWith('text/html');
  return page ? ` (${url} is a page, text/html)` : new Uint8Array(bytes);
}
