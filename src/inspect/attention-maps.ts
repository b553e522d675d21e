import type { Tensor } from '../core/tensor.js';
import type { Decoder, Encoder } from '../nn/stacks.js';

/** Attention probabilities of every layer, each [B, heads, Tq, Tk]. */
export interface AttentionMaps {
  readonly encoder: Tensor[];
  readonly decoder: Tensor[];
  readonly cross: Tensor[];
}

/** What the attentions of the stacks look at while `pass` runs through them. */
export function observeAttention(
  { encoder, decoder }: { encoder: Encoder | null; decoder: Decoder | null },
  pass: () => unknown,
): AttentionMaps {
  const attentions = {
    encoder: encoder?.layers.map((layer) => layer.selfAttn) ?? [],
    decoder: decoder?.layers.map((layer) => layer.selfAttn) ?? [],
    cross: decoder?.layers.flatMap((layer) => layer.multiheadAttn ?? []) ?? [],
  };
  const maps: AttentionMaps = { encoder: [], decoder: [], cross: [] };
  for (const kind of ['encoder', 'decoder', 'cross'] as const) {
    for (const attention of attentions[kind]) attention.observe = (weights) => maps[kind].push(weights);
  }
  try {
    pass();
    return maps;
  } finally {
    for (const attention of Object.values(attentions).flat()) attention.observe = null;
  }
}
