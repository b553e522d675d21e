// Checkpoints that people use, where they were fetched: `python3 ../shared/tools/get_models.py ../shared/models`.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from 'vitest';

const FOLDERS = [process.env.SIMDFORMER_MODELS, '../shared/models', '.cache/models'];

/** The path of a file or folder of a model, undefined if it was not fetched. */
export function realModel(path: string): string | undefined {
  return FOLDERS.flatMap((folder) => folder ?? [])
    .map((folder) => join(folder, path))
    .find((each) => existsSync(each));
}

/** Describes tests of a model, named by its folder or file; where it was not fetched, says that they were skipped. */
export function describeReal(name: string, body: (path: string) => void | Promise<void>): void {
  const path = realModel(name);
  if (path !== undefined) {
    describe(name, () => body(path));
    return;
  }
  const reason = `it is in none of ${FOLDERS.map((folder) => folder ?? 'SIMDFORMER_MODELS').join(', ')}`;
  console.warn(`WARNING: ${name}: NOT TESTED, ${reason}`);
  describe.skip(`${name}: not tested, ${reason}`, () => body(name));
}
