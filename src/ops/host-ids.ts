// Ids that came from the host are checked where ops use them, before a command is queued: queues are shared by all who
// use a device, and a command that fails there fails the run of others, too.

import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';

/** What the host wrote to an int32 tensor without gaps, if nothing was written to its memory since. */
function knownIds({ storage, offset, size }: Tensor): Int32Array | null {
  const { fromHost } = storage;
  if (fromHost === null || fromHost.version !== storage.version) return null;
  const start = offset - fromHost.offset;
  const isWithin = start >= 0 && start + size <= fromHost.values.length;
  return isWithin ? fromHost.values.subarray(start, start + size) : null;
}

/**
 * Throws ArgumentError for an id that is neither a row of `rows` nor `ignored`, if the ids are those that the host gave.
 * What was computed is known only to the run, which fails (CommandError).
 */
export function checkHostIds(op: string, name: string, ids: Tensor, rows: number, ignored: number | null = null): void {
  const values = ids.isContiguous ? knownIds(ids) : null;
  const row = values?.findIndex((id) => (id < 0 || id >= rows) && id !== ignored) ?? -1;
  if (row < 0) return;
  throw new ArgumentError(`${op}: row ${row} of ${name} is ${values?.[row]}, expected 0 to ${rows - 1}`);
}
