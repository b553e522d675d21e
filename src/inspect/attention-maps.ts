import type { Tensor } from '../core/tensor.js';
import type { Stacks } from '../nn/stacks.js';

/** Attention probabilities of every layer, each [B, heads, Tq, Tk]. */
export interface AttentionMaps {
  readonly encoder: Tensor[];
  readonly decoder: Tensor[];
  readonly cross: Tensor[];
}

/** The attentions of all layers, by what they are. */
export function attentionsOf({ encoder, decoder }: Stacks) {
  return {
    encoder: encoder?.layers.map((layer) => layer.selfAttn) ?? [],
    decoder: decoder?.layers.map((layer) => layer.selfAttn) ?? [],
    cross: decoder?.layers.flatMap((layer) => layer.multiheadAttn ?? []) ?? [],
  };
}

/** What the attentions of the stacks look at while `pass` runs through them. */
export function observeAttention(stacks: Stacks, pass: () => unknown): AttentionMaps {
  const attentions = attentionsOf(stacks);
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

/** Runs `pass` and puts what the heads of every attention give into `outputs`, [N, heads·dv] each. */
export function observeHeads<T>(stacks: Stacks, outputs: Tensor[], pass: () => T): T {
  const attentions = Object.values(attentionsOf(stacks)).flat();
  for (const attention of attentions) attention.observeHeads = (output) => outputs.push(output);
  try {
    return pass();
  } finally {
    for (const attention of attentions) attention.observeHeads = null;
  }
}
