import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';

/** Writes a file that appears whole or not at all: a disk that is full leaves what was there. A device is written to. */
export function writeWhole(path: string, text: string): void {
  const isOther = statSync(path, { throwIfNoEntry: false })?.isFile() === false;
  const temporary = isOther ? path : `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, text);
    if (!isOther) renameSync(temporary, path);
  } catch (error) {
    if (!isOther) rmSync(temporary, { force: true });
    throw error;
  }
}
