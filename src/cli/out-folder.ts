// The folder of a training: one training at a time, and nothing left in it of those that were killed.

import {
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ArgumentError } from '../core/errors.js';
import { withPath } from '../io/atomic-write.js';
import { removeUnfinished } from '../train/checkpoint.js';

/** Files that a training replaces as a whole, by way of temporary files; `fit` manages its checkpoint. */
const FILES = [
  ...['task.json', 'log.jsonl', 'loss.svg'],
  ...['config.json', 'model.safetensors', 'source-tokenizer.json', 'target-tokenizer.json'],
];

/**
 * Makes the folder and takes it for this process, until the result is disposed of: the file `lock` in it holds the
 * process's number. That of a process which is no longer there is taken over. Throws ArgumentError if another training
 * has the folder.
 */
export async function takeFolder(folder: string): Promise<Disposable> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'lock');
  while (!create(path)) {
    const owner = ownerOf(path);
    if (owner === null) continue; // it has ended meanwhile
    if (isRunning(Number(owner))) throw inUse(folder, path, owner);
    takeAway(path, owner);
  }
  for (const file of FILES) await removeUnfinished(join(folder, file));
  for (const name of readdirSync(folder)) {
    const [, owner] = /^lock\.(\d+)$/.exec(name) ?? [];
    if (owner !== undefined && !isRunning(Number(owner))) rmSync(join(folder, name), { force: true });
  }
  return { [Symbol.dispose]: () => giveUp(path) };
}

/** Removes this process's lock; where the disk has become read-only, say, the next training takes it over. */
function giveUp(path: string): void {
  try {
    if (ownerOf(path) === `${process.pid}`) rmSync(path); // the folder may have been removed, and be another's now
  } catch {} // why the training could not be written says more
}

/** Makes the lock; returns false if there is one. It is there with its number or not at all. */
function create(path: string): boolean {
  const own = `${path}.${process.pid}`;
  try {
    writeFileSync(own, `${process.pid}`);
    return place(own, path);
  } catch (error) {
    throw withPath(error, path);
  } finally {
    rmSync(own, { force: true });
  }
}

/** Gives a file a second place if that is free; returns false if it is not. */
function place(file: string, path: string): boolean {
  return attempt(() => {
    try {
      linkSync(file, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
      copyFileSync(file, path, constants.COPYFILE_EXCL); // FAT, exFAT and some disks of networks have no links
    }
  }, 'EEXIST');
}

/** The number of the process that has the lock; null if there is none any more. Throws ArgumentError if it is no file. */
function ownerOf(path: string): string | null {
  let owner: string | null = null;
  attempt(() => {
    if (!lstatSync(path).isFile()) {
      throw new ArgumentError(`${path} is no file, so no lock of a training: remove it, or give another folder`);
    }
    owner = readFileSync(path, 'utf8');
  }, 'ENOENT');
  return owner;
}

/** Removes a leftover lock. Of several that see it one can; a lock that has come meanwhile is put back. */
function takeAway(path: string, owner: string): void {
  const aside = `${path}.${process.pid}`;
  if (!attempt(() => renameSync(path, aside), 'ENOENT')) return;
  if (readFileSync(aside, 'utf8') !== owner) place(aside, path);
  rmSync(aside);
}

/** Does something to a file; returns false if that fails by `code`, as another process was faster. */
function attempt(act: () => void, code: string): boolean {
  try {
    act();
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
