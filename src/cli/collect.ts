import { ArgumentError } from '../core/errors.js';
import { type FileRow, readRows } from '../finetune/read-rows.js';

/** The rows of a file, or the first of them. */
export async function collect(path: string, limit = Number.POSITIVE_INFINITY): Promise<FileRow[]> {
  const rows: FileRow[] = [];
  for await (const row of readRows(path)) {
    rows.push(row);
    if (rows.length >= limit) break;
  }
  if (rows.length === 0) throw new ArgumentError(`${path} has no rows`);
  return rows;
}
