import { lastOf, type Reals, sum } from './reals.js';

export interface AttentionOptions {
  readonly heads: number;
  readonly kvHeads?: number;
  readonly causal?: boolean;
  /** Default 1/√(width of a head of q). */
  readonly scale?: number;
  readonly lengthsQ?: ArrayLike<number>;
  readonly lengthsK?: ArrayLike<number>;
  /** [heads, Tq, Tk], or with a batch before. */
  readonly bias?: Reals | null;
}

/**
 * softmax(q kᵀ · scale + bias) of q [B, Tq, heads·d] and k [B, Tk, kvHeads·d]: [B, heads, Tq, Tk]. Zero past the lengths;
 * causal aligns the last query with the last key.
 */
export function attentionWeights(q: Reals, k: Reals, options: AttentionOptions): Reals {
  const { heads, kvHeads = heads, causal = false, lengthsQ, lengthsK, bias } = options;
  const [B, Tq, widthQ] = q.shape as [number, number, number];
  const [Tk, widthK] = k.shape.slice(1) as [number, number];
  const d = widthQ / heads;
  const scale = options.scale ?? 1 / Math.sqrt(d);
  const data = new Float64Array(B * heads * Tq * Tk);
  for (let b = 0; b < B; b++) {
    const keys = lengthsK?.[b] ?? Tk;
    const queries = lengthsQ?.[b] ?? Tq;
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor(h / (heads / kvHeads));
      for (let i = 0; i < queries; i++) {
        const visible = causal ? Math.min(keys, i + 1 + keys - queries) : keys;
        if (visible <= 0) continue;
        const row = data.subarray(((b * heads + h) * Tq + i) * Tk).subarray(0, visible);
        const query = q.data.subarray((b * Tq + i) * widthQ + h * d).subarray(0, d);
        for (let j = 0; j < visible; j++) {
          const key = k.data.subarray((b * Tk + j) * widthK + kvHead * d);
          const biasRow = bias && bias.data.length > heads * Tq * Tk ? b * heads + h : h;
          row[j] = sum(query, (x, c) => x * key[c]!) * scale + (bias?.data[(biasRow * Tq + i) * Tk + j] ?? 0);
        }
        const max = Math.max(...row);
        const total = sum(row, (x) => Math.exp(x - max));
        row.forEach((x, j) => {
          row[j] = Math.exp(x - max) / total;
        });
      }
    }
  }
  return { shape: [B, heads, Tq, Tk], data };
}

/** The weights times v [B, Tk, kvHeads·dv]: [B, Tq, heads·dv]. */
export function attention(q: Reals, k: Reals, v: Reals, options: AttentionOptions): Reals {
  const { heads, kvHeads = heads } = options;
  const weights = attentionWeights(q, k, options);
  const [B, , Tq, Tk] = weights.shape as [number, number, number, number];
  const widthV = lastOf(v.shape);
  const dv = widthV / kvHeads;
  const data = new Float64Array(B * Tq * heads * dv);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor(h / (heads / kvHeads));
      for (let i = 0; i < Tq; i++) {
        const row = weights.data.subarray(((b * heads + h) * Tq + i) * Tk).subarray(0, Tk);
        for (let c = 0; c < dv; c++) {
          const start = b * Tk * widthV + kvHead * dv + c;
          data[((b * Tq + i) * heads + h) * dv + c] = sum(row, (p, j) => p * v.data[start + j * widthV]!);
        }
      }
    }
  }
  return { shape: [B, Tq, heads * dv], data };
}
