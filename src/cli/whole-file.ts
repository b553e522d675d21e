import { writeAtomically } from '../io/atomic-write.js';

/** Writes a text file as `writeAtomically` does. */
export function writeWhole(path: string, text: string): Promise<void> {
  return writeAtomically(new Map([[path, [new TextEncoder().encode(text)]]]));
}
