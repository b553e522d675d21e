// Shared by the pictures of this part: the heads, and the tokens that their weights connect.

import { type AttentionTrace, type HeadId, type HeadStatistics, headStatistics, type Trace } from 'simdformer/inspect';
import { decimal, weightText } from '../../draw/format.js';
import type { Pronunciation } from '../../pronounce.js';
import { matrixOf, readNames, rowOf, saidTokens, type Traced } from '../../traced.js';

export type Attention = HeadId['attention'];

export const attentions: Readonly<Record<Attention, string>> = {
  encoder: 'Encoder',
  decoder: 'Masked decoder',
  cross: 'Cross attention',
};

/** A phrase that says which tokens attend to which. `readsText` is true if tokens are pieces of words. */
export function promise(attention: Attention, readsText: boolean): string {
  const [read, written] = readsText ? ['words', 'translated words'] : ['letters', 'sounds'];
  if (attention === 'encoder') return `${read} look at ${read}`;
  return attention === 'decoder' ? `${written} look at the ${written} before them` : `${written} look at ${read}`;
}

/** Captions of a head's picture if tokens are words or pieces of words. */
export const ofTokens: Readonly<Record<Attention, string>> = {
  encoder: 'Each row is a token. Its colours show how much it attends to the tokens above.',
  decoder:
    'Each row is a token, which attends to earlier ones. The corner is empty, because later tokens do not exist yet.',
  cross: 'Each row is the next token. Its colours show from which input tokens it is read.',
};

export function layersOf(trace: Trace, attention: Attention): AttentionTrace[] {
  const { layers = [] } = (attention === 'encoder' ? trace.encoder : trace.decoder) ?? {};
  return layers.flatMap(
    ({ selfAttention, crossAttention }) => (attention === 'cross' ? crossAttention : selfAttention)?.inside ?? [],
  );
}

export function sameHead(a: HeadId, b: HeadId): boolean {
  return a.attention === b.attention && a.layer === b.layer && a.head === b.head;
}

/** Returns the name of a head, counted from 1. */
export function nameOf({ attention, layer, head }: HeadId): string {
  return `${attentions[attention]}, layer ${layer + 1}, head ${head + 1}`;
}

/** Weights of a head. */
export interface HeadWeights {
  readonly id: HeadId;
  /** [queries, keys], row-major. */
  readonly weights: Float32Array;
  readonly causal: boolean;
  /** Names of the tokens. */
  readonly queries: readonly string[];
  readonly keys: readonly string[];
}

/** Weights of a head, with the values that explain them. */
export interface HeadView extends HeadWeights {
  readonly products: Float32Array;
  /** Bias by distance, if the model has one: before and after scaling. */
  readonly relative: Float32Array | null;
  readonly bias: Float32Array | null;
  readonly scale: number;
  readonly scores: Float32Array;
  query(row: number): Float32Array;
  key(column: number): Float32Array;
}

export function viewOf({ said, trace }: Traced, id: HeadId): HeadView {
  return headView(layersOf(trace, id.attention)[id.layer] as AttentionTrace, id, tokensOf(said, id.attention));
}

export function headView(
  attention: AttentionTrace,
  id: HeadId,
  tokens: Pick<HeadWeights, 'queries' | 'keys'>,
): HeadView {
  const ofHead = (values: AttentionTrace['weights']) => matrixOf(values, id.head).data;
  const { weights, products, relative, bias, scale, scores, causal, q, k } = attention;
  return {
    id,
    scale,
    causal,
    ...tokens,
    weights: ofHead(weights),
    products: ofHead(products),
    relative: relative && ofHead(relative),
    bias: bias && ofHead(bias),
    scores: ofHead(scores),
    query: (row) => rowOf(matrixOf(q, id.head), row),
    key: (column) => rowOf(matrixOf(k, id.head), column),
  };
}

/**
 * Labels of queries. In cross-attention, a query has the name of the sound that follows; in the decoder, of the one
 * that was read.
 */
export function tokensOf(said: Pronunciation, attention: Attention) {
  const read = readNames(said);
  if (attention === 'encoder') return { queries: said.letters, keys: said.letters };
  if (attention === 'decoder') return { queries: read, keys: read };
  return { queries: saidTokens(said).map(({ name }) => name), keys: said.letters };
}

/** Returns the position of a head's largest weight, or of the largest in one row. */
export function strongest({ weights, keys }: HeadWeights, row?: number): { row: number; column: number } {
  const [from, to] = row === undefined ? [0, weights.length] : [row * keys.length, (row + 1) * keys.length];
  const part = weights.subarray(from, to);
  const at = from + part.indexOf(part.reduce((a, b) => Math.max(a, b)));
  return { row: Math.floor(at / keys.length), column: at % keys.length };
}

/** “p looks at h: weight 0.71”, and the sum that it comes from. */
export function sayWeight(view: HeadWeights, row: number, column: number): string {
  const at = row * view.keys.length + column;
  const [query, key] = [view.queries[row], view.keys[column]];
  if (view.causal && column > row) return `${query} may not look at ${key}: it comes later`;
  const verb = view.id.attention === 'cross' ? `To say ${query}, it looks at ${key}` : `${query} looks at ${key}`;
  const weight = `${verb}: ${weightText(view.weights[at] as number)}`;
  return isExplained(view) ? `${weight}\n${scoreText(view, at)}` : weight;
}

export function isExplained(view: HeadWeights): view is HeadView {
  return 'products' in view;
}

/** “score 2.18 = (q·k 11.9 + q·r 0.4) / √32”. */
export function scoreText({ products, relative, bias, scale, scores }: HeadView, at: number): string {
  const product = `q·k ${decimal(products[at] as number)}`;
  const sum = relative ? `(${product} + q·r ${decimal(relative[at] as number)})` : product;
  const added = bias ? ` + bias ${decimal(bias[at] as number)}` : '';
  return `score ${decimal(scores[at] as number)} = ${sum} / √${Math.round(scale ** -2)}${added}`;
}

/** Statistics of a head on a word. */
export interface HeadRow extends HeadStatistics {
  readonly id: HeadId;
}

export async function statisticsOf(trace: Trace): Promise<HeadRow[]> {
  const rows: HeadRow[] = [];
  for (const attention of Object.keys(attentions) as Attention[]) {
    for (const [layer, { weights }] of layersOf(trace, attention).entries()) {
      const heads = await headStatistics(weights);
      rows.push(...heads.map((head, i) => ({ id: { attention, layer, head: i }, ...head })));
    }
  }
  return rows;
}

/** Returns the overlap of two heads' weights, from 0 to 1: 1 − Σ|difference| / 2, averaged over queries. */
export function overlap(a: HeadView, b: HeadView): number {
  const difference = a.weights.reduce((sum, weight, i) => sum + Math.abs(weight - (b.weights[i] as number)), 0);
  return 1 - difference / 2 / a.queries.length;
}
