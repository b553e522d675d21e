import type { Tensor } from '../core/tensor.js';
import type { Memory } from '../nn/decoder-state.js';
import type { Tokens } from '../nn/token-batch.js';
import type { PretrainedTokenizer } from '../tokenizers/pretrained-tokenizer.js';
import type { ModelInputs, ModelOutput } from './inputs.js';
import { Model } from './model.js';
import type { Json } from './model-config.js';
import type { HeadKind, PredictionHead } from './prediction-head.js';
import type { CombinedScore, ComputeScoreOptions } from './retrieval/combined-score.js';
import type { EncodeOptions, SparseOptions, TokenOptions, WeightedToken } from './retrieval/encode.js';
import type { TextTask } from './retrieval/features.js';
import type { Precision, VectorOf } from './retrieval/precision.js';
import type { PredictOptions, RankedDocument, RankOptions, TextPair } from './retrieval/rank.js';
import type { TextReader } from './retrieval/reader.js';
import type { SentenceHead } from './retrieval/sentence-head.js';
import {
  DEFAULT_SIMILARITIES,
  maxSim,
  type OneOrMoreVectors,
  pairwiseSimilarities,
  type Similarities,
  type SparseVector,
  similarities,
  type TokenVectors,
} from './retrieval/similarity.js';

type Encoding = typeof import('./retrieval/encode.js');
type Ranking = typeof import('./retrieval/rank.js');

/** Modules that were loaded. An import takes a noticeable part of the time of a short text even if it is repeated. */
const loaded: { encoding?: Encoding; ranking?: Ranking } = {};
const encoding = async (): Promise<Encoding> => (loaded.encoding ??= await import('./retrieval/encode.js'));
const ranking = async (): Promise<Ranking> => (loaded.ranking ??= await import('./retrieval/rank.js'));

/**
 * Texts as vectors, similarities, and scores of pairs, by the names of sentence-transformers. docs/retrieval.md
 * explains them.
 */
export abstract class RetrievalModel extends Model implements TextReader {
  abstract readonly config: Json;
  abstract readonly headKind: HeadKind;
  abstract readonly head: PredictionHead | null;
  abstract readonly tokenizer: PretrainedTokenizer | null;
  abstract readonly sentenceHead: SentenceHead | null;
  abstract takes(name: keyof ModelInputs): boolean;
  abstract forward(inputs: ModelInputs): ModelOutput;
  /** @internal */
  abstract featuresOf(inputs: ModelInputs): Tensor;
  /** @internal */
  abstract featuresInParts(inputs: ModelInputs, hiddenStates?: Tensor[]): Generator<unknown, Tensor>;
  /** @internal */
  abstract forwardInParts(inputs: ModelInputs): Generator<unknown, ModelOutput>;

  /**
   * The vector of a text, or of each text of a list, by the modules of the model's folder. Without modules it is the
   * mean of the tokens, of language models the last one. Numbers agree with sentence-transformers. Off the calling
   * thread; texts of similar lengths run side by side. Rejects with ArgumentError for options that make no sense and
   * for a model of sparse vectors or of tokens, FormatError without a tokenizer.
   *
   * Given token ids, it is the encoder's output instead; see `Model.encode`.
   */
  override encode(source: Tokens): Memory;
  override encode<Kind extends Precision = 'float32'>(
    text: string,
    options?: EncodeOptions<Kind>,
  ): Promise<VectorOf<Kind>>;
  override encode<Kind extends Precision = 'float32'>(
    texts: readonly string[],
    options?: EncodeOptions<Kind>,
  ): Promise<VectorOf<Kind>[]>;
  override encode(source: Tokens | string | readonly string[], options: EncodeOptions = {}): unknown {
    return isTexts(source) ? this.#encode(source, null, options) : super.encode(source);
  }

  /** Same as `encode`, for queries: with the prompt `query` of the model, and its route for queries. */
  encodeQuery<Kind extends Precision = 'float32'>(text: string, options?: EncodeOptions<Kind>): Promise<VectorOf<Kind>>;
  encodeQuery<Kind extends Precision = 'float32'>(
    texts: readonly string[],
    options?: EncodeOptions<Kind>,
  ): Promise<VectorOf<Kind>[]>;
  encodeQuery(texts: string | readonly string[], options: EncodeOptions = {}): Promise<unknown> {
    return this.#encode(texts, 'query', options);
  }

  /** Same as `encode`, for documents: with the prompt `document` of the model, and its route for documents. */
  encodeDocument<Kind extends Precision = 'float32'>(
    text: string,
    options?: EncodeOptions<Kind>,
  ): Promise<VectorOf<Kind>>;
  encodeDocument<Kind extends Precision = 'float32'>(
    texts: readonly string[],
    options?: EncodeOptions<Kind>,
  ): Promise<VectorOf<Kind>[]>;
  encodeDocument(texts: string | readonly string[], options: EncodeOptions = {}): Promise<unknown> {
    return this.#encode(texts, 'document', options);
  }

  /**
   * The sparse vector of a text, or of each: weights of words. Models: SPLADE, masked language models, sparse
   * autoencoders, and BGE-M3. Rejects as `encode`.
   */
  encodeSparse(text: string, options?: SparseOptions): Promise<SparseVector>;
  encodeSparse(texts: readonly string[], options?: SparseOptions): Promise<SparseVector[]>;
  encodeSparse(texts: string | readonly string[], options: SparseOptions = {}): Promise<unknown> {
    return this.#encodeSparse(texts, null, options);
  }

  /** Same as `encodeSparse`, for queries. */
  encodeQuerySparse(text: string, options?: SparseOptions): Promise<SparseVector>;
  encodeQuerySparse(texts: readonly string[], options?: SparseOptions): Promise<SparseVector[]>;
  encodeQuerySparse(texts: string | readonly string[], options: SparseOptions = {}): Promise<unknown> {
    return this.#encodeSparse(texts, 'query', options);
  }

  /** Same as `encodeSparse`, for documents. */
  encodeDocumentSparse(text: string, options?: SparseOptions): Promise<SparseVector>;
  encodeDocumentSparse(texts: readonly string[], options?: SparseOptions): Promise<SparseVector[]>;
  encodeDocumentSparse(texts: string | readonly string[], options: SparseOptions = {}): Promise<unknown> {
    return this.#encodeSparse(texts, 'document', options);
  }

  /** Returns the words of a sparse vector, the greatest weight first. `topK`: maximum number of words. */
  async decodeSparse(vector: SparseVector, options: { topK?: number | undefined } = {}): Promise<WeightedToken[]> {
    const { decodeSparseVector } = await encoding();
    return decodeSparseVector(this, vector, options);
  }

  /**
   * Vectors of the tokens of a text, or of each text, for late interaction. ColBERT, PyLate and BGE-M3 have projections
   * for them. `task`: 'query' adds the marker and the expansion of queries; 'document' leaves out
   * skipped words. Rejects as `encode`.
   */
  encodeTokens(text: string, options?: TokenOptions): Promise<TokenVectors>;
  encodeTokens(texts: readonly string[], options?: TokenOptions): Promise<TokenVectors[]>;
  async encodeTokens(texts: string | readonly string[], options: TokenOptions = {}): Promise<unknown> {
    const { encodeTokensOf } = await encoding();
    return severalOrOne(texts, (list) => encodeTokensOf(this, list, options));
  }

  /**
   * Similarities of each vector of `a` to each of `b`, one row per vector of `a`, by the model's own function. Dense
   * vectors use the cosine if the model's folder names no function. Sparse ones use the product, and lists of token
   * vectors use `maxSim`. Throws ArgumentError for vectors that do not fit.
   */
  similarity(a: OneOrMoreVectors, b: OneOrMoreVectors): number[][] {
    return similarities(a, b, this.#similarities);
  }

  /** The similarity of each vector of `a` to that of `b` in the same place. Throws ArgumentError. */
  similarityPairwise(a: OneOrMoreVectors, b: OneOrMoreVectors): number[] {
    return pairwiseSimilarities(a, b, this.#similarities);
  }

  /**
   * Late interaction of a query's and a document's token vectors. The best document token of each query token is added
   * up, or averaged for models that require it (BGE-M3). Throws ArgumentError for other vectors.
   */
  maxSim(query: TokenVectors, document: TokenVectors): number {
    return maxSim(query, document, this.#similarities.tokens === 'meanmaxsim');
  }

  /**
   * Scores of pairs, by a model that reads both texts at once: one number per pair, or a list with one per label.
   * Models are cross-encoders, and language models that answer yes or no. Examples of the latter are LogitScore,
   * Qwen3-Reranker, mxbai-rerank-v2, bge-reranker-v2-gemma, or any with a `template`. Rejects with ArgumentError for
   * another model, and for invalid options.
   */
  predict(pair: TextPair, options?: PredictOptions): Promise<number | number[]>;
  predict(pairs: readonly TextPair[], options?: PredictOptions): Promise<number[] | number[][]>;
  async predict(pairs: TextPair | readonly TextPair[], options: PredictOptions = {}): Promise<unknown> {
    const { scorePairs } = await ranking();
    const isOne = Array.isArray(pairs) && typeof pairs[0] === 'string';
    const rows = await scorePairs(this, isOne ? [pairs as unknown as TextPair] : (pairs as TextPair[]), options);
    const scores = rows.map((row) => (row.length === 1 ? (row[0] as number) : row));
    return isOne ? scores[0] : scores;
  }

  /**
   * Documents by how well they answer a query, the best first. Rejects as `predict`, and for a model of several labels.
   */
  async rank(query: string, documents: readonly string[], options: RankOptions = {}): Promise<RankedDocument[]> {
    const { rankDocuments } = await ranking();
    return rankDocuments(this, query, documents, options);
  }

  /**
   * BGE-M3's similarities of pairs and their weighted means, by the names of FlagEmbedding: `dense`, `sparse`,
   * `colbert`, `sparse+dense` and `colbert+sparse+dense`. Each text is read once. Rejects with ArgumentError for
   * another model, and for invalid options.
   */
  computeScore(pair: TextPair, options?: ComputeScoreOptions): Promise<CombinedScore>;
  computeScore(pairs: readonly TextPair[], options?: ComputeScoreOptions): Promise<CombinedScore[]>;
  async computeScore(pairs: TextPair | readonly TextPair[], options: ComputeScoreOptions = {}): Promise<unknown> {
    const { combinedScores } = await import('./retrieval/combined-score.js');
    const isOne = Array.isArray(pairs) && typeof pairs[0] === 'string';
    const scores = await combinedScores(this, (isOne ? [pairs] : pairs) as TextPair[], options);
    return isOne ? scores[0] : scores;
  }

  /** The prompts of the model's folder, by name. */
  get prompts(): Readonly<Record<string, string>> {
    return this.sentenceHead?.settings.prompts ?? {};
  }

  async #encode(texts: string | readonly string[], task: TextTask, options: EncodeOptions): Promise<unknown> {
    const { encodeTexts } = await encoding();
    return severalOrOne(texts, (list) => encodeTexts(this, list, task, options));
  }

  async #encodeSparse(texts: string | readonly string[], task: TextTask, options: SparseOptions): Promise<unknown> {
    const { encodeSparseTexts } = await encoding();
    return severalOrOne(texts, (list) => encodeSparseTexts(this, list, task, options));
  }

  get #similarities(): Similarities {
    return this.sentenceHead?.similarities ?? DEFAULT_SIMILARITIES;
  }
}

/** A list of texts, or one; an empty list has no tokens either. Null is neither, and refused as a text. */
function isTexts(source: Tokens | string | readonly string[]): source is string | readonly string[] {
  return Array.isArray(source) ? typeof (source[0] ?? '') === 'string' : typeof (source ?? '') !== 'object';
}

/** The result of a list; of one text its only entry. */
async function severalOrOne<Result>(
  texts: string | readonly string[],
  run: (list: readonly string[]) => Promise<readonly Result[]>,
): Promise<readonly Result[] | Result> {
  if (typeof texts !== 'string') return run(texts);
  return (await run([texts]))[0] as Result;
}
