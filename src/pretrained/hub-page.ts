// The cache of hub files in pages and workers, in Cache storage. It has lists of files, and files in parts. Each part
// is a separate entry, so that an interrupted download can continue.

import { isObject } from '../core/check.js';
import { HubError } from '../core/errors.js';
import type { OpenFile } from '../io/file.js';
import { blobFile } from './blob-file.js';
import type { HubClient } from './hub-client.js';
import type { HubCache, HubFile, HubRevision, OnProgress } from './hub-store.js';

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
  return new PageCache(await caches.open(cacheName), `${endpoint}/${id}/resolve`);
}

class PageCache implements HubCache {
  constructor(
    private readonly cache: Cache,
    private readonly base: string,
  ) {}

  async remembered(revision: string): Promise<HubRevision | null> {
    const found = (await this.#stored(`${this.base}/${revision}?files`)) as
      | { sha: string; files: HubFile[] }
      | undefined;
    return found === undefined
      ? null
      : { sha: found.sha, files: new Map(found.files.map((file) => [file.name, file])) };
  }

  async remember(revision: string, { sha, files }: HubRevision): Promise<void> {
    const answer = Response.json({ sha, files: [...files.values()] });
    await this.cache.put(`${this.base}/${revision}?files`, answer);
  }

  async open(sha: string, name: string): Promise<OpenFile | null> {
    const url = this.#urlOf(sha, name);
    const complete = (await this.#stored(`${url}?complete`)) as Complete | undefined;
    if (!isObject(complete)) return null;
    const parts: Blob[] = [];
    for (let from = 0; from < complete.size; from += PART) {
      const part = await this.cache.match(`${url}?from=${from}`);
      if (part === undefined) return null; // the browser has evicted a part
      parts.push(await part.blob());
    }
    const blob = new Blob(parts);
    return blob.size === complete.size ? blobFile(name, blob) : null;
  }

  async fetch(sha: string, file: HubFile, url: string, client: HubClient, onProgress: OnProgress): Promise<void> {
    const key = this.#urlOf(sha, file.name);
    const length = file.size ?? Number((await client.head(url)).get('content-length') ?? Number.NaN);
    if (!(Number.isSafeInteger(length) && length >= 0))
      throw new HubError(`${url} was sent without a length, expected a content-length header`, url);
    for (let from = 0; from < length; from += PART) {
      const to = Math.min(from + PART, length);
      const before = await this.cache.match(`${key}?from=${from}`);
      if (before !== undefined && (await before.blob()).size === to - from) onProgress(to, length);
      else {
        const part = await partOf(client.bytes(url, from, length, to), from, (received) =>
          onProgress(received, length),
        );
        await this.cache.put(`${key}?from=${from}`, new Response(part));
      }
    }
    await this.cache.put(`${key}?complete`, Response.json({ size: length } satisfies Complete));
  }

  #urlOf(sha: string, name: string): string {
    return `${this.base}/${sha}/${name.split('/').map(encodeURIComponent).join('/')}`;
  }

  async #stored(key: string): Promise<unknown> {
    return (await this.cache.match(key))?.json();
  }
}

/** Collects bytes of a file from position `from` on. */
async function partOf(
  bytes: AsyncIterable<Uint8Array>,
  from: number,
  onProgress: (received: number) => void,
): Promise<Blob> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let received = from;
  onProgress(received);
  for await (const part of bytes) {
    parts.push(part as Uint8Array<ArrayBuffer>);
    received += part.byteLength;
    onProgress(received);
  }
  return new Blob(parts);
}
