// Similarities of vectors that models made of texts.

import { describeValue } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';

/** Similarities by sentence-transformers' names. */
export type SimilarityName = 'cosine' | 'dot' | 'euclidean' | 'manhattan' | 'maxsim' | 'meanmaxsim';

/** A vector of which few numbers are not 0: their places, rising, and their values. */
export interface SparseVector {
  readonly indices: Int32Array;
  readonly values: Float32Array;
}

export type DenseVector = ArrayLike<number>;
/** A vector for each token of a text. */
export type TokenVectors = readonly DenseVector[];
/** The vector of a text, or its vectors of tokens. */
export type TextVector = DenseVector | SparseVector | TokenVectors;

type Kind = 'dense' | 'sparse' | 'tokens';

/** The similarity of each kind of vectors. Null, or one of another kind: cosine, of sparse ones their product, of tokens maxsim. */
export type Similarities = Readonly<Record<Kind, SimilarityName | null>>;

export const DEFAULT_SIMILARITIES: Similarities = { dense: null, sparse: null, tokens: null };

const OF_TOKENS: readonly SimilarityName[] = ['maxsim', 'meanmaxsim'];

/**
 * The similarity of each vector of `a` to each of `b`, a row for each of `a`. One vector is a list of one. Throws ArgumentError for
 * vectors that do not fit.
 */
export function similarities(a: Several, b: Several, names: Similarities): number[][] {
  const [left, right] = [listOf(a), listOf(b)];
  return left.map((one) => right.map((other) => similarity(one, other, names)));
}

/** The similarity of each vector of `a` to that of `b` in the same place. Throws ArgumentError. */
export function pairwiseSimilarities(a: Several, b: Several, names: Similarities): number[] {
  const [left, right] = [listOf(a), listOf(b)];
  if (left.length !== right.length)
    throw new ArgumentError(
      `similarityPairwise: there are ${left.length} and ${right.length} vectors, expected as many`,
    );
  return left.map((one, i) => similarity(one, right[i] as TextVector, names));
}

/** Vectors, or one of them. */
export type Several = TextVector | readonly TextVector[];

/** Late interaction: the best document token of each query token, added up; `mean` divides by the query's tokens. */
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
  const own = name === null || OF_TOKENS.includes(name) ? (kind === 'sparse' ? 'dot' : 'cosine') : name;
  return kind === 'sparse'
    ? sparseSimilarity(a as SparseVector, b as SparseVector, own)
    : denseSimilarity(a as DenseVector, b as DenseVector, own);
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
  const places = [...new Set([...left.keys(), ...right.keys()])];
  const dense = (vector: Map<number, number>) => places.map((place) => vector.get(place) ?? 0);
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

/** Throws ArgumentError for what is no vector. */
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

/** A list of typed arrays is one of vectors: a text's vectors of tokens come in a list of lists. */
function listOf(vectors: Several): readonly TextVector[] {
  if (isNumbers(vectors) || !Array.isArray(vectors)) return [vectors as TextVector];
  return vectors as readonly TextVector[];
}
