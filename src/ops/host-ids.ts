// Checks of ids from the host, before a command is queued. All users of a device share its queue, so a failing command
// would also fail the run of others.

import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';

/**
 * @internal Returns the integers that the host wrote to a contiguous int32 tensor. Null if its memory was written to
 * afterwards.
 */
export function knownIds({ storage, offset, size }: Tensor): Int32Array | null {
  const { fromHost } = storage;
  if (fromHost === null || fromHost.version !== storage.version) return null;
  const start = offset - fromHost.offset;
  const isWithin = start >= 0 && start + size <= fromHost.values.length;
  return isWithin ? fromHost.values.subarray(start, start + size) : null;
}

/**
 * Throws ArgumentError for an id that is neither a row of `rows` nor `ignored`, if the host wrote the ids. Computed ids
 * are checked by the run, which fails with CommandError.
 */
export function checkHostIds(op: string, name: string, ids: Tensor, rows: number, ignored: number | null = null): void {
  const values = ids.isContiguous ? knownIds(ids) : null;
  const row = values?.findIndex((id) => (id < 0 || id >= rows) && id !== ignored) ?? -1;
  if (row < 0) return;
  throw new ArgumentError(`${op}: row ${row} of ${name} is ${values?.[row]}, expected 0 to ${rows - 1}`);
}
