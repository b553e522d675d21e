// Similarities of the vectors of texts.

import { describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';

/** Similarities by sentence-transformers' names. */
export type SimilarityName = 'cosine' | 'dot' | 'euclidean' | 'manhattan' | 'maxsim' | 'meanmaxsim';

/** A vector with few values other than 0: their indices, ascending, and the values. */
export interface SparseVector {
  readonly indices: Int32Array;
  readonly values: Float32Array;
}

export type DenseVector = ArrayLike<number>;
/** A vector per token of a text, as in late interaction. */
export type TokenVectors = readonly DenseVector[];
/** The representation of a text: one vector, or one per token. */
export type TextVector = DenseVector | SparseVector | TokenVectors;

type Kind = 'dense' | 'sparse' | 'tokens';

/**
 * The similarity for each kind of vectors. The default is cosine for dense vectors, the dot product for sparse ones,
 * and maxSim for vectors per token. It also replaces null and a name of another kind.
 */
export type Similarities = Readonly<Record<Kind, SimilarityName | null>>;

export const DEFAULT_SIMILARITIES: Similarities = { dense: null, sparse: null, tokens: null };

const OF_TOKENS: readonly SimilarityName[] = ['maxsim', 'meanmaxsim'];

/**
 * Similarities of all vectors of `a` with all of `b`, one row per vector of `a`. A single vector counts as a list of
 * one. Throws ArgumentError for vectors of different kinds or sizes.
 */
export function similarities(a: OneOrMoreVectors, b: OneOrMoreVectors, names: Similarities): number[][] {
  const [left, right] = [listOf(a), listOf(b)];
  return left.map((vector) => right.map((other) => similarity(vector, other, names)));
}

/** Similarities of vectors of `a` and `b` with equal index. Throws ArgumentError. */
export function pairwiseSimilarities(a: OneOrMoreVectors, b: OneOrMoreVectors, names: Similarities): number[] {
  const [left, right] = [listOf(a), listOf(b)];
  if (left.length !== right.length)
    throw new ArgumentError(
      `similarityPairwise: there are ${left.length} and ${right.length} vectors, expected as many`,
    );
  return left.map((vector, i) => similarity(vector, right[i] as TextVector, names));
}

/** One vector or several. */
export type OneOrMoreVectors = TextVector | readonly TextVector[];

/**
 * Late interaction: for each query token the similarity of the best document token, added up. `mean` divides by the
 * number of query tokens.
 */
export function maxSim(query: TokenVectors, document: TokenVectors, mean = false): number {
  if (kindOf(query) !== 'tokens' || kindOf(document) !== 'tokens')
    throw new ArgumentError('maxSim: expected two lists of vectors, as encodeTokens gives for a text');
  if (document.length === 0) return -1e9; // ranks below all others, as in sentence-transformers
  let total = 0;
  for (const token of query) {
    let best = Number.NEGATIVE_INFINITY;
    for (const other of document) best = Math.max(best, dot(token, other));
    total += best;
  }
  return mean ? total / Math.max(1, query.length) : total;
}

function similarity(a: TextVector, b: TextVector, names: Similarities): number {
  const kind = kindOf(a);
  const name = names[kind];
  if (kind !== kindOf(b))
    throw new ArgumentError(`similarity: the vectors are ${kind} and ${kindOf(b)}, expected one kind`);
  if (kind === 'tokens') return maxSim(a as TokenVectors, b as TokenVectors, name === 'meanmaxsim');
  const metric = name === null || OF_TOKENS.includes(name) ? (kind === 'sparse' ? 'dot' : 'cosine') : name;
  return kind === 'sparse'
    ? sparseSimilarity(a as SparseVector, b as SparseVector, metric)
    : denseSimilarity(a as DenseVector, b as DenseVector, metric);
}

function denseSimilarity(a: DenseVector, b: DenseVector, name: SimilarityName): number {
  switch (name) {
    case 'dot':
      return dot(a, b);
    case 'euclidean':
      return -Math.sqrt(sumOf(a, b, (x, y) => (x - y) ** 2));
    case 'manhattan':
      return -sumOf(a, b, (x, y) => Math.abs(x - y));
    default:
      return cosine(dot(a, b), dot(a, a), dot(b, b));
  }
}

function sparseSimilarity(a: SparseVector, b: SparseVector, name: SimilarityName): number {
  const of = (vector: SparseVector) =>
    new Map(Array.from(vector.indices, (index, i) => [index, vector.values[i] as number]));
  const [left, right] = [of(a), of(b)];
  const indices = [...new Set([...left.keys(), ...right.keys()])];
  const dense = (vector: Map<number, number>) => indices.map((index) => vector.get(index) ?? 0);
  return denseSimilarity(dense(left), dense(right), name);
}

const cosine = (product: number, a: number, b: number) =>
  product / (Math.max(Math.sqrt(a), 1e-12) * Math.max(Math.sqrt(b), 1e-12));

const dot = (a: DenseVector, b: DenseVector) => sumOf(a, b, (x, y) => x * y);

function sumOf(a: DenseVector, b: DenseVector, term: (x: number, y: number) => number): number {
  if (a.length !== b.length)
    throw new ArgumentError(`similarity: the vectors have ${a.length} and ${b.length} numbers, expected as many`);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += term(a[i] as number, b[i] as number);
  return sum;
}

/** Throws ArgumentError for a value that is not a vector. */
function kindOf(vector: TextVector): Kind {
  if (isNumbers(vector)) return 'dense';
  if (Array.isArray(vector) && vector.every(isNumbers)) return 'tokens';
  const { indices, values } = (vector ?? {}) as Partial<SparseVector>;
  if (indices !== undefined && values !== undefined && indices.length === values.length) return 'sparse';
  throw new ArgumentError(
    `similarity: a vector is ${describeValue(vector)}, expected numbers, { indices, values }, or a list of vectors of tokens`,
  );
}

function isNumbers(value: unknown): value is DenseVector {
  return ArrayBuffer.isView(value) || (Array.isArray(value) && typeof value[0] === 'number');
}

/** A list of typed arrays is a list of vectors. Token vectors of texts must come as a list of lists. */
function listOf(vectors: OneOrMoreVectors): readonly TextVector[] {
  if (isNumbers(vectors) || !Array.isArray(vectors)) return [vectors as TextVector];
  return vectors as readonly TextVector[];
}
