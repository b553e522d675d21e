// The folder of a training: one training at a time, and nothing left in it of those that were killed.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ArgumentError } from '../core/errors.js';
import { removeUnfinished } from '../train/checkpoint.js';

/** What a training writes whole, beside its place first; `fit` looks after its checkpoint. */
const FILES = ['task.json', 'log.jsonl', 'loss.svg', 'config.json', 'model.safetensors'];

/**
 * Makes the folder and takes it for this process, until the result is disposed of: the file `lock` in it holds the
 * process's number. That of a process which is no longer there is taken over. Throws ArgumentError if another training
 * has the folder.
 */
export async function takeFolder(folder: string): Promise<Disposable> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'lock');
  if (!create(path)) {
    const owner = readFileSync(path, 'utf8');
    if (runs(Number(owner))) throw inUse(folder, path, owner);
    // Of several that see the same leftover one can move it; a lock that has come meanwhile is moved back.
    const aside = `${path}.${process.pid}`;
    renameSync(path, aside);
    const moved = readFileSync(aside, 'utf8');
    if (moved !== owner) renameSync(aside, path);
    else rmSync(aside);
    if (!create(path)) throw inUse(folder, path, readFileSync(path, 'utf8'));
  }
  for (const file of FILES) await removeUnfinished(join(folder, file));
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

/** Returns whether there was no lock yet. */
function create(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid}`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Whether another process has this number. */
function runs(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0 || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function inUse(folder: string, path: string, owner: string): ArgumentError {
  const advice = `wait for it, or give another folder; if that is no training, remove ${path}`;
  return new ArgumentError(`${folder} is in use by another training, process ${owner}: ${advice}`);
}
