// Weights that are packed while they are read: one at a time is there as floats.

import { checkOneOf } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { type Packable, packables, packing, type QuantizeOptions, replaceWeight } from '../models/quantize.js';
import type { StatePiece } from '../nn/state-names.js';
import { type ActivationFormat, PackedWeight } from '../nn/weight.js';
import type { PackedFormat } from '../ops/packed.js';
import type { WeightEntry } from './weight-entry.js';

/** What becomes of weights while they are read. */
export interface Packing {
  /** The format of a weight, by the entries it is read from; null leaves it float32. */
  readonly choose: (entries: readonly WeightEntry[]) => PackedFormat | null;
  /** What `quantize` would be given for all; null where each weight keeps what the file has. */
  readonly options: QuantizeOptions | null;
}

/** What options of `loadModel` mean; null: all is float32. Throws ArgumentError. */
export function packingOf(
  weights: 'float32' | 'auto' | QuantizeOptions['weights'] = 'float32',
  activations?: ActivationFormat,
): Packing | null {
  checkOneOf('loadModel', 'weights', weights, ['float32', 'float16', 'bfloat16', 'int8', 'int4', 'auto']);
  if (activations !== undefined) checkOneOf('loadModel', 'activations', activations, ['float32']);
  if (weights === 'auto') return { choose: asStored, options: null };
  if (weights === 'float32') return null;
  const options = { weights, activations };
  const format = packing('loadModel', options);
  return { choose: () => format, options };
}

/** Of what a file has: halves stay halves. */
function asStored(entries: readonly WeightEntry[]): PackedFormat | null {
  const [dtype, ...others] = new Set(entries.map((entry) => entry.dtype));
  if (others.length > 0) return null;
  return dtype === 'F16' ? 'float16' : dtype === 'BF16' ? 'bfloat16' : null;
}

/**
 * Reads what `found` has of a model, by the names of its pieces, and packs the weights that a format is chosen for.
 * Memory for their floats, which a blank model has taken but not touched, is given back before.
 */
export async function readPacked(
  model: PretrainedModel,
  found: ReadonlyMap<string, WeightEntry>,
  { choose }: Packing,
  signal?: AbortSignal,
): Promise<void> {
  const pieces = new Map<Tensor, StatePiece[]>();
  for (const piece of model.statePieces()) pieces.set(piece.tensor, [...(pieces.get(piece.tensor) ?? []), piece]);
  const plans = packables(model).flatMap((target) => planOf(target, pieces, found, choose));
  for (const { target } of plans) (target.weight as Tensor).dispose();
  const rest = new Map(found);
  for (const { names } of plans) for (const name of names) rest.delete(name);
  const placed = inOrder(plans);
  const { device } = model;
  for (const { target, names, format } of placed) {
    const floats = device.unscoped(() => device.empty(target.weight.shape));
    replaceWeight(target.owners, floats);
    const own = new Map(names.map((name) => [name, found.get(name) as WeightEntry]));
    await model.readState(own, signal, true);
    const packed = PackedWeight.fromTensor(floats, format, target.transposed);
    replaceWeight(target.owners, packed);
    floats.dispose();
    await device.flush();
  }
  await model.readState(rest, signal, true);
}

interface Plan {
  readonly target: Packable;
  readonly names: readonly string[];
  readonly format: PackedFormat;
  readonly place: number;
}

function planOf(
  target: Packable,
  pieces: ReadonlyMap<Tensor, readonly StatePiece[]>,
  found: ReadonlyMap<string, WeightEntry>,
  choose: Packing['choose'],
): Plan[] {
  const names = (pieces.get(target.weight as Tensor) ?? []).map(({ name }) => name);
  const entries = names.map((name) => found.get(name));
  const isThere = (entry: WeightEntry | undefined): entry is WeightEntry => entry !== undefined;
  if (names.length === 0 || !entries.every(isThere)) return []; // a head that is drawn anew
  const format = choose(entries);
  return format === null ? [] : [{ target, names, format, place: entries[0]?.place ?? 0 }];
}

/** In the order of the file, as streams must be read. */
function inOrder(plans: readonly Plan[]): Plan[] {
  return [...plans].sort((a, b) => a.place - b.place);
}
