// Finds out from the files if the output projection equals the embedding, because the configs of some models are wrong
// (Flan-T5).

import type { Device } from '../core/device.js';
import type { HeadKind } from '../models/pretrained-model.js';
import type { WeightEntry } from '../models/weight-entry.js';

/**
 * Names of the output projections of language models, and of the embeddings to which they can be tied: the first
 * existing one.
 */
const OUTPUT = /^(?:language_model\.)?(lm_head|proj_out)\.weight$/;
/** Names of the output projections of masked language models. */
const WORDS = /(^|\.)(decoder|vocab_projector|generator_lm_head|lm_head|lm_loss)\.weight$/;
const EMBEDDINGS = [
  /(^|\.)shared\.weight$/,
  /(^|\.)decoder\.embed_tokens\.weight$/,
  /(^|\.)(embed_tokens|wte|word_embeddings?|tok_embeddings)\.weight$/,
];

/** Number of values that are compared at a time. */
const PART = 1 << 17;

/**
 * True if a file has an output projection that differs from the embedding. transformers does not tie such a pair,
 * either. Without a device, only sizes are compared.
 */
export async function hasOwnOutput(
  tensors: ReadonlyMap<string, WeightEntry>,
  head: HeadKind,
  device: Device | null,
  signal?: AbortSignal,
): Promise<boolean> {
  const names = [...tensors.keys()];
  const pattern = head === 'masked-language-model' ? WORDS : OUTPUT;
  const output = names.find((name) => pattern.test(name));
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
