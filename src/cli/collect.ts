import { ArgumentError } from '../core/errors.js';
import { type FileRow, type ReadRowsOptions, readRows, rowLocation } from '../finetune/read-rows.js';
import type { Objective } from '../train/fit.js';

/** Reads the rows of a file, at most `limit`. Throws ArgumentError if there are none. */
export async function collect(
  path: string,
  { limit = Number.POSITIVE_INFINITY, columns }: ReadRowsOptions & { limit?: number | undefined } = {},
): Promise<FileRow[]> {
  const rows: FileRow[] = [];
  for await (const row of readRows(path, { columns })) {
    rows.push(row);
    if (rows.length >= limit) break;
  }
  if (rows.length === 0) throw new ArgumentError(`${path} has no rows`);
  return rows;
}

/** Throws ArgumentError, naming file and line, for a row that the objective rejects. */
export async function checkRows(objective: Objective<object>, rows: readonly FileRow[]): Promise<void> {
  for (const row of rows) {
    try {
      await objective.prepare?.([row]);
      objective.tokensOf?.(row);
    } catch (error) {
      if (!(error instanceof ArgumentError)) throw error;
      throw new ArgumentError(`${rowLocation(row) ?? 'a row'}: ${error.message}`, { cause: error });
    }
  }
}
