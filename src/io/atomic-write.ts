// Writes files in Node so that they appear complete or not at all.
import type { FileHandle } from 'node:fs/promises';
import { nodeModule } from '../backend/node.js';

/** The bytes of a file as consecutive parts. */
export type FileParts = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Maximum bytes per system call. */
export const maxTransfer = 1 << 30;

/** Returns a unique ending for the path of a temporary file, which is written next to the final file. */
export function temporarySuffix(): string {
  return `.${globalThis.crypto.randomUUID()}.tmp`;
}

/** True if a file of this name is a temporary file for `target`. */
export function isTemporary(name: string, target: string): boolean {
  const suffix = name.slice(target.length);
  return name.startsWith(target) && /^\.[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}\.tmp$/.test(suffix);
}

/**
 * Resolves the links of a path. The last link may point to a file that does not exist. Links to open files such as
 * /dev/stdout are not resolved. Throws the system's error for a cycle of links.
 */
export async function resolveLinks(path: string): Promise<string> {
  const { readlink, realpath } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const { basename, dirname, isAbsolute, resolve } = await nodeModule<typeof import('node:path')>('path');
  let resolved = path;
  for (let links = 0; links < 40; links++) {
    const folder = await realpath(dirname(resolved)).catch(ignore);
    const target = await readlink(resolved).catch(ignore);
    if (folder === undefined || target === undefined) return resolved; // opening it reports the problem
    const link = resolve(folder, basename(resolved));
    if (OPEN.test(link)) return link;
    // The path is not normalized, because the folder before a `..` may be a link.
    resolved = isAbsolute(target) ? target : `${folder}/${target}`;
  }
  return realpath(path); // throws, because the links form a cycle
}

/** Paths of files that processes have open. */
const OPEN = /^\/(proc|dev\/fd)\//;

/**
 * Makes a folder and those above it. Returns those that did not exist, the outer ones first. Throws the system's error.
 */
export async function makeFolder(path: string): Promise<string[]> {
  const { mkdir, stat } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const { dirname } = await nodeModule<typeof import('node:path')>('path');
  if ((await stat(path).catch(ignore))?.isDirectory()) return [];
  // With `recursive`, Node may report any failure as ENOENT, or try for ever (below /proc). Single steps find the
  // reason.
  const outer = dirname(path) === path ? [] : await makeFolder(dirname(path));
  try {
    await mkdir(path);
  } catch (error) {
    if ((await stat(path).catch(ignore))?.isDirectory()) return outer; // another process made it
    throw error;
  }
  return [...outer, path];
}

/**
 * Writes files as `writeAtomically` does, and makes their folders. If that fails, or the program exits before the end,
 * the new folders are removed.
 */
export async function writeInFolders(files: ReadonlyMap<string, FileParts>): Promise<void> {
  const { rmdir } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  const { dirname } = await nodeModule<typeof import('node:path')>('path');
  await removeAtExit();
  const made: string[] = [];
  try {
    for (const path of files.keys()) {
      for (const folder of await makeFolder(dirname(path))) {
        made.unshift(folder);
        newFolders.add(folder);
      }
    }
    await writeAtomically(files);
  } catch (error) {
    for (const folder of made) await rmdir(folder).catch(ignore);
    throw error;
  } finally {
    for (const folder of made) newFolders.delete(folder);
  }
}

/**
 * Writes files, given by path. Each is written to a temporary file in the same folder and flushed to the disk. When all
 * are complete, and no path is a folder, they are renamed. If anything fails before, or the program exits, the old
 * files are kept and the temporary ones are removed. Links are followed. Devices, pipes and open files are written to,
 * never replaced. Throws the system's error, or the error of `parts`.
 */
export async function writeAtomically(files: ReadonlyMap<string, FileParts>): Promise<void> {
  const { open, rename, rm, stat } = await nodeModule<typeof import('node:fs/promises')>('fs/promises');
  await removeAtExit();
  const suffix = temporarySuffix();
  const replaced: string[] = [];
  try {
    for (const [path, parts] of files) {
      const target = await resolveLinks(path);
      const found = await stat(target).catch(ignore);
      if (found?.isDirectory()) throw isFolder(target);
      if (found && (!found.isFile() || OPEN.test(target))) await writeParts(path, await open(path, 'a'), parts, false);
      else {
        const temporary = await open(target + suffix, 'wx');
        replaced.push(target);
        unfinished.add(target + suffix);
        await writeParts(target + suffix, temporary, parts, true);
      }
    }
    for (const target of replaced) await rename(target + suffix, target);
  } catch (error) {
    for (const target of replaced) await rm(target + suffix, { force: true }).catch(ignore);
    throw error;
  } finally {
    for (const target of replaced) unfinished.delete(target + suffix);
  }
}

/** Temporary files that are being written, and new folders of files that are being written. */
const unfinished = new Set<string>();
const newFolders = new Set<string>();
let isWatched = false;

/** From now on, temporary files are removed if the program exits. */
async function removeAtExit(): Promise<void> {
  if (isWatched) return;
  isWatched = true;
  const { rmdirSync, rmSync } = await nodeModule<typeof import('node:fs')>('fs');
  process.on('exit', () => {
    for (const path of unfinished) rmSync(path, { force: true });
    for (const folder of [...newFolders].reverse()) {
      try {
        rmdirSync(folder);
      } catch {} // it has files by now
    }
  });
}

async function writeParts(path: string, file: FileHandle, parts: FileParts, onDisk: boolean): Promise<void> {
  try {
    for await (const part of parts) {
      for (let done = 0; done < part.byteLength; ) {
        const { bytesWritten } = await file.write(part, done, Math.min(part.byteLength - done, maxTransfer));
        done += bytesWritten;
      }
    }
    if (onDisk) await synced(file);
  } catch (error) {
    await file.close().catch(ignore);
    throw withPath(error, path);
  }
  await file.close();
}

/**
 * Flushes a file to the disk, if the process is allowed to. Node 26's permission model and Yarn's Plug'n'Play forbid
 * it.
 */
async function synced(file: FileHandle): Promise<void> {
  try {
    await file.sync();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'ERR_ACCESS_DENIED' && message !== 'Method not implemented.') throw error;
  }
}

/** Adds the path to an error, because the system's errors on open files lack it. */
export function withPath(error: unknown, path: string): unknown {
  const isSystem = (error as NodeJS.ErrnoException)?.syscall !== undefined;
  return isSystem ? Object.assign(error as object, { path }) : error;
}

/**
 * Makes the error for a folder. Reading would not name it, and renaming would throw after other files were replaced.
 */
export function isFolder(path: string): Error {
  return Object.assign(new Error(`EISDIR: is a folder, expected a file: '${path}'`), { code: 'EISDIR', path });
}

/** An error while cleaning up must not hide the error that made it necessary. */
function ignore(): void {}
