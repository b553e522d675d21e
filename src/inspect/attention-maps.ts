import type { Tensor } from '../core/tensor.js';
import type { MultiHeadAttention } from '../nn/attention.js';

/** Attention probabilities of every layer, each [B, heads, Tq, Tk]. */
export interface AttentionMaps {
  readonly encoder: Tensor[];
  readonly decoder: Tensor[];
  readonly cross: Tensor[];
}

/** The attentions of a model's layers, by what they are. */
export type AttentionsByKind = Readonly<Record<keyof AttentionMaps, readonly MultiHeadAttention[]>>;

/** What attentions look at while `pass` runs through them. */
export function observeAttention(attentions: AttentionsByKind, pass: () => unknown): AttentionMaps {
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
export function observeHeads<T>(attentions: AttentionsByKind, outputs: Tensor[], pass: () => T): T {
  const all = Object.values(attentions).flat();
  for (const attention of all) attention.observeHeads = (output) => outputs.push(output);
  try {
    return pass();
  } finally {
    for (const attention of all) attention.observeHeads = null;
  }
}
