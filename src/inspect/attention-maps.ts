import type { Tensor } from '../core/tensor.js';
import type { MultiHeadAttention } from '../nn/attention.js';

/** Attention probabilities of every layer, each [B, heads, Tq, Tk]. */
export interface AttentionMaps {
  readonly encoder: Tensor[];
  readonly decoder: Tensor[];
  readonly cross: Tensor[];
}

/** Attention whose passes can be observed, and whose heads can be switched off. */
export type ObservedAttention = Pick<MultiHeadAttention, 'observe' | 'heads' | 'headSize' | 'outProj'>;

/** Attention layers of a model by kind. */
export type AttentionsByKind = Readonly<Record<keyof AttentionMaps, readonly ObservedAttention[]>>;

/** Runs `pass` and returns the attention maps of all layers. */
export function observeAttention(attentions: AttentionsByKind, pass: () => unknown): AttentionMaps {
  const maps: AttentionMaps = { encoder: [], decoder: [], cross: [] };
  for (const kind of ['encoder', 'decoder', 'cross'] as const) {
    for (const attention of attentions[kind]) attention.observe = ({ weights }) => maps[kind].push(weights());
  }
  try {
    pass();
    return maps;
  } finally {
    for (const attention of Object.values(attentions).flat()) attention.observe = null;
  }
}

/** Runs `pass` and appends the outputs of the heads of every attention to `outputs`, [N, heads·dv] each. */
export function observeHeads<T>(attentions: AttentionsByKind, outputs: Tensor[], pass: () => T): T {
  const all = Object.values(attentions).flat();
  for (const attention of all) attention.observe = (seen) => outputs.push(seen.outputs);
  try {
    return pass();
  } finally {
    for (const attention of all) attention.observe = null;
  }
}
