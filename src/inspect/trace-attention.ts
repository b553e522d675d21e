import type { Tensor } from '../core/tensor.js';
import type { MultiHeadAttention, ProjectedAttention } from '../nn/attention.js';
import type { AttentionWindow } from '../nn/padding.js';
import type { Sequences } from '../nn/sequences.js';
import { tanh } from '../ops/activation.js';
import { add, scale } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { matmul } from '../ops/matmul.js';
import { gather, permute } from '../ops/move.js';
import { softmax } from '../ops/softmax.js';
import type { AttentionTrace } from './trace-types.js';

/** Attention of `input` to `memory`, or to itself if that is null. `batch` is one sequence. */
export function traceAttention(
  attention: MultiHeadAttention,
  input: Tensor,
  batch: Sequences,
  memory: Tensor | null,
): AttentionTrace<Tensor> {
  const { heads, kvHeads, headSize: width, scale: factor, outProj } = attention;
  const [causal, window] = memory ? [false, null] : [attention.causal, attention.attentionWindow];
  const { keys: relativeKeys = null, values: relativeValues = null } = attention.relative ?? {};
  const [timeQ, timeK] = [input.shape[0] as number, (memory ?? input).shape[0] as number];
  const projected = memory
    ? { q: attention.query(input), kv: attention.keysAndValues(memory) }
    : attention.project(input, batch.positions, timeQ);
  const q = headsOf(projected.q, heads); // [heads, Tq, d]
  const k = shared(headsOf(projected.kv.columns(0, kvHeads * width), kvHeads), heads); // [heads, Tk, d]
  const v = shared(headsOf(projected.kv.columns(kvHeads * width, 2 * kvHeads * width), kvHeads), heads);

  const products = matmul(q, k, { transposeB: true }); // [heads, Tq, Tk]
  // Vectors of distances are [Tq, Tk, d], so queries come first: [Tq, heads, d] · [Tq, d, Tk].
  const relative =
    relativeKeys && queriesFirst(matmul(queriesFirst(q), byDistance(relativeKeys, timeQ, timeK), { transposeB: true }));
  const bias = memory ? null : biasOf(attention, projected, batch, input);
  const scaled = scale(relative ? add(products, relative) : products, factor);
  const capped = limited(scaled, attention.softcap);
  const scores = bias ? add(capped, bias) : capped;
  const isMasked = causal || window !== null;
  const weights = softmax(isMasked ? add(scores, mask(input, timeK, causal, window)) : scores);

  const means = matmul(weights, v);
  const outputs = relativeValues
    ? add(means, queriesFirst(matmul(queriesFirst(weights), byDistance(relativeValues, timeQ, timeK))))
    : means;
  const output = outProj.forward(queriesFirst(outputs).reshape(timeQ, -1));
  const distances = { relative, bias, relativeKeys, relativeValues };
  const all = { q, k, v, products, ...distances, scale: factor, scores, causal, window, weights, outputs, output };
  return { input, memory: memory ?? input, ...all };
}

/**
 * The bias of the scores of self-attention over the tokens of `x`, by distance or by content: [heads, T, T], or null.
 */
function biasOf(
  attention: MultiHeadAttention,
  { q, kv }: ProjectedAttention,
  batch: Sequences,
  x: Tensor,
): Tensor | null {
  const length = x.shape[0] as number;
  const table = attention.positionBias?.table();
  if (table) return permute(byDistance(permute(table, [1, 0]), length, length), [2, 0, 1]);
  return attention.scoreBias(q, kv, batch, x)?.reshape(attention.heads, length, length) ?? null;
}

/** Limits scores to ±softcap, unless that is null. */
function limited(scores: Tensor, softcap: number | null): Tensor {
  return softcap === null ? scores : scale(tanh(scale(scores, 1 / softcap)), softcap);
}

/** [T, heads·d] as [heads, T, d]. */
function headsOf(x: Tensor, heads: number): Tensor {
  return queriesFirst(contiguous(x).reshape(x.shape[0] as number, heads, -1));
}

/** Exchanges the first two dimensions. */
function queriesFirst(x: Tensor): Tensor {
  return permute(x, [1, 0, 2]);
}

/** Repeats each head of keys or values for every head of queries that shares it. */
function shared(x: Tensor, heads: number): Tensor {
  const kvHeads = x.shape[0] as number;
  if (kvHeads === heads) return x;
  return gather(
    x,
    x.device.tensor(Int32Array.from({ length: heads }, (_, head) => Math.floor((head * kvHeads) / heads))),
  );
}

/** Rows of a table [2M + 1, n] by the distance from query to key, clamped to ±M: [Tq, Tk, n]. */
function byDistance(table: Tensor, timeQ: number, timeK: number): Tensor {
  const max = ((table.shape[0] as number) - 1) / 2;
  const rows = Int32Array.from({ length: timeQ * timeK }, (_, i) => {
    const distance = (i % timeK) - Math.floor(i / timeK);
    return max + Math.max(-max, Math.min(max, distance));
  });
  return gather(table, table.device.tensor(rows, [timeQ, timeK]));
}

/** [Tq, Tk]: -∞ where a query must not see a key: later keys if `causal`, and keys outside of `window`. */
function mask({ device, shape }: Tensor, timeK: number, causal: boolean, window: AttentionWindow | null): Tensor {
  const timeQ = shape[0] as number;
  const [before, after] = typeof window === 'number' ? [window, window] : (window ?? [timeK + timeQ, timeK]);
  const values = Float32Array.from({ length: timeQ * timeK }, (_, i) => {
    const distance = (i % timeK) - Math.floor(i / timeK);
    const hidden = distance > 0 ? causal || distance >= after : -distance >= before;
    return hidden ? Number.NEGATIVE_INFINITY : 0;
  });
  return device.tensor(values, [timeQ, timeK]);
}
