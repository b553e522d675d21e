// Files that appear complete or not at all, in Node.
import type { FileHandle } from 'node:fs/promises';
import { nodeModule } from '../backend/node.js';

/** The bytes of a file, one part after another. */
export type FileParts = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** One system call moves at most 2 GiB. */
export const maxTransfer = 1 << 30;

/** What a temporary file has behind the path that it is for: nobody else's. */
export function temporarySuffix(): string {
  return `.${globalThis.crypto.randomUUID()}.tmp`;
}

/** Whether a file of this name is a temporary one for `own`, and not for a file whose name begins so. */
export function isTemporary(name: string, own: string): boolean {
  const suffix = name.slice(own.length);
  return name.startsWith(own) && /^\.[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\.tmp$/.test(suffix);
}

/**
 * Writes files, given by path. Each goes to a temporary file beside it, which is brought to the disk; when all are
 * there, and no path is a folder's, they are renamed. If anything fails before, what was at the paths is still there;
 * no temporary file stays. Throws the system's error, or what the parts throw.
 */
export async function writeAtomically(files: ReadonlyMap<string, FileParts>): Promise<void> {
  const { open, rename, rm, stat } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const suffix = temporarySuffix();
  try {
    for (const [path, parts] of files) await writeParts(path + suffix, await open(path + suffix, 'wx'), parts);
    for (const path of files.keys()) {
      const found = await stat(path).catch(ignore);
      if (found?.isDirectory()) throw isFolder(path);
    }
    for (const path of files.keys()) await rename(path + suffix, path);
  } catch (error) {
    for (const path of files.keys()) await rm(path + suffix, { force: true }).catch(ignore);
    throw error;
  }
}

async function writeParts(path: string, file: FileHandle, parts: FileParts): Promise<void> {
  try {
    for await (const part of parts) {
      for (let done = 0; done < part.byteLength; ) {
        const { bytesWritten } = await file.write(part, done, Math.min(part.byteLength - done, maxTransfer));
        done += bytesWritten;
      }
    }
    await synced(file);
  } catch (error) {
    await file.close().catch(ignore);
    throw withPath(error, path);
  }
  await file.close();
}

/** Brings a file to the disk, where a process may: not in Node 26's permission model, nor in Yarn's Plug'n'Play. */
async function synced(file: FileHandle): Promise<void> {
  try {
    await file.sync();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ERR_ACCESS_DENIED' && message !== 'Method not implemented.') throw error;
  }
}

/** An error with the path of the file, which the system's lack where a file is open already. */
export function withPath(error: unknown, path: string): unknown {
  const isSystem = (error as NodeJS.ErrnoException)?.syscall !== undefined;
  return isSystem ? Object.assign(error as object, { path }) : error;
}

/** What renaming would throw, when other files had been replaced already. */
function isFolder(path: string): Error {
  return Object.assign(new Error(`EISDIR: is a folder, expected a file: '${path}'`), { code: 'EISDIR', path });
}

/** What fails while cleaning up must not hide the error that made it necessary. */
function ignore(): void {}
