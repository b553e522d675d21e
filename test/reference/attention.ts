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
  /** [heads, 2M + 1], by clipped distance of key and query. */
  readonly relativeBias?: Reals | null;
  /** [2M + 1, d] and [2M + 1, dv], added to keys and values by clipped distance. */
  readonly relativeKeys?: Reals | null;
  readonly relativeValues?: Reals | null;
}

/** Which entry of a table of 2M + 1 distances belongs to key j and query i; causal aligns the last of both. */
function entryOf(table: Reals, axis: 0 | 1, distance: number): number {
  const reach = (table.shape[axis]! - 1) / 2;
  return Math.max(-reach, Math.min(reach, distance)) + reach;
}

/**
 * softmax(q kᵀ · scale + bias) of q [B, Tq, heads·d] and k [B, Tk, kvHeads·d]: [B, heads, Tq, Tk]. Zero past the lengths;
 * causal aligns the last query with the last key.
 */
export function attentionWeights(q: Reals, k: Reals, options: AttentionOptions): Reals {
  const { heads, kvHeads = heads, causal = false, lengthsQ, lengthsK, bias, relativeBias, relativeKeys } = options;
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
          const distance = j - (causal ? i + keys - queries : i);
          if (relativeBias)
            row[j]! += relativeBias.data[h * relativeBias.shape[1]! + entryOf(relativeBias, 1, distance)]!;
          if (relativeKeys) {
            const table = relativeKeys.data.subarray(entryOf(relativeKeys, 0, distance) * d);
            row[j]! += sum(query, (x, c) => x * table[c]!) * scale;
          }
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
  const { heads, kvHeads = heads, causal = false, lengthsQ, lengthsK, relativeValues } = options;
  const weights = attentionWeights(q, k, options);
  const [B, , Tq, Tk] = weights.shape as [number, number, number, number];
  const widthV = lastOf(v.shape);
  const dv = widthV / kvHeads;
  const data = new Float64Array(B * Tq * heads * dv);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor(h / (heads / kvHeads));
      const shift = causal ? (lengthsK?.[b] ?? Tk) - (lengthsQ?.[b] ?? Tq) : 0;
      for (let i = 0; i < Tq; i++) {
        const row = weights.data.subarray(((b * heads + h) * Tq + i) * Tk).subarray(0, Tk);
        for (let c = 0; c < dv; c++) {
          const start = b * Tk * widthV + kvHead * dv + c;
          data[((b * Tq + i) * heads + h) * dv + c] = sum(row, (p, j) => {
            const relative = relativeValues?.data[entryOf(relativeValues, 0, j - i - shift) * dv + c] ?? 0;
            return p * (v.data[start + j * widthV]! + relative);
          });
        }
      }
    }
  }
  return { shape: [B, Tq, heads * dv], data };
}
