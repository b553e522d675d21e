// Sources of models: a folder, a URL, the hub, or files.

import { isNode, nodeModule } from '../backend/node.js';
import { checkKnown, checkSignal, describeValue } from '../core/check.js';
import { ArgumentError, FormatError, HubError } from '../core/errors.js';
import { isBlob, isResponse, isTyped, isUrl } from '../core/kinds.js';
import { inMemory } from '../io/byte-source.js';
import { fetchInParts } from '../io/fetch-parts.js';
import { type OpenFile, openFileOf } from '../io/file.js';
import { fetchFile, pathOf, remoteUrl, urlInside } from '../io/folder.js';
import { streamFile } from '../io/stream-file.js';
import { blobFile } from './blob-file.js';
import { checkFileName } from './file-name.js';
import { isHubId, openHub } from './hub.js';
import { HubClient } from './hub-client.js';
import { type HubOptions, hubOptionNames } from './hub-options.js';
import { type ModelSource, sourceOf } from './source.js';

/** The content of a file, in memory or as a Blob. */
export type FileContent = Blob | Uint8Array | ArrayBuffer;

/**
 * Files by name, or a list of files that were dropped on a page or picked in it. All names in the list may begin with
 * the name of one folder.
 */
export type ModelFileSet = Readonly<Record<string, FileContent>> | ReadonlyMap<string, FileContent> | Iterable<File>;

/** The location of a model. A Blob or a Response must contain a GGUF file. */
export type ModelLocation = string | URL | ModelFileSet | Blob | Response;

/**
 * Opens the files of a model. `from` is the path of a folder or GGUF file, a URL, a hub id such as `org/name`, or
 * files. Throws ArgumentError for other values, and the errors of `openHub`. With `inParts`, only those parts of
 * weights that are read are transferred from servers.
 */
export async function openSource(from: ModelLocation, options: HubOptions = {}, inParts = false): Promise<ModelSource> {
  const { signal } = checkKnown('loadModel', options, [...hubOptionNames]);
  checkSignal('loadModel', signal);
  signal?.throwIfAborted();
  if (isResponse(from)) return openGguf(from.url || 'the response', () => streamFile(from));
  if (isBlob(from)) {
    const name = (from as File).name || 'the blob';
    return openGguf(name, () => blobFile(name, from));
  }
  const source = await folderOf(from, options, inParts);
  const single = await singleGguf(source);
  if (single === null) return source;
  const { model, projector } = single;
  const language = await openGguf(`${source.name}/${model}`, (name) => source.open(name), model);
  if (projector === undefined) return language;
  const { withProjector } = await import('./gguf/projector.js');
  return withProjector(language, `${source.name}/${projector}`, () => source.open(projector));
}

/**
 * Opens a GGUF file, or all parts of one. `file` is its name, and `open` opens files of the same folder by name. The
 * reader's code is loaded at the first call.
 */
async function openGguf(
  name: string,
  open: (name: string) => OpenFile | Promise<OpenFile>,
  file?: string,
): Promise<ModelSource> {
  const { ggufSource } = await import('./gguf/source.js');
  const { partNames } = await import('./gguf/split.js');
  const files: OpenFile[] = [];
  try {
    for (const part of (file && partNames(file)) || [file ?? name]) files.push(await open(part));
  } catch (error) {
    for (const opened of files) opened.close();
    throw error;
  }
  return ggufSource(name, files);
}

/** The name of a file that reads images for a language model beside it. */
const PROJECTOR = /mmproj[^/]*\.gguf$/i;

/**
 * Returns the name of the GGUF file of a folder without config.json; null if there is none. `projector`: the file that
 * reads images for it. Throws ArgumentError if there are several.
 */
async function singleGguf(source: ModelSource): Promise<{ model: string; projector: string | undefined } | null> {
  const names = source.weights === undefined ? await source.list() : null;
  if (names === null || names.includes('config.json')) return null;
  const files = names.filter((name) => name.endsWith('.gguf'));
  const [projector, ...moreProjectors] = files.filter((name) => PROJECTOR.test(name));
  const [model, ...otherFiles] = files.filter((name) => !PROJECTOR.test(name));
  if (model === undefined) return projector === undefined ? null : { model: projector, projector: undefined };
  if (moreProjectors.length > 0)
    throw new ArgumentError(
      `loadModel: ${source.name} has ${1 + moreProjectors.length} mmproj files, expected one: give the file of the model and one of them`,
    );
  if (otherFiles.length === 0) return { model, projector };
  const { partNames } = await import('./gguf/split.js');
  const parts = partNames(model);
  if (parts !== null && otherFiles.every((name) => parts.includes(name))) return { model, projector };
  throw new ArgumentError(
    `loadModel: ${source.name} has ${1 + otherFiles.length} GGUF files, expected one: give the path of one, such as ${model}, or its URL on the hub, …/resolve/main/${model}`,
  );
}

async function folderOf(
  from: string | URL | ModelFileSet,
  options: HubOptions,
  inParts: boolean,
): Promise<ModelSource> {
  const { signal } = options;
  if (typeof from !== 'string' && !isUrl(from)) return filesSource(filesByName(from), signal);
  const isAddress = isUrl(from) || /^[a-z][a-z\d+.-]+:/i.test(from);
  if (isNode && (!isAddress || remoteUrl(from) === null)) {
    const local = await openLocal(await pathOf(from), signal);
    if (local !== null) return local;
  } else if (isAddress || /^\.{0,2}\//.test(from)) return openAddress(remoteUrl(from) as URL, signal, inParts);
  if (typeof from === 'string' && isHubId(from))
    return openHub(from, options, inParts).catch((error) => notHere(from, error));
  const expected = 'an existing folder or GGUF file, a URL, or an id on the hub such as org/name';
  throw new ArgumentError(`loadModel: ${describeValue(String(from))} does not exist, expected ${expected}`);
}

/** Opens a folder or a GGUF file; null if nothing is at the path. */
async function openLocal(path: string, signal: AbortSignal | undefined): Promise<ModelSource | null> {
  const kind = await kindOf(path);
  if (kind === 'folder') return folderSource(path, signal);
  return kind === 'file' ? openLocalGguf(path) : null;
}

/** Opens the folder or the GGUF file at a URL. `inParts`: see `openSource`. */
async function openAddress(url: URL, signal: AbortSignal | undefined, inParts: boolean): Promise<ModelSource> {
  if (!url.pathname.endsWith('.gguf')) return inParts ? rangedSource(url, signal) : urlSource(url, signal);
  const opened = (file: string) => fetchInParts(new URL(file, url), signal);
  const parts = inParts ? rangedSource(new URL('.', url), signal) : null;
  return openGguf(url.href, parts ? (file) => parts.open(file) : opened, url.pathname.split('/').at(-1));
}

/** Opens a GGUF file at a path, with its other parts from the same folder. */
async function openLocalGguf(path: string): Promise<ModelSource> {
  const { basename, dirname } = await nodeModule<typeof import('node:path')>('path');
  const folder = dirname(path);
  const open = async (name: string) => {
    const file = await openFileOf(folder, name);
    if (file) return file;
    throw new FormatError(`${path}: ${name}, another part of this file, is not in the same folder`);
  };
  return openGguf(path, open, basename(path));
}

/** If the hub is unreachable, an id is probably the path of a model that does not exist. */
function notHere(id: string, error: unknown): never {
  if (!isNode || !(error instanceof HubError) || error.status !== undefined) throw error;
  throw new HubError(`there is no folder or file ${id}, and ${error.message}`, error.url, undefined, { cause: error });
}

/** Returns what exists at a path; null for nothing. */
async function kindOf(path: string): Promise<'folder' | 'file' | null> {
  const { stat } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const stats = await stat(path).catch(() => undefined);
  return stats?.isDirectory() ? 'folder' : stats?.isFile() ? 'file' : null;
}

/** Names of folders of modules, which may contain folders of other modules. */
const MODULE = /^\d+_/;

async function folderSource(path: string, signal?: AbortSignal): Promise<ModelSource> {
  const { readdir, stat } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const { join } = await nodeModule<typeof import('node:path')>('path');
  const names: string[] = [];
  const list = async (folder: string, depth: number): Promise<void> => {
    for (const entry of await readdir(join(path, folder))) {
      const name = folder === '' ? entry : `${folder}/${entry}`;
      const stats = await stat(join(path, name)).catch(() => undefined); // links are followed
      if (stats?.isFile()) names.push(name);
      // The search ends at the depth of sentence-transformers' modules, because a given folder may have a million
      // files.
      else if (stats?.isDirectory() && entry !== '.git' && (depth === 0 || (depth === 1 && MODULE.test(folder))))
        await list(name, depth + 1);
    }
  };
  await list('', 0);
  return sourceOf(path, names.sort(), (name) => openFileOf(path, name), signal);
}

/**
 * Makes the source of a folder on a server. Files are fetched to memory. A file that `has` finds is kept until it is
 * opened.
 */
function urlSource(folder: URL, signal?: AbortSignal): ModelSource {
  const looked = new Map<string, OpenFile | null>();
  return sourceOf(
    folder.href,
    null,
    async (name) => {
      const before = looked.get(name);
      if (before !== undefined) {
        looked.delete(name);
        return before;
      }
      const found = await fetchFile(urlInside(folder, name), true, signal);
      const file = typeof found === 'string' ? null : { ...inMemory(found), close() {} };
      looked.set(name, file);
      return file;
    },
    signal,
  );
}

/** Makes the source of a folder on a server from which only the parts that are read are transferred. */
function rangedSource(folder: URL, signal?: AbortSignal): ModelSource {
  const client = new HubClient({ endpoint: folder.origin, token: undefined, signal }, folder.href);
  const opened = new Map<string, Promise<OpenFile | null>>();
  const find = async (name: string) => {
    const { openRanged } = await import('./ranged-file.js');
    const file =
      opened.get(name) ??
      openRanged(client, urlInside(folder, name).href).catch((error: unknown) => {
        // Object stores answer 403 for missing files.
        if (error instanceof HubError && [403, 404, 410].includes(error.status ?? 0)) return null;
        throw error;
      });
    opened.set(name, file);
    return file;
  };
  return sourceOf(folder.href, null, find, signal);
}

function filesSource(files: ReadonlyMap<string, FileContent>, signal?: AbortSignal): ModelSource {
  return sourceOf(
    'the given files',
    [...files.keys()],
    async (name) => {
      const content = files.get(name);
      if (content === undefined) return null;
      return isBlob(content) ? blobFile(name, content) : { ...inMemory(content), close() {} };
    },
    signal,
  );
}

function filesByName(fileSet: ModelFileSet): Map<string, FileContent> {
  if (typeof fileSet !== 'object' || fileSet === null)
    throw new ArgumentError(`loadModel: the model is ${describeValue(fileSet)}, expected a folder, an id or files`);
  const isListed = !(fileSet instanceof Map) && Symbol.iterator in fileSet;
  const entries: [string, FileContent][] = isListed
    ? withoutFolder([...(fileSet as Iterable<File>)])
    : fileSet instanceof Map
      ? [...fileSet]
      : Object.entries(fileSet as Readonly<Record<string, FileContent>>);
  const files = new Map<string, FileContent>();
  for (const [name, content] of entries) {
    if (files.has(checkFileName(name)))
      throw new ArgumentError(
        `loadModel: there are two files ${name}: give the folder, or names that include their folders`,
      );
    if (!(isBlob(content) || isTyped(content, 'Uint8Array') || isBuffer(content))) {
      const expected = 'a File, a Blob, a Uint8Array or an ArrayBuffer';
      throw new ArgumentError(`loadModel: ${name} is ${describeValue(content)}, expected ${expected}`);
    }
    files.set(name, content);
  }
  if (files.size === 0) throw new ArgumentError('loadModel: no files were given');
  return files;
}

const isBuffer = (value: unknown) => Object.prototype.toString.call(value) === '[object ArrayBuffer]';

/** Removes the name of a picked or dropped folder from the beginning of each file's name. */
function withoutFolder(files: readonly File[]): [string, File][] {
  const names = files.map((file) => {
    if (typeof file?.name !== 'string')
      throw new ArgumentError(`loadModel: a file of the list is ${describeValue(file)}, expected a File with its name`);
    return file.webkitRelativePath || file.name;
  });
  const folder = names[0]?.slice(0, names[0].indexOf('/') + 1) ?? '';
  const isShared = folder !== '' && names.every((name) => name.startsWith(folder));
  return files.map((file, i) => [(names[i] as string).slice(isShared ? folder.length : 0), file]);
}
