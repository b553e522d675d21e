import { lastOf, type Reals, sum } from './reals.js';
import { threefry } from './threefry.js';

export interface AttentionOptions {
  readonly heads: number;
  readonly kvHeads?: number;
  readonly causal?: boolean | 'lower-right' | 'upper-left';
  readonly window?: readonly [number, number];
  readonly offset?: number;
  readonly softcap?: number;
  /** Default: 1/√(width of a head of q). */
  readonly scale?: number;
  readonly lengthsQ?: ArrayLike<number>;
  readonly lengthsK?: ArrayLike<number>;
  /** Up to [B, heads, Tq, Tk], broadcast as in NumPy. */
  readonly bias?: Reals | null;
  /** Mask [B, heads, Tq, Tk] with broadcasting: a query may attend to a key where it is not 0. */
  readonly mask?: Reals<Int32Array> | null;
  /** [heads, 2M + 1], by clipped distance of key and query. */
  readonly relativeBias?: Reals | null;
  /** [2M + 1, d] and [2M + 1, dv], added to keys and values by clipped distance. */
  readonly relativeKeys?: Reals | null;
  readonly relativeValues?: Reals | null;
  /** Dropout of the weights that multiply values. */
  readonly dropout?: { readonly p: number; readonly seed: number; readonly stream: number } | undefined;
  /** The first row of each item in q, where items lie end to end. */
  readonly firstRows?: readonly number[] | undefined;
}

export type Stage = 'raw' | 'capped' | 'biased' | 'softmax';

/** Returns the entry, of a table of 2M + 1 distances, for a key this many positions after a query. */
function entryOf(table: Reals, axis: 0 | 1, distance: number): number {
  const reach = (table.shape[axis]! - 1) / 2;
  return Math.max(-reach, Math.min(reach, distance)) + reach;
}

/** Position of the first query among the keys. */
function firstPosition({ causal = false, window, offset }: AttentionOptions, queries: number, keys: number): number {
  if (offset !== undefined) return offset;
  const limited = causal !== false || Math.max(...(window ?? [-1])) >= 0;
  return limited && causal !== 'upper-left' ? keys - queries : 0;
}

/** True if a query sees the key at this distance. */
function sees({ causal = false, window = [-1, -1] }: AttentionOptions, distance: number): boolean {
  const [left, right] = window;
  return (causal === false || distance <= 0) && (left < 0 || distance >= -left) && (right < 0 || distance <= right);
}

/** An entry of what is broadcast over [B, heads, Tq, Tk]. */
function entryAt({ shape, data }: Reals | Reals<Int32Array>, at: readonly number[]): number {
  let index = 0;
  for (const [d, size] of shape.entries()) {
    index = index * size + (size === 1 ? 0 : at[4 - shape.length + d]!);
  }
  return data[index]!;
}

/** The product of a query with a key, and with the row of a table for their distance. */
function product(query: Float64Array, key: Float64Array, table: Reals | null | undefined, distance: number): number {
  const row = table?.data.subarray(entryOf(table, 0, distance) * query.length);
  return sum(query, (x, c) => x * (key[c]! + (row?.[c] ?? 0)));
}

const capped = (score: number, softcap = 0) => (softcap === 0 ? score : softcap * Math.tanh(score / softcap));

/** A score with all biases, at [item, head, query, key]. Hidden keys have −∞. */
function biased(
  score: number,
  at: readonly [b: number, h: number, i: number, j: number],
  distance: number,
  options: AttentionOptions,
): number {
  const { bias, mask, relativeBias } = options;
  if (!sees(options, distance) || (mask && entryAt(mask, at) === 0)) return Number.NEGATIVE_INFINITY;
  const byDistance = relativeBias
    ? relativeBias.data[at[1] * relativeBias.shape[1]! + entryOf(relativeBias, 1, distance)]!
    : 0;
  return score + (bias ? entryAt(bias, at) : 0) + byDistance;
}

/**
 * softmax(q kᵀ · scale + bias), or the scores of an earlier stage: [B, heads, Tq, Tk]. `q` is [B, Tq, heads·d], `k` is
 * [B, Tk, kvHeads·d].
 */
export function attentionWeights(q: Reals, k: Reals, options: AttentionOptions, stage: Stage = 'softmax'): Reals {
  const { heads, kvHeads = heads, lengthsQ, lengthsK, relativeKeys } = options;
  const [B, Tq, widthQ] = q.shape as [number, number, number];
  const [Tk, widthK] = k.shape.slice(1) as [number, number];
  const d = widthQ / heads;
  const scale = options.scale ?? 1 / Math.sqrt(d);
  const hides = stage === 'biased' || stage === 'softmax';
  const data = new Float64Array(B * heads * Tq * Tk).fill(hides ? Number.NEGATIVE_INFINITY : 0);
  for (let b = 0; b < B; b++) {
    const keys = lengthsK?.[b] ?? Tk;
    const queries = lengthsQ?.[b] ?? Tq;
    const shift = firstPosition(options, queries, keys);
    for (let n = 0; n < heads * Tq; n++) {
      const [h, i] = [Math.floor(n / Tq), n % Tq];
      const kvHead = Math.floor(h / (heads / kvHeads));
      const row = data.subarray((b * heads * Tq + n) * Tk).subarray(0, Tk);
      const query = q.data.subarray((b * Tq + i) * widthQ + h * d).subarray(0, d);
      for (let j = 0; j < keys && i < queries; j++) {
        const distance = j - i - shift;
        const key = k.data.subarray((b * Tk + j) * widthK + kvHead * d);
        const raw = product(query, key, relativeKeys, distance) * scale;
        const score = stage === 'raw' ? raw : capped(raw, options.softcap);
        row[j] = hides ? biased(score, [b, h, i, j], distance, options) : score;
      }
      if (stage === 'softmax') softmaxInPlace(row);
    }
  }
  return { shape: [B, heads, Tq, Tk], data };
}

/** A row without scores becomes zero. */
function softmaxInPlace(row: Float64Array): void {
  const max = Math.max(...row);
  if (max === Number.NEGATIVE_INFINITY) return void row.fill(0);
  const total = sum(row, (x) => Math.exp(x - max));
  row.forEach((x, j) => {
    row[j] = Math.exp(x - max) / total;
  });
}

/** Dropout's factor of a weight: each head has its own key, and two keys of a row share a counter. */
function factorOf({ p, seed, stream }: { p: number; seed: number; stream: number }, row: number, h: number, j: number) {
  const bits = threefry([row, Math.floor(j / 2)], [seed, (stream ^ Math.imul(h, 0x9e3779b9)) >>> 0])[j % 2 ? 1 : 0];
  return bits >= p * 2 ** 32 ? 1 / (1 - p) : 0;
}

/** The weights times v [B, Tk, kvHeads·dv]: [B, Tq, heads·dv]. */
export function attention(q: Reals, k: Reals, v: Reals, options: AttentionOptions): Reals {
  const { heads, kvHeads = heads, lengthsQ, lengthsK, relativeValues, dropout, firstRows } = options;
  const weights = attentionWeights(q, k, options);
  const [B, , Tq, Tk] = weights.shape as [number, number, number, number];
  const widthV = lastOf(v.shape);
  const dv = widthV / kvHeads;
  const data = new Float64Array(B * Tq * heads * dv);
  for (let b = 0; b < B; b++) {
    const shift = firstPosition(options, lengthsQ?.[b] ?? Tq, lengthsK?.[b] ?? Tk);
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor(h / (heads / kvHeads));
      for (let i = 0; i < Tq; i++) {
        const row = weights.data.subarray(((b * heads + h) * Tq + i) * Tk).subarray(0, Tk);
        const place = (firstRows?.[b] ?? b * Tq) + i;
        if (dropout) row.set(row.map((p, j) => p * factorOf(dropout, place, h, j)));
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
