// Ids that came from the host are checked where ops use them, before a command is queued: queues are shared by all who
// use a device, and a command that fails there fails the run of others, too.

import { ArgumentError } from '../core/errors.js';
import type { Device, Tensor } from '../core/tensor.js';

/** What the host put into a tensor, and the version that its memory had then. */
const known = new WeakMap<Tensor, { readonly values: Int32Array; readonly version: number }>();

/** An int32 tensor [n] of ids, as `device.tensor`, whose values ops can check at their call. It keeps `values`. */
export function hostIds(device: Device, values: Int32Array): Tensor {
  const ids = device.tensor(values);
  known.set(ids, { values, version: ids.storage.version });
  return ids;
}

/**
 * Throws ArgumentError for an id that is neither a row of `rows` nor `ignored`, if the ids are those that the host gave.
 * What has been written to them since, or was computed, is known only to the run, which fails (CommandError).
 */
export function checkHostIds(op: string, name: string, ids: Tensor, rows: number, ignored: number | null = null): void {
  const { values, version } = known.get(ids) ?? {};
  if (values === undefined || version !== ids.storage.version) return;
  const row = values.findIndex((id) => (id < 0 || id >= rows) && id !== ignored);
  if (row < 0) return;
  throw new ArgumentError(`${op}: row ${row} of ${name} is ${values[row]}, expected 0 to ${rows - 1}`);
}
