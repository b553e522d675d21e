// The interface of the caches of hub files, in Node and in pages.

import type { OpenFile } from '../io/file.js';
import type { HubClient } from './hub-client.js';

/** A file in the hub's list. */
export interface HubFile {
  readonly name: string;
  readonly size?: number | undefined;
  /** A hash of the content: the SHA-256 of large files, the git hash of others. */
  readonly etag?: string | undefined;
}

/** A commit and its files. */
export interface HubRevision {
  readonly sha: string;
  readonly files: ReadonlyMap<string, HubFile>;
}

export type OnProgress = (loaded: number, total: number | undefined) => void;

/** The cache of a model on the hub, in Node's files or in a page's Cache storage. */
export interface HubCache {
  /** Returns the state of a revision at its last use, with its cached files; null if it was never used. */
  remembered(revision: string): Promise<HubRevision | null>;
  remember(revision: string, found: HubRevision): Promise<void>;
  /** Opens a file; null unless it is complete in the cache. */
  open(sha: string, name: string): Promise<OpenFile | null>;
  /** Downloads a file, or its missing part. */
  fetch(sha: string, file: HubFile, url: string, client: HubClient, onProgress: OnProgress): Promise<void>;
}
