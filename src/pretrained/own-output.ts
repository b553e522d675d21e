// Finds out from the files if the output projection equals the embedding, because the configs of some models are wrong
// (Flan-T5).

import type { Device } from '../core/device.js';
import type { WeightEntry } from '../models/weight-entry.js';

/** Names of the output projections of language models, masked ones included. */
export const OUTPUT =
  /(^|\.)(decoder|vocab_projector|(generator_)?lm_head|lm_loss|embed_out|output_projection)\.weight$|^proj_out\.weight$/;
/** Names of the embeddings to which they can be tied: the first existing one. */
export const EMBEDDINGS = [
  /(^|\.)shared\.weight$/,
  /(^|\.)decoder\.embed_tokens\.weight$/,
  /(^|\.)(embed_tokens|embed_in|wte|word_embeddings?|tok_embeddings|embeddings)\.weight$/,
];

/** Number of values that are compared at a time. */
const PART = 1 << 17;

/**
 * True if a file has an output projection that differs from the embedding. transformers does not tie such a pair,
 * either. Without a device, only sizes are compared.
 */
export async function hasOwnOutput(
  tensors: ReadonlyMap<string, WeightEntry>,
  device: Device | null,
  signal?: AbortSignal,
): Promise<boolean> {
  const names = [...tensors.keys()];
  const output = names.find((name) => OUTPUT.test(name));
  const embedding = EMBEDDINGS.map((regex) => names.find((name) => regex.test(name))).find(
    (name) => name !== undefined,
  );
  if (output === undefined || embedding === undefined) return false;
  const [a, b] = [tensors.get(output) as WeightEntry, tensors.get(embedding) as WeightEntry];
  if (a.size !== b.size) return true;
  if (device === null) return false;
  const otherStream = b.stream(new Uint8Array(8 * PART), 1, device)[Symbol.asyncIterator]();
  for await (const part of a.stream(new Uint8Array(8 * PART), 1, device)) {
    signal?.throwIfAborted();
    const other = (await otherStream.next()).value as typeof part;
    if (part.some((value, i) => value !== other[i])) return true;
  }
  return false;
}
