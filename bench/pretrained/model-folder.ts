import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Run } from '../harness/bench.js';

/** The path of a model's file or folder. If it was not fetched, writes a note and returns null. */
export function modelFolder(run: Run, path: string): string | null {
  const folder = process.env.SIMDFORMER_MODELS || '.cache/models';
  const found = join(folder, path);
  if (existsSync(found)) return found;
  run.note(`${path} is NOT measured: it is not in ${folder}, where scripts/models.py puts it`);
  return null;
}
