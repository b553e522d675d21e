import { isWhole } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { tensorOf } from '../nn/weight.js';
import type { AttentionMaps, AttentionsByKind } from './attention-maps.js';

/** One head of a model, numbered from 0. */
export interface HeadId {
  /** The encoder's self-attention, the decoder's masked self-attention, or the decoder's cross-attention. */
  readonly attention: keyof AttentionMaps;
  readonly layer: number;
  readonly head: number;
}

/**
 * Runs `fn` while the given heads contribute nothing to their attention's output (Michel, Levy, Neubig 2019, arXiv
 * 1905.10650). The rows of the output projection that read them are zero, which has the effect of heads that return
 * zeros. Afterwards the rows are restored, bit for bit, even if `fn` throws. Other users of the model see the change
 * meanwhile; do not train it. Calls may nest and overlap.
 *
 * Throws ArgumentError, before any change, if the model has no such head.
 */
export async function withoutHeads<T>(
  model: { readonly attentions: AttentionsByKind },
  heads: readonly HeadId[],
  fn: () => T | Promise<T>,
): Promise<T> {
  const slices = heads.map((head) => weightSliceOf(model, head));
  const switchedOn: (() => void)[] = [];
  try {
    for (const slice of slices) switchedOn.push(await switchOff(slice));
    return await fn();
  } finally {
    for (const switchOn of switchedOn) switchOn();
  }
}

/** Rows of an output projection that read one head. */
interface WeightSlice {
  readonly weight: Tensor;
  readonly start: number;
  readonly end: number;
}

function weightSliceOf(
  { attentions }: { readonly attentions: AttentionsByKind },
  { attention, layer, head }: HeadId,
): WeightSlice {
  const layers = attentions[attention] ?? [];
  const module = layers[layer];
  if (!module || !(isWhole(head) && head < module.heads)) {
    const heads = module?.heads ?? layers[0]?.heads ?? 0;
    const has = `it has ${layers.length} layers of ${heads} heads there, numbered from 0`;
    throw new ArgumentError(`withoutHeads: the model has no head ${head} in layer ${layer} of '${attention}': ${has}`);
  }
  const weight = tensorOf('withoutHeads', module.outProj.weight);
  return { weight, start: head * module.headSize, end: (head + 1) * module.headSize };
}

/** Rows that are zero for now: their original values, and the number of callers that need them zero. */
interface Hidden {
  readonly before: Promise<Float32Array | Int32Array>;
  callers: number;
}

/** Hidden rows by weight and first row. */
const hidden = new WeakMap<Tensor, Map<number, Hidden>>();

/** Sets the rows to zero. Returns a function that restores them after the last caller has finished. */
async function switchOff(slice: WeightSlice): Promise<() => void> {
  const { weight, start } = slice;
  const ofWeight = hidden.get(weight) ?? new Map<number, Hidden>();
  hidden.set(weight, ofWeight);
  const entry: Hidden = ofWeight.get(start) ?? { before: onRows(slice, (rows) => rows.data()), callers: 0 };
  ofWeight.set(start, entry);
  entry.callers++;
  const before = await entry.before.catch((error: unknown) => {
    if (ofWeight.get(start) === entry) ofWeight.delete(start); // the next caller reads the rows again
    throw error;
  });
  onRows(slice, (rows) => rows.write(new Float32Array(before.length)));
  return () => {
    entry.callers--;
    if (entry.callers > 0) return;
    ofWeight.delete(start);
    if (!weight.disposed) onRows(slice, (rows) => rows.write(before));
  };
}

function onRows<T>({ weight, start, end }: WeightSlice, use: (rows: Tensor) => T): T {
  const rows = weight.device.unscoped(() => weight.rows(start, end));
  try {
    return use(rows);
  } finally {
    rows.dispose();
  }
}
