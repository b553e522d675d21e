import type { Tensor } from '../core/tensor.js';
import type { AttentionPass, MultiHeadAttention } from '../nn/attention.js';
import { attentionWeights } from '../ops/attention-weights.js';
import { add } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { matmul } from '../ops/matmul.js';
import { gather, permute } from '../ops/move.js';
import type { AttentionTrace } from './trace-types.js';

/** The values of a pass of attention over one sequence. */
export function traceAttention(attention: MultiHeadAttention, pass: AttentionPass): AttentionTrace<Tensor> | null {
  const { parts, weights, outputs } = pass;
  const maps = weights(); // [B, heads, Tq, Tk]
  if (parts === null || maps.shape[0] !== 1) return null; // windows of an image are several sequences
  const { input, memory, output } = parts;
  const { heads, kvHeads, scale, softcap } = attention;
  const [q, k, v] = [parts.q, parts.k, parts.v].map((rows, i) => shared(headsOf(rows, i ? kvHeads : heads), heads)) as [
    ...[Tensor, Tensor, Tensor], // [heads, T, d] each
  ];
  const [timeQ, timeK] = [q.shape[1] as number, k.shape[1] as number];
  const square = (scores: Tensor) => scores.reshape(heads, timeQ, timeK);
  const { relativeBias = null, relativeKeys = null, relativeValues = null, bias = null, causal } = parts.options;
  // Vectors of distances are [Tq, Tk, d], so queries come first: [Tq, heads, d] · [Tq, d, Tk].
  const relative =
    relativeKeys && queriesFirst(matmul(queriesFirst(q), byDistance(relativeKeys, timeQ, timeK), { transposeB: true }));
  const biases = [
    relativeBias && permute(byDistance(permute(relativeBias, [1, 0]), timeQ, timeK), [2, 0, 1]),
    bias && square(add(q.device.zeros([1, heads, timeQ, timeK]), bias)),
  ].filter((part) => part !== null);
  const unmasked = { heads, kvHeads, scale, softcap, relativeBias, relativeKeys, bias };
  const lengths = { lengthsQ: [timeQ], lengthsK: [timeK] };
  const isSelf = causal !== undefined;
  return {
    input,
    memory,
    q,
    k,
    v,
    relative,
    relativeKeys,
    relativeValues,
    scale,
    output,
    products: matmul(q, k, { transposeB: true }),
    bias: biases.length > 0 ? biases.reduce(add) : null,
    scores: square(attentionWeights(parts.q, parts.k, { ...unmasked, ...lengths, stage: 'biased' })),
    causal: isSelf && attention.causal,
    window: isSelf ? attention.attentionWindow : null,
    weights: square(maps),
    outputs: headsOf(outputs, heads),
  };
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
