// The common part of Node's cache of the hub and that of pages.

import type { OpenFile } from '../io/file.js';
import type { HubClient } from './hub-client.js';

/** A file, as the hub's list has it. */
export interface HubFile {
  readonly name: string;
  readonly size?: number | undefined;
  /** A name of its content: the SHA-256 of large files, git's own hash of others. */
  readonly etag?: string | undefined;
}

/** A commit and its files. */
export interface HubRevision {
  readonly sha: string;
  readonly files: ReadonlyMap<string, HubFile>;
}

/** The cache of a model on the hub, in Node's files or in a page's Cache storage. */
export interface HubCache {
  /** The state of a revision when it was last asked for, with the files that are there; null if it never was. */
  remembered(revision: string): Promise<HubRevision | null>;
  remember(revision: string, found: HubRevision): Promise<void>;
  /** A file that is there completely; null otherwise. */
  open(sha: string, name: string): Promise<OpenFile | null>;
  /** Downloads a file, or what is missing of it. */
  fetch(
    sha: string,
    file: HubFile,
    url: string,
    client: HubClient,
    onProgress: (loaded: number, total: number | undefined) => void,
  ): Promise<void>;
}
