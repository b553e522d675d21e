// Opens the files of a model by its id on Hugging Face's hub. This uses `fetch` directly. `@huggingface/hub` would
// bring two more packages, one with a WebAssembly module. It does not resume interrupted downloads, and has no cache in
// pages.

import { isNode } from '../backend/node.js';
import { isObject } from '../core/check.js';
import { FormatError, HubError } from '../core/errors.js';
import type { OpenFile } from '../io/file.js';
import { checkFileName } from './file-name.js';
import { openNodeCache } from './hub-cache.js';
import { HubClient } from './hub-client.js';
import { type HubOptions, type HubSettings, hubSettings } from './hub-options.js';
import { openPageCache } from './hub-page.js';
import type { HubCache, HubFile, HubRevision } from './hub-store.js';
import { type ModelSource, sourceOf } from './source.js';

/** True for a text with the form of an id: `name` or `organisation/name`. */
export function isHubId(text: string): boolean {
  return /^(?=.{1,96}$)(\w[\w.-]*\/)?\w[\w.-]*$/.test(text) && !/\.\.|--|\.git$|[.-](\/|$)/.test(text);
}

/**
 * Opens a model on the hub. Its files are downloaded when they are opened, and stay in the cache. If the hub is
 * unreachable, or `HF_HUB_OFFLINE` is set, only the cache is used. Throws HubError if the hub refuses a file or the
 * transfer fails. Throws ArgumentError for unknown options and for a cache folder that cannot be written to. Throws
 * other errors of the system, and the signal's reason. With `inParts`, files of weights are not downloaded: the parts
 * that are read are fetched by range requests.
 */
export async function openHub(id: string, options?: HubOptions, inParts = false): Promise<ModelSource> {
  const settings = await hubSettings('loadModel', options);
  const { endpoint, cacheDir, onProgress, signal } = settings;
  signal?.throwIfAborted();
  const client = new HubClient(settings, id);
  const cache = await (isNode ? openNodeCache(cacheDir, id) : openPageCache(cacheDir, endpoint, id));
  const { sha, files, isRemembered } = await resolveRevision(id, settings, client, cache);

  async function open(name: string): Promise<OpenFile | null> {
    const found = await cache.open(sha, name);
    const file = files.get(name);
    if (found !== null && [undefined, found.size].includes(file?.size)) return found;
    found?.close();
    if (file === undefined) {
      if (!isRemembered) return null;
      throw new HubError(`${name} of ${id} is not in the cache, and the hub is unreachable`, `${endpoint}/${id}`);
    }
    const url = `${endpoint}/${id}/resolve/${sha}/${name.split('/').map(encodeURIComponent).join('/')}`;
    if (settings.offline) throw new HubError(`${name} of ${id} is not in the cache, and ${OFFLINE}`, url);
    if (inParts && isWeights(name)) {
      const { openRanged } = await import('./ranged-file.js');
      return openRanged(client, url, file.size);
    }
    await cache.fetch(sha, file, url, client, (loaded, total = Number.NaN) =>
      onProgress({ file: name, loaded, total }),
    );
    return cache.open(sha, name);
  }

  return sourceOf(id, [...files.keys()].sort(), open, signal);
}

const OFFLINE = 'HF_HUB_OFFLINE is set';

/** True for a file that may hold weights. */
const isWeights = (name: string) => /\.(safetensors|bin|pth?|onnx|onnx_data\w*|gguf)$/.test(name);

/** Returns the commit of a revision: the present one, or the latest known one if the hub is unreachable. */
async function resolveRevision(
  id: string,
  { endpoint, revision, offline }: HubSettings,
  client: HubClient,
  cache: HubCache,
): Promise<HubRevision & { isRemembered: boolean }> {
  const url = `${endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const remembered = await cache.remembered(revision);
  if (offline) {
    if (remembered !== null) return { ...remembered, isRemembered: true };
    throw new HubError(`${id} (${revision}) is not in the cache, and ${OFFLINE}`, url);
  }
  let answer: unknown;
  try {
    answer = await client.json(url, remembered === null ? undefined : 1);
  } catch (error) {
    const isUnreachable =
      error instanceof HubError && (error.status === undefined || error.status === 429 || error.status >= 500);
    if (!isUnreachable || remembered === null) throw error;
    return { ...remembered, isRemembered: true };
  }
  const found = readAnswer(url, answer);
  await cache.remember(revision, found);
  return { ...found, isRemembered: false };
}

function readAnswer(url: string, answer: unknown): HubRevision {
  const { sha, siblings } = isObject(answer) ? answer : {};
  if (typeof sha !== 'string' || !/^[\da-f]{4,64}$/.test(sha) || !Array.isArray(siblings))
    throw new HubError(`${url} answered without a commit and its files: is the server a hub?`, url);
  const files = new Map<string, HubFile>();
  for (const sibling of siblings) {
    if (!isObject(sibling)) throw new HubError(`${url} lists a file as ${typeof sibling}, expected an object`, url);
    const { rfilename, size, blobId, lfs } = sibling;
    let name: string;
    try {
      name = checkFileName(rfilename);
    } catch (error) {
      if (error instanceof FormatError) continue; // an invalid name is never requested
      throw error;
    }
    const large = isObject(lfs) ? lfs : {};
    const etag = large.sha256 ?? blobId;
    const length = large.size ?? size;
    files.set(name, {
      name,
      ...(typeof length === 'number' && { size: length }),
      ...(typeof etag === 'string' && { etag }),
    });
  }
  return { sha, files };
}
