// The output folder of a training. One training uses it at a time, and leftovers of killed ones are removed.

import {
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ArgumentError } from '../core/errors.js';
import { makeFolder, withPath } from '../io/atomic-write.js';
import { removeUnfinished } from '../train/checkpoint.js';

/** Files that a training replaces as a whole by way of temporary files. `fit` manages its checkpoint itself. */
const FILES = [
  'task.json',
  'log.jsonl',
  'loss.svg',
  'config.json',
  'model.safetensors',
  'source-tokenizer.json',
  'target-tokenizer.json',
];

/** Name of the file in which a training keeps its checkpoint. */
export const CHECKPOINT_FILE = 'checkpoint.safetensors';

export const checkpointIn = (folder: string): string => join(folder, CHECKPOINT_FILE);

/**
 * Makes the folder and locks it for this process until the result is disposed of. The file `lock` in it contains the
 * process id. The lock of a process that has ended is taken over. Throws ArgumentError if another training uses the
 * folder.
 */
export async function lockFolder(folder: string): Promise<Disposable> {
  const made = await makeFolder(folder);
  const path = join(folder, 'lock');
  while (!createLock(path)) {
    const owner = ownerOf(path);
    if (owner === null) continue; // the owner has ended
    if (isRunning(Number(owner))) throw inUse(folder, path, owner);
    removeStaleLock(path, owner);
  }
  for (const file of FILES) await removeUnfinished(join(folder, file));
  for (const name of readdirSync(folder)) {
    const [, owner] = /^lock\.(\d+)$/.exec(name) ?? [];
    if (owner !== undefined && !isRunning(Number(owner))) rmSync(join(folder, name), { force: true });
  }
  return {
    [Symbol.dispose]: () => {
      releaseLock(path);
      removeEmpty(made);
    },
  };
}

/** Removes the folders that were made for a training that left nothing. */
function removeEmpty(made: readonly string[]): void {
  try {
    for (const folder of [...made].reverse()) rmdirSync(folder);
  } catch {} // the training left a file
}

/**
 * Removes this process's lock. If that fails, for example on a read-only disk, the next training takes the lock over.
 */
function releaseLock(path: string): void {
  try {
    if (ownerOf(path) === `${process.pid}`) rmSync(path); // another training may have replaced the folder
  } catch {} // an error of the training is more important
}

/** Creates the lock with its content in one step. Returns false if there is a lock. */
function createLock(path: string): boolean {
  const temporary = `${path}.${process.pid}`;
  try {
    writeFileSync(temporary, `${process.pid}`);
    return linkUnlessExists(temporary, path);
  } catch (error) {
    throw withPath(error, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Links a file to a second path. Returns false if that path exists. */
function linkUnlessExists(file: string, path: string): boolean {
  return succeedsUnless(() => {
    try {
      linkSync(file, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
      copyFileSync(file, path, constants.COPYFILE_EXCL); // FAT, exFAT and some network disks have no links
    }
  }, 'EEXIST');
}

/** Returns the process id in the lock; null if there is no lock. Throws ArgumentError if it is not a file. */
function ownerOf(path: string): string | null {
  let owner: string | null = null;
  succeedsUnless(() => {
    if (!lstatSync(path).isFile()) {
      throw new ArgumentError(
        `${path} is not a file, expected the lock of a training: remove it, or give another folder`,
      );
    }
    owner = readFileSync(path, 'utf8');
  }, 'ENOENT');
  return owner;
}

/** Removes a stale lock. Only one of several processes succeeds. A new lock that appeared meanwhile is put back. */
function removeStaleLock(path: string, owner: string): void {
  const aside = `${path}.${process.pid}`;
  if (!succeedsUnless(() => renameSync(path, aside), 'ENOENT')) return;
  if (readFileSync(aside, 'utf8') !== owner) linkUnlessExists(aside, path);
  rmSync(aside);
}

/** Runs a file operation. Returns false if it fails with `code`, because another process was faster. */
function succeedsUnless(operation: () => void, code: string): boolean {
  try {
    operation();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === code) return false;
    throw error;
  }
}

/** True if another running process has this id. */
function isRunning(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function inUse(folder: string, path: string, owner: string): ArgumentError {
  const advice = `wait for it, or give another folder; if that is not a training, remove ${path}`;
  return new ArgumentError(`${folder} is in use by another training, process ${owner}: ${advice}`);
}
