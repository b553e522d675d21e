// Hugging Face's own cache, in Node, shared with its Python library:
//
//   models--org--name/refs/main                        the commit of the revision when it was last requested
//   models--org--name/blobs/<etag>                     the content of a file
//   models--org--name/snapshots/<commit>/config.json   a link to its blob
//
// A download is written to blobs/<etag>.incomplete and renamed when it is complete. Several processes may write to the
// same file without waiting for each other: equal tags mean equal bytes, and each byte has a fixed position.

import { nodeModule } from '../backend/node.js';
import { ArgumentError, HubError } from '../core/errors.js';
import { makeFolder, temporarySuffix, withPath, writeAtomically } from '../io/atomic-write.js';
import { type OpenFile, openFileOf } from '../io/file.js';
import type { HubClient } from './hub-client.js';
import type { HubCache, HubFile, HubRevision, OnProgress } from './hub-store.js';

type Fs = typeof import('node:fs/promises');
type Path = typeof import('node:path');

/** Opens the cache of a model, in Hugging Face's cache folder. */
export async function openNodeCache(cacheDir: string, id: string): Promise<HubCache> {
  const fs = await nodeModule<Fs>('fs/promises');
  const path = await nodeModule<Path>('path');
  return new NodeCache(fs, path, path.join(cacheDir, `models--${id.replaceAll('/', '--')}`));
}

class NodeCache implements HubCache {
  constructor(
    private readonly fs: Fs,
    private readonly path: Path,
    private readonly root: string,
  ) {}

  async remembered(revision: string): Promise<HubRevision | null> {
    const ref = /^[\da-f]{40}$/.test(revision) ? revision : await this.#textOf(this.#refOf(revision));
    if (ref === null) return null;
    const files = await this.#namesIn(this.#snapshotOf(ref.trim()));
    return files && { sha: ref.trim(), files: new Map(files.map((name) => [name, { name }])) };
  }

  async remember(revision: string, { sha }: HubRevision): Promise<void> {
    const ref = this.#refOf(revision);
    if (revision === sha || (await this.#textOf(ref)) === sha) return;
    await this.#writing(async () => {
      await makeFolder(this.path.dirname(ref));
      await writeAtomically(new Map([[ref, [new TextEncoder().encode(sha)]]]));
    });
  }

  open(sha: string, name: string): Promise<OpenFile | null> {
    return openFileOf(this.#snapshotOf(sha), name);
  }

  async fetch(sha: string, file: HubFile, url: string, client: HubClient, onProgress: OnProgress): Promise<void> {
    const known = await completed(file, url, client);
    await this.#writing(() => this.#fetch(sha, known, url, client, onProgress));
  }

  async #fetch(sha: string, known: KnownFile, url: string, client: HubClient, onProgress: OnProgress): Promise<void> {
    const blob = this.path.join(this.root, 'blobs', known.etag);
    const size = await this.#sizeOf(blob);
    if (size === undefined || (known.size !== undefined && size !== known.size))
      await this.#download(url, client, blob, known, onProgress);
    await this.#link(blob, this.path.join(this.#snapshotOf(sha), known.name));
  }

  /** Throws ArgumentError, which names the folder, if the folder of the cache cannot be written to. */
  async #writing(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (cause) {
      if (!UNWRITABLE.includes(codeOf(cause))) throw cause;
      const advice = 'set cacheDir, HF_HUB_CACHE or HF_HOME to a folder that can be written to';
      throw new ArgumentError(`the cache of the hub cannot be written: ${(cause as Error).message}; ${advice}`, {
        cause,
      });
    }
  }

  #refOf(revision: string): string {
    return this.path.join(this.root, 'refs', revision);
  }

  #snapshotOf(sha: string): string {
    return this.path.join(this.root, 'snapshots', sha);
  }

  /**
   * Links the name in the snapshot to the blob. If links are impossible, as on Windows without developer mode, it
   * copies the blob.
   */
  async #link(blob: string, name: string): Promise<void> {
    const { fs, path } = this;
    await makeFolder(path.dirname(name));
    const temporary = name + temporarySuffix();
    try {
      try {
        await fs.symlink(path.relative(path.dirname(name), blob), temporary);
      } catch (error) {
        if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EACCES', 'EINVAL'].includes(codeOf(error))) throw error;
        await fs.copyFile(blob, temporary);
      }
      await fs.rename(temporary, name);
    } catch (error) {
      await fs.rm(temporary, { force: true });
      throw error;
    }
  }

  async #download(url: string, client: HubClient, blob: string, file: KnownFile, onProgress: OnProgress) {
    await makeFolder(this.path.dirname(blob));
    const incomplete = `${blob}.incomplete`;
    let received = (await this.#sizeOf(incomplete)) ?? 0;
    if (file.size === undefined || received > file.size) received = 0;
    const handle = await this.fs.open(incomplete, this.fs.constants.O_RDWR | this.fs.constants.O_CREAT, 0o644);
    try {
      onProgress(received, file.size);
      for await (const part of client.bytes(url, received, file.size)) {
        for (let done = 0; done < part.byteLength; ) {
          const { bytesWritten } = await handle.write(part, done, part.byteLength - done, received);
          done += bytesWritten;
          received += bytesWritten;
        }
        onProgress(received, file.size);
      }
      if (file.size === undefined) await handle.truncate(received); // it could have bytes of another download
      await handle.datasync();
    } catch (error) {
      throw withPath(error, incomplete);
    } finally {
      await handle.close();
    }
    await this.#checkHash(incomplete, file.etag, url);
    try {
      await this.fs.rename(incomplete, blob);
    } catch (error) {
      if ((await this.#sizeOf(blob)) === undefined) throw error; // otherwise another process has finished
    }
  }

  /**
   * Checks the SHA-256 of a large file, which is its tag. The partial download may have been written by any program.
   */
  async #checkHash(path: string, etag: string, url: string): Promise<void> {
    if (!/^[\da-f]{64}$/.test(etag)) return;
    const { createHash } = await nodeModule<typeof import('node:crypto')>('crypto');
    const { createReadStream } = await nodeModule<typeof import('node:fs')>('fs');
    const hash = createHash('sha256');
    let found: string | undefined;
    try {
      for await (const part of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(part);
      found = hash.digest('hex');
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      return; // another process finished it
    }
    if (found === etag) return;
    await this.fs.rm(path, { force: true });
    throw new HubError(`${url} has the SHA-256 ${found}, expected ${etag}: it was removed, try again`, url);
  }

  async #textOf(path: string): Promise<string | null> {
    return this.fs.readFile(path, 'utf8').catch((error) => {
      if (['ENOENT', 'ENOTDIR', 'EISDIR'].includes(codeOf(error))) return null;
      throw error;
    });
  }

  async #sizeOf(path: string): Promise<number | undefined> {
    const stats = await this.fs.stat(path).catch(() => undefined);
    return stats?.isFile() ? stats.size : undefined;
  }

  /**
   * Returns the names of the files in a folder and its subfolders, relative to the folder; null if it does not exist.
   */
  async #namesIn(folder: string): Promise<string[] | null> {
    const all = await this.fs.readdir(folder, { recursive: true }).catch(() => null);
    if (all === null) return null;
    const names: string[] = [];
    for (const name of all) {
      if ((await this.#sizeOf(this.path.join(folder, name))) !== undefined) names.push(name.replaceAll('\\', '/'));
    }
    return names.sort();
  }
}

/** System errors of a path where no folder or file can be made. */
const UNWRITABLE = ['EACCES', 'EEXIST', 'ENOENT', 'ENOTDIR', 'EPERM', 'EROFS'];

type KnownFile = HubFile & { readonly etag: string };

/** Returns the tag and the length of a file. They are requested from the hub if its list does not have them. */
async function completed(file: HubFile, url: string, client: HubClient): Promise<KnownFile> {
  let { etag, size } = file;
  if (etag === undefined || size === undefined) {
    const headers = await client.head(url);
    etag = headers.get('x-linked-etag') ?? headers.get('etag') ?? undefined;
    const length = headers.get('x-linked-size') ?? headers.get('content-length');
    size = length === null ? undefined : Number(length);
  }
  const tag = etag?.replace(/^W\//, '').replace(/^"(.*)"$/, '$1');
  if (tag === undefined || !/^\w[\w.-]*$/.test(tag) || (size !== undefined && !Number.isSafeInteger(size)))
    throw new HubError(
      `${url} was sent with the tag ${etag} and ${size} bytes, expected both: is the server a hub?`,
      url,
    );
  return { name: file.name, etag: tag, size };
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? '';
