import { statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { withPath, writeAtomically } from '../io/atomic-write.js';

/**
 * Writes a file that appears whole or not at all: a disk that is full leaves what was there. A device is written to.
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  const isOther = statSync(path, { throwIfNoEntry: false })?.isFile() === false;
  if (isOther) {
    await writeFile(path, text).catch((error: unknown) => {
      throw withPath(error, path);
    });
  } else await writeAtomically(new Map([[path, [new TextEncoder().encode(text)]]]));
}
