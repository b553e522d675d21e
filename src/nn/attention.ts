// Attention, from the plain idea to what the Transformer uses.

import { checkOneOf, checkOptions, checkSizes, describeShape } from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { tanh } from '../ops/activation.js';
import { type AttentionOptions, attention } from '../ops/attention.js';
import { attentionWeights } from '../ops/attention-weights.js';
import { add } from '../ops/binary.js';
import { cacheAppend, cacheFill } from '../ops/kv-cache.js';
import { linear } from '../ops/linear.js';
import { matmul } from '../ops/matmul.js';
import { rotary } from '../ops/rotary.js';
import { softmax } from '../ops/softmax.js';
import type { Initializer } from './init.js';
import type { DecoderState, LayerCache } from './kv-cache.js';
import { Linear } from './layers.js';
import { Module } from './module.js';
import type { Positions } from './positions.js';
import { checkBatch, type TokenBatch } from './token-batch.js';

/** Self-attention without weights: every vector becomes a mean of all, those weighing most that point its way. */
export class SelfAttention extends Module {
  /** softmax(x xᵀ) x; `x` and the result are float32 [..., T, d]. Throws ShapeError, DTypeError. */
  forward(x: Tensor): Tensor {
    const scores = matmul(x, x, { transposeB: true });
    return matmul(softmax(scores), x);
  }
}

/** Additive attention (Bahdanau, Cho, Bengio 2015): a small network scores how well a query and a key fit together. */
export class AdditiveAttention extends Module {
  /** [queryFeatures, hidden] */
  readonly queryWeight: Tensor;
  /** [keyFeatures, hidden] */
  readonly keyWeight: Tensor;
  /** [hidden, 1] */
  readonly score: Tensor;

  constructor(init: Initializer, queryFeatures: number, keyFeatures: number, hidden: number) {
    super();
    this.queryWeight = init.xavierUniform(queryFeatures, hidden);
    this.keyWeight = init.xavierUniform(keyFeatures, hidden);
    this.score = init.xavierUniform(hidden, 1);
  }

  /**
   * weights = softmax(score · tanh(W query + U key)) over the keys; context = weights · keys.
   * `query` [B, Tq, queryFeatures], `keys` [B, Tk, keyFeatures]; context [B, Tq, keyFeatures], weights [B, Tq, Tk], all
   * float32. Throws ShapeError, DTypeError.
   */
  forward(query: Tensor, keys: Tensor): { context: Tensor; weights: Tensor } {
    if (query.shape.length !== 3 || keys.shape.length !== 3 || query.shape[0] !== keys.shape[0]) {
      const shapes = `query is ${describeShape(query.shape)}, keys is ${describeShape(keys.shape)}`;
      throw new ShapeError(`AdditiveAttention: ${shapes}, expected [B, Tq, features] and [B, Tk, features]`);
    }
    const [batch, timeQ] = query.shape as [number, number];
    const timeK = keys.shape[1] as number;
    const fromQuery = linear(query, this.queryWeight, null).reshape(batch, timeQ, 1, -1);
    const fromKeys = linear(keys, this.keyWeight, null).reshape(batch, 1, timeK, -1);
    const scores = linear(tanh(add(fromQuery, fromKeys)), this.score, null).reshape(batch, timeQ, timeK);
    const weights = softmax(scores);
    return { context: matmul(weights, keys), weights };
  }
}

export interface MultiHeadOptions {
  /** Features of a token, a multiple of `heads`. */
  readonly dModel: number;
  /** Heads of queries, each of dModel/heads features. */
  readonly heads: number;
  /** Heads of keys and values, each shared by heads/kvHeads heads of queries (Ainslie et al. 2023). Default `heads`. */
  readonly kvHeads?: number | undefined;
  /** Whether the projections add a bias. Default true. */
  readonly bias?: boolean | undefined;
}

/** Throws ArgumentError for options that make no attention. */
export function checkMultiHead(op: string, options: MultiHeadOptions): void {
  const { dModel, heads, kvHeads = heads, bias = true } = checkOptions(op, options);
  checkSizes(op, { dModel, heads, kvHeads }, 1);
  checkOneOf(op, 'bias', bias, [true, false]);
  if (dModel % heads) throw new ArgumentError(`${op}: dModel is ${dModel}, expected a multiple of heads, ${heads}`);
  if (heads % kvHeads) throw new ArgumentError(`${op}: heads is ${heads}, expected a multiple of kvHeads, ${kvHeads}`);
}

/** Who attends to whom. */
type Which = Pick<AttentionOptions, 'causal' | 'lengthsQ' | 'lengthsK'>;

/** Multi-head attention (Vaswani et al. 2017, 3.2.2) over packed batches, with PyTorch's parameters. */
export class MultiHeadAttention extends Module {
  /** [dModel, dModel + 2·kvFeatures]: the projections to queries, keys and values side by side. */
  readonly inProjWeight: Tensor;
  /** [dModel + 2·kvFeatures] */
  readonly inProjBias: Tensor | null;
  readonly outProj: Linear;
  /** [heads, 2·maxDistance + 1]: what to add to the scores, by distance. Only with positions `relativeBias`. */
  readonly relativeBias: Tensor | null;
  /** [2·maxDistance + 1, dModel/heads]: what to add to keys and to values, by distance. Only with positions `shaw`. */
  readonly relativeKeys: Tensor | null;
  readonly relativeValues: Tensor | null;
  /** Gets the attention probabilities of each forward pass, if set; not of decoding steps. */
  observe: ((weights: Tensor) => void) | null = null;
  /** Gets what the heads give, [N, heads·dv], in each forward pass, if set: for regularisers of the loss. */
  observeHeads: ((outputs: Tensor) => void) | null = null;
  /** Of the keys of all heads, and of the values: kvHeads · dModel/heads. */
  readonly #kvFeatures: number;
  readonly #turn: (x: Tensor, positions: Tensor) => Tensor;

  /**
   * `positions` is for self-attention: distances mean nothing between two different sequences. `angles`: what
   * `rotations` gives, with positions `rotary`. Throws ArgumentError for options that make no attention.
   */
  constructor(
    init: Initializer,
    private readonly options: MultiHeadOptions,
    positions: Complete<Positions> | null,
    angles: Tensor | null = null,
  ) {
    super();
    checkMultiHead('MultiHeadAttention', options);
    const { dModel, heads, kvHeads = heads, bias = true } = options;
    const headWidth = dModel / heads;
    this.#kvFeatures = kvHeads * headWidth;
    this.inProjWeight = init.xavierUniform(dModel, dModel + 2 * this.#kvFeatures);
    this.inProjBias = bias ? init.constant([dModel + 2 * this.#kvFeatures], 0) : null;
    this.outProj = new Linear(init, dModel, dModel, bias);
    const distances = 2 * (positions?.maxDistance ?? 0) + 1;
    const shaw = positions?.kind === 'shaw';
    this.relativeBias = positions?.kind === 'relativeBias' ? init.constant([heads, distances], 0) : null;
    this.relativeKeys = shaw ? init.xavierUniform(distances, headWidth) : null;
    this.relativeValues = shaw ? init.xavierUniform(distances, headWidth) : null;
    // Queries and keys lie side by side, values behind them.
    const turning = { columns: dModel + this.#kvFeatures, layout: positions?.layout };
    this.#turn = (x, places) => (positions && angles ? rotary(x, places, angles, turning) : x);
  }

  protected override get transposed(): readonly string[] {
    return ['inProjWeight'];
  }

  /**
   * Each sequence attends to itself; `causal`: to what is not later. `x` and the result are float32 [N, dModel], the tokens
   * of `batch` end to end. Fills `cache`, if given. Throws ShapeError, DTypeError, ArgumentError if `batch` is none.
   */
  self(x: Tensor, batch: TokenBatch, causal: boolean, cache?: LayerCache): Tensor {
    const { lengths, counts, positions } = checkBatch('MultiHeadAttention', batch);
    const { q, kv } = this.project(x, positions);
    if (cache) cacheFill(cache.self, kv, lengths);
    return this.#attend(q, kv, { causal, lengthsQ: lengths, lengthsK: lengths }, [counts, counts]);
  }

  /** Each sequence of `x` attends to that of `memory` with the same number; shapes and errors as of `self`. */
  cross(x: Tensor, batch: TokenBatch, memory: Tensor, memoryBatch: TokenBatch): Tensor {
    for (const each of [batch, memoryBatch]) checkBatch('MultiHeadAttention', each);
    const lengths = { lengthsQ: batch.lengths, lengthsK: memoryBatch.lengths };
    return this.#attend(this.query(x), this.keysAndValues(memory), lengths, [batch.counts, memoryBatch.counts]);
  }

  /** The newest token of each sequence, `x` [sequences, dModel], joins the cache and attends to what is there. */
  selfStep(x: Tensor, cache: LayerCache, state: DecoderState): Tensor {
    const { q, kv } = this.project(x, state.positions);
    cacheAppend(cache.self, kv, state.positions);
    const queries = q.reshape(state.sequences, 1, -1);
    // Causal hides nothing from the newest token, but tells the distances where it stands: at the end.
    return this.#attend(queries, cache.self, { causal: true, lengthsK: state.lengths }).reshape(x.shape);
  }

  /** The newest token of each sequence attends to its source; the beams of one source are so many queries. */
  crossStep(x: Tensor, cache: LayerCache, state: DecoderState): Tensor {
    const { sources, beams } = state.sizes;
    const queries = this.query(x).reshape(sources, beams, -1);
    return this.#attend(queries, cache.cross as Tensor, { lengthsK: state.sourceLengths }).reshape(x.shape);
  }

  /** [N, kvFeatures | kvFeatures], the keys and values of `x`. */
  keysAndValues(x: Tensor): Tensor {
    const { dModel } = this.options;
    const end = dModel + 2 * this.#kvFeatures;
    return linear(x, this.inProjWeight.columns(dModel, end), this.inProjBias?.columns(dModel, end));
  }

  /** [N, dModel], the queries of `x` to another sequence. */
  query(x: Tensor): Tensor {
    const { dModel } = this.options;
    return linear(x, this.inProjWeight.columns(0, dModel), this.inProjBias?.columns(0, dModel));
  }

  /** Queries [N, dModel] and keysAndValues of `x`, whose tokens stand at `positions`, int32 [N]. */
  project(x: Tensor, positions: Tensor): { q: Tensor; kv: Tensor } {
    const { dModel } = this.options;
    const all = this.#turn(linear(x, this.inProjWeight, this.inProjBias), positions);
    return { q: all.columns(0, dModel), kv: all.columns(dModel, dModel + 2 * this.#kvFeatures) };
  }

  /** `counts` are the lengths of packed queries and keys as numbers, which decide the shape of what `observe` gets. */
  #attend(q: Tensor, kv: Tensor, which: Which, counts?: readonly [readonly number[], readonly number[]]): Tensor {
    const { heads, kvHeads } = this.options;
    const { relativeBias, relativeKeys, relativeValues } = this;
    const k = kv.columns(0, this.#kvFeatures);
    const v = kv.columns(this.#kvFeatures, 2 * this.#kvFeatures);
    const options = { heads, kvHeads, relativeBias, relativeKeys, ...which };
    if (this.observe && counts) {
      this.observe(attentionWeights(q, k, { ...options, lengthsQ: counts[0], lengthsK: counts[1] }));
    }
    const outputs = attention(q, k, v, { relativeValues, ...options });
    if (counts) this.observeHeads?.(outputs);
    return this.outProj.forward(outputs);
  }
}
