// The cache of hub files in pages and workers, in Cache storage. It has lists of files, and files in parts. Each part
// is a separate entry, so that an interrupted download can continue.

import { isObject } from '../core/check.js';
import { HubError } from '../core/errors.js';
import type { OpenFile } from '../io/file.js';
import { blobFile } from './blob-file.js';
import type { HubCache, HubFile, HubRevision } from './hub-store.js';

/** Number of bytes of a part. */
const PART = 1 << 24;

/** The entry of a complete file, with its length. */
interface Complete {
  readonly size: number;
}

export async function openPageCache(cacheName: string, endpoint: string, id: string): Promise<HubCache> {
  const { caches } = globalThis;
  if (caches === undefined)
    throw new HubError('Cache storage is not available, because it needs https or localhost', `${endpoint}/${id}`);
  const cache = await caches.open(cacheName);
  const base = `${endpoint}/${id}/resolve`;
  const urlOf = (sha: string, name: string) => `${base}/${sha}/${name.split('/').map(encodeURIComponent).join('/')}`;
  const stored = async (key: string) => (await cache.match(key))?.json();

  return {
    async remembered(revision) {
      const found = (await stored(`${base}/${revision}?files`)) as { sha: string; files: HubFile[] } | undefined;
      return found === undefined
        ? null
        : { sha: found.sha, files: new Map(found.files.map((file) => [file.name, file])) };
    },

    async remember(revision, { sha, files }: HubRevision) {
      const answer = Response.json({ sha, files: [...files.values()] });
      await cache.put(`${base}/${revision}?files`, answer);
    },

    async open(sha, name): Promise<OpenFile | null> {
      const url = urlOf(sha, name);
      const complete = (await stored(`${url}?complete`)) as Complete | undefined;
      if (!isObject(complete)) return null;
      const parts: Blob[] = [];
      for (let from = 0; from < complete.size; from += PART) {
        const part = await cache.match(`${url}?from=${from}`);
        if (part === undefined) return null; // the browser has evicted a part
        parts.push(await part.blob());
      }
      const blob = new Blob(parts);
      return blob.size === complete.size ? blobFile(name, blob) : null;
    },

    async fetch(sha, file, url, client, onProgress) {
      const key = urlOf(sha, file.name);
      const length = file.size ?? Number((await client.head(url)).get('content-length') ?? Number.NaN);
      if (!(Number.isSafeInteger(length) && length >= 0))
        throw new HubError(`${url} was sent without a length, expected a content-length header`, url);
      for (let from = 0; from < length; from += PART) {
        const to = Math.min(from + PART, length);
        const before = await cache.match(`${key}?from=${from}`);
        if (before === undefined || (await before.blob()).size !== to - from) {
          const parts: Uint8Array<ArrayBuffer>[] = [];
          let received = from;
          onProgress(received, length);
          for await (const part of client.bytes(url, from, length, to)) {
            parts.push(part as Uint8Array<ArrayBuffer>);
            received += part.byteLength;
            onProgress(received, length);
          }
          await cache.put(`${key}?from=${from}`, new Response(new Blob(parts)));
        } else onProgress(to, length);
      }
      await cache.put(`${key}?complete`, Response.json({ size: length } satisfies Complete));
    },
  };
}
