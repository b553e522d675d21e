import type { Tensor } from '../core/tensor.js';
import type { TransformerConfig } from '../models/config.js';
import type { MultiHeadAttention } from '../nn/attention.js';
import { add, scale } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { matmul } from '../ops/matmul.js';
import { gather, permute } from '../ops/move.js';
import { softmax } from '../ops/softmax.js';
import type { Values } from './trace.js';

/**
 * Multi-head attention: outputs = softmax((q·k + q·r)·scale + bias) · (v + r'), the relative terms only where the model
 * has them.
 */
export interface AttentionTrace<T = Values> {
  /** [Tq, dModel] */
  readonly input: T;
  /**
   * [Tk, dModel], what keys and values are made of: `input` in self-attention, the encoder's output in cross attention.
   */
  readonly memory: T;
  /** [heads, Tq, d]; with positions `rotary` as they have turned, keys likewise. */
  readonly q: T;
  /** [heads, Tk, d]; heads that share keys and values have a copy each. */
  readonly k: T;
  readonly v: T;
  /** [heads, Tq, Tk], as are all scores: q·k. */
  readonly products: T;
  /** q·r, r the trained vector of the distance; with positions `shaw` only. */
  readonly relative: T | null;
  /** The trained number of the distance; with positions `relativeBias` only. */
  readonly bias: T | null;
  /**
   * [2M + 1, d], the trained vectors r and r' of the distances -M … M from query to key; with positions `shaw` only.
   */
  readonly relativeKeys: T | null;
  readonly relativeValues: T | null;
  /** 1/√d */
  readonly scale: number;
  /** (products + relative)·scale + bias, before the mask. */
  readonly scores: T;
  /** Whether queries see no key after them: the mask of the decoder's self-attention. */
  readonly causal: boolean;
  /** softmax(scores) over the keys that a query may see; 0 for the others. */
  readonly weights: T;
  /** [heads, Tq, d]: the mean of the values by weight, and what it adds with positions `shaw`. */
  readonly outputs: T;
  /** [Tq, dModel]: the heads side by side, through the output projection. */
  readonly output: T;
}

/** Attention of `input`, whose tokens stand at `positions`, int32 [Tq], to `memory`, or to itself if that is null. */
export function traceAttention(
  attention: MultiHeadAttention,
  { dModel, heads, kvHeads }: TransformerConfig,
  input: Tensor,
  positions: Tensor,
  memory: Tensor | null,
  causal: boolean,
): AttentionTrace<Tensor> {
  const { relativeBias, relativeKeys, relativeValues, outProj } = attention;
  const width = dModel / heads;
  const [timeQ, timeK] = [input.shape[0] as number, (memory ?? input).shape[0] as number];
  const projected = memory
    ? { q: attention.query(input), kv: attention.keysAndValues(memory) }
    : attention.project(input, positions);
  const q = headsOf(projected.q, heads);
  const k = shared(headsOf(projected.kv.columns(0, kvHeads * width), kvHeads), heads);
  const v = shared(headsOf(projected.kv.columns(kvHeads * width, 2 * kvHeads * width), kvHeads), heads);

  const products = matmul(q, k, { transposeB: true });
  // Vectors of distances are [Tq, Tk, d], so queries come first: [Tq, heads, d] · [Tq, d, Tk].
  const relative =
    relativeKeys && queriesFirst(matmul(queriesFirst(q), byDistance(relativeKeys, timeQ, timeK), { transposeB: true }));
  const bias = relativeBias && permute(byDistance(permute(relativeBias, [1, 0]), timeQ, timeK), [2, 0, 1]);
  const factor = 1 / Math.sqrt(width);
  const scaled = scale(relative ? add(products, relative) : products, factor);
  const scores = bias ? add(scaled, bias) : scaled;
  const weights = softmax(causal ? add(scores, mask(input, timeK)) : scores);

  const means = matmul(weights, v);
  const outputs = relativeValues
    ? add(means, queriesFirst(matmul(queriesFirst(weights), byDistance(relativeValues, timeQ, timeK))))
    : means;
  const output = outProj.forward(queriesFirst(outputs).reshape(timeQ, dModel));
  const distances = { relative, bias, relativeKeys, relativeValues };
  const all = { q, k, v, products, ...distances, scale: factor, scores, causal, weights, outputs, output };
  return { input, memory: memory ?? input, ...all };
}

/** [T, heads·d] as [heads, T, d]. */
function headsOf(x: Tensor, heads: number): Tensor {
  return queriesFirst(contiguous(x).reshape(x.shape[0] as number, heads, -1));
}

/** Exchanges the first two dimensions. */
function queriesFirst(x: Tensor): Tensor {
  return permute(x, [1, 0, 2]);
}

/** Each head of keys or values once for every head of queries that it serves. */
function shared(x: Tensor, heads: number): Tensor {
  const kvHeads = x.shape[0] as number;
  if (kvHeads === heads) return x;
  return gather(
    x,
    x.device.tensor(Int32Array.from({ length: heads }, (_, head) => Math.floor((head * kvHeads) / heads))),
  );
}

/** Rows of a table [2M + 1, n] by the distance from query to key, at most ±M: [Tq, Tk, n]. */
function byDistance(table: Tensor, timeQ: number, timeK: number): Tensor {
  const most = ((table.shape[0] as number) - 1) / 2;
  const rows = Int32Array.from({ length: timeQ * timeK }, (_, i) => {
    const distance = (i % timeK) - Math.floor(i / timeK);
    return most + Math.max(-most, Math.min(most, distance));
  });
  return gather(table, table.device.tensor(rows, [timeQ, timeK]));
}

/** [Tq, Tk]: -∞ where a key comes after the query. */
function mask({ device, shape }: Tensor, timeK: number): Tensor {
  const timeQ = shape[0] as number;
  const values = Float32Array.from({ length: timeQ * timeK }, (_, i) =>
    i % timeK > Math.floor(i / timeK) ? Number.NEGATIVE_INFINITY : 0,
  );
  return device.tensor(values, [timeQ, timeK]);
}
