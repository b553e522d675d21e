import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Run } from '../harness/bench.js';

/** The path of a file or folder of a model, null and a note if it was not fetched. */
export function modelFolder(run: Run, path: string): string | null {
  const folders = [process.env.SIMDFORMER_MODELS, '../shared/models', '.cache/models'];
  const found = folders.map((folder) => folder && join(folder, path)).find((each) => each && existsSync(each));
  if (found) return found;
  run.note(`${path} is NOT measured: it is not in SIMDFORMER_MODELS, where ../shared/tools/get_models.py puts it`);
  return null;
}
