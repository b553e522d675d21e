// Real checkpoints, which are too large for the repository: `python3 scripts/models.py` fetches them.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'vitest';

const FOLDER = process.env.SIMDFORMER_MODELS || '.cache/models';

/** Ends the title of a test that is skipped because its checkpoint was not fetched. */
export const NOT_FETCHED = `: not tested, it is not in ${FOLDER} (python3 scripts/models.py)`;

/** The path of a model's file or folder; undefined if it was not fetched. */
export function realModel(name: string): string | undefined {
  const path = join(FOLDER, name);
  return existsSync(path) ? path : undefined;
}

/** Describes tests of a model, which is named by its file or folder. One skipped test stands for them if it is missing. */
export function describeReal(name: string, body: (path: string) => void | Promise<void>): void {
  const path = realModel(name);
  if (path !== undefined) describe(name, () => body(path));
  else it.skip(`${name}${NOT_FETCHED}`, () => {});
}
