import { anyOf, checkOptions, checkSizes, orNull } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import { sigmoid } from '../ops/activation.js';
import { type AttentionOptions, type AttentionValueOptions, attention } from '../ops/attention.js';
import { attentionWeights } from '../ops/attention-weights.js';
import { add, mul } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { type CacheFormat, type CacheType, cacheAppend, cacheFill, cacheWords, cacheWrite } from '../ops/kv-cache.js';
import { concat } from '../ops/move.js';
import { softmax } from '../ops/softmax.js';
import { clamp } from '../ops/unary.js';
import type { DecoderState, Memory, MemoryNeed } from './decoder-state.js';
import type { Dropout } from './dropout.js';
import type { Exchange, MixerContext } from './exchange.js';
import type { Extension } from './extension.js';
import type { Initializer } from './init.js';
import { Linear, type Projection } from './linear.js';
import { partKinds, partRule } from './made-parts.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';
import { type PaddingSight, paddingSight, type Window } from './padding.js';
import type { DistanceTables, PositionBias } from './position-bias.js';
import type { QueryScale } from './query-scale.js';
import type { RotateOptions, Rotation } from './rotary-embedding.js';
import { checkSequences, type Sequences } from './sequences.js';
import type { StateNames } from './state-names.js';

/**
 * Options of `MultiHeadAttention`. Parts that it owns are given as functions, so that parameters are drawn in the order
 * of their definition. Parts that several layers share are given directly.
 */
export interface MultiHeadOptions {
  /** Number of features of a token. */
  readonly dModel: number;
  /** Number of heads of queries. */
  readonly heads: number;
  /**
   * Number of heads of keys and values. Each serves heads/kvHeads heads of queries (Ainslie et al. 2023). Default:
   * `heads`.
   */
  readonly kvHeads?: number | undefined;
  /** Number of features of a head. Default: dModel/heads. */
  readonly headSize?: number | undefined;
  /**
   * Number of features of the rows that cross-attention reads. If given, keys and values have a separate matrix, `kv`,
   * and self-attention is not possible. Default: keys and values are sections of `qkv` and read dModel features.
   */
  readonly memorySize?: number | undefined;
  /** True if the projections add a bias, or one flag for queries, one for keys and one for values. Default: true. */
  readonly bias?: boolean | readonly [queries: boolean, keys: boolean, values: boolean] | undefined;
  /** True if the output projection adds a bias. Default: same as `bias`; true if `bias` is a list. */
  readonly outBias?: boolean | undefined;
  /** True if a query of self-attention cannot attend to later keys. Default: false. */
  readonly causal?: boolean | undefined;
  /**
   * A query of self-attention attends to keys at a distance of less than this number. In a pair, the first number is
   * for earlier keys, and the second for later ones; 0 hides later keys. Default null: all keys.
   */
  readonly window?: Window | null | undefined;
  /** Factor of the scores. Default: 1/√headSize. */
  readonly scale?: number | undefined;
  /** Limits scores to softcap · tanh(score / softcap) (Gemma 2). Default null: no limit. */
  readonly softcap?: number | null | undefined;
  /**
   * Normalizes queries and keys. If the norm has headSize features, it normalizes each head, otherwise all features
   * together. Default: none.
   */
  readonly qNorm?: (() => Norm) | null | undefined;
  readonly kNorm?: (() => Norm) | null | undefined;
  /** Normalizes each head of the values. Default: none. */
  readonly vNorm?: (() => Norm) | null | undefined;
  /** True if values are the projected keys, before their norm and rotation (Gemma 4). Default false. */
  readonly keysAsValues?: boolean | undefined;
  /**
   * Attention of an earlier layer, whose keys and values this one reuses (Gemma 3n). Both must have the same heads.
   * Default null: this attention computes its own.
   */
  readonly keySource?: MultiHeadAttention | null | undefined;
  /** Rotates queries and keys of self-attention. Default: none. */
  readonly rotary?: Rotation | null | undefined;
  /**
   * If given, the input of self-attention has dModel + valueFeatures features. Queries and keys read the first dModel,
   * and values the others (MobileBERT). Default null: all read the same dModel features.
   */
  readonly valueFeatures?: number | null | undefined;
  /**
   * True for an output gate (Qwen 3.5): the projection of queries also makes gates, whose sigmoid multiplies the
   * outputs of the heads. Default: false.
   */
  readonly gated?: boolean | undefined;
  /** Normalizes the concatenated outputs of the heads before the output projection (BitNet). Default: none. */
  readonly outNorm?: (() => Norm) | null | undefined;
  /**
   * True if each head has a trained score that is part of the softmax's sum, but has no value (attention sinks,
   * gpt-oss). Default: false.
   */
  readonly sinks?: boolean | undefined;
  /**
   * Queries, keys and values are clamped to ±clip, after the norms and before the rotation (OLMoE). Default null: no
   * limit.
   */
  readonly clip?: number | null | undefined;
  /**
   * True if queries and keys are rotated before they are normalized (Hunyuan). Default false: they are normalized
   * first.
   */
  readonly rotatesFirst?: boolean | undefined;
  /** True if values rotate like queries and keys (RoFormer). Default: false. */
  readonly rotatesValues?: boolean | undefined;
  /**
   * Multiplies queries of self-attention by a factor that depends on their position, after the rotation. Default: none.
   */
  readonly queryScale?: QueryScale | null | undefined;
  /** Adds biases to the scores of self-attention that depend on the distance of query and key. Default: none. */
  readonly positionBias?: PositionBias | (() => PositionBias) | null | undefined;
  /** Adds vectors to keys and values of self-attention that depend on the distance of query and key. Default: none. */
  readonly relative?: (() => DistanceTables) | null | undefined;
  /** Dropout of the probabilities, in training. Default: none. */
  readonly dropout?: Dropout | null | undefined;
}

const maker = orNull('function');

const isFlag = (value: unknown) => typeof value === 'boolean';
const isBias = (value: unknown) => isFlag(value) || (Array.isArray(value) && value.length === 3 && value.every(isFlag));
const part = orNull(partRule(partKinds.module));
const kinds = {
  ...({ dModel: 'any', heads: 'any', kvHeads: 'any', headSize: 'any', window: 'any' } as const), // see checkSizes
  ...({ memorySize: 'any', valueFeatures: 'any' } as const), // see checkSizes
  bias: { accepts: isBias, expected: 'true or false, or a list of three' },
  ...({ outBias: [true, false], causal: [true, false] } as const),
  ...({ scale: 'positive', softcap: orNull('positive') } as const),
  ...({ qNorm: maker, kNorm: maker, vNorm: maker, relative: maker } as const),
  ...({ keysAsValues: [true, false], keySource: orNull(partRule(partKinds.attention)) } as const),
  ...({ gated: [true, false], sinks: [true, false], outNorm: maker } as const),
  ...({ clip: orNull('positive'), rotatesFirst: [true, false], rotatesValues: [true, false] } as const),
  ...({ queryScale: part } as const),
  ...({
    rotary: part,
    positionBias: orNull(anyOf(partRule(partKinds.positionBias), 'function')),
    dropout: part,
  } as const),
};

/** Options that decide to which keys each query attends. */
type Which = Pick<AttentionValueOptions, 'causal' | 'window' | 'lengthsQ' | 'lengthsK' | 'mask' | 'bias' | 'cache'>;

/** Number of query rows and of key rows in each item. */
type Counts = readonly [readonly number[], readonly number[]];

/** Multi-head attention (Vaswani et al. 2017, 3.2.2) over packed sequences. State dicts have PyTorch's names. */
export class MultiHeadAttention extends Module {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly causal: boolean;
  /** A query attends to keys fewer than this many positions before it. Null: all earlier keys. */
  readonly window: number | null;
  /** Same for keys after the query. Null if the number is the same. */
  readonly windowAfter: number | null;
  readonly scale: number;
  readonly softcap: number | null;
  /**
   * Projection to queries, keys and values side by side. Sections that come from another projection or layer are left
   * out.
   */
  readonly qkv: Projection;
  /** Projection of a memory to keys and values; null without `memorySize`. */
  readonly kv: Projection | null;
  /** Projection of values that have a separate input; null without `valueFeatures`. */
  readonly value: Projection | null;
  readonly #valueFeatures: number;
  readonly rotary: Rotation | null;
  readonly clip: number | null;
  readonly gated: boolean;
  readonly outNorm: Norm | null;
  /** float32 [heads]: scores of the sinks; null if there are none. */
  readonly sinks: Tensor | null;
  readonly rotatesFirst: boolean;
  readonly rotatesValues: boolean;
  readonly queryScale: QueryScale | null;
  readonly positionBias: PositionBias | null;
  readonly relative: DistanceTables | null;
  readonly outProj: Projection;
  readonly qNorm: Norm | null;
  readonly kNorm: Norm | null;
  readonly vNorm: Norm | null;
  readonly keysAsValues: boolean;
  readonly #keySource: MultiHeadAttention | null;
  #isKeySource = false;
  readonly dropout: Dropout | null;
  /** If set, receives the attention probabilities of each forward pass, but not of decoding steps. */
  observe: ((weights: Tensor) => void) | null = null;
  /**
   * If set, receives the outputs of the heads, [N, heads·headSize], in each forward pass, for regularizers of the loss.
   */
  observeHeads: ((outputs: Tensor) => void) | null = null;

  /** Throws ArgumentError for invalid options. */
  constructor(init: Initializer, options: MultiHeadOptions) {
    super();
    checkMultiHead('MultiHeadAttention', options);
    const { dModel, heads, kvHeads = heads, headSize = dModel / heads, bias = true } = options;
    const { outBias = bias !== false } = options;
    const { positionBias = null, relative = null, qNorm = null, kNorm = null } = options;
    const { causal = false, window = null, scale = 1 / Math.sqrt(headSize), softcap = null } = options;
    this.rotary = options.rotary ?? null;
    this.clip = options.clip ?? null;
    this.gated = options.gated ?? false;
    this.rotatesFirst = options.rotatesFirst ?? false;
    this.rotatesValues = options.rotatesValues ?? false;
    this.queryScale = options.queryScale ?? null;
    this.heads = heads;
    this.kvHeads = kvHeads;
    this.headSize = headSize;
    this.causal = causal;
    [this.window, this.windowAfter] = Array.isArray(window) ? window : [window as number | null, null];
    this.scale = scale;
    this.softcap = softcap;
    const kvFeatures = kvHeads * headSize;
    const queries = heads * headSize * (this.gated ? 2 : 1);
    const { memorySize, valueFeatures = null, keySource = null, keysAsValues = false } = options;
    this.#keySource = keySource;
    this.keysAsValues = keysAsValues;
    if (keySource) keySource.#isKeySource = true;
    const biases = typeof bias === 'boolean' ? [bias, bias, bias] : bias;
    const own = keySource || memorySize !== undefined ? 0 : keysAsValues || valueFeatures !== null ? 1 : 2;
    this.qkv = new Linear(init, dModel, [queries, ...Array<number>(own).fill(kvFeatures)], biases.slice(0, 1 + own));
    this.kv = memorySize === undefined ? null : new Linear(init, memorySize, [kvFeatures, kvFeatures], biases.slice(1));
    this.#valueFeatures = valueFeatures ?? 0;
    this.value = valueFeatures === null ? null : new Linear(init, valueFeatures, kvFeatures, biases[2]);
    this.outProj = new Linear(init, heads * headSize, dModel, outBias);
    this.positionBias = typeof positionBias === 'function' ? positionBias() : positionBias;
    this.relative = relative?.() ?? null;
    this.qNorm = qNorm?.() ?? null;
    this.kNorm = kNorm?.() ?? null;
    this.vNorm = options.vNorm?.() ?? null;
    this.outNorm = options.outNorm?.() ?? null;
    this.sinks = options.sinks ? init.constant([heads], 0) : null;
    this.dropout = options.dropout ?? null;
  }

  protected override get stateNames(): StateNames {
    return {
      'qkv.weight': 'in_proj_weight',
      'qkv.bias': 'in_proj_bias',
      'position_bias.weight': 'relative_bias',
      'relative.keys': 'relative_keys',
      'relative.values': 'relative_values',
    };
  }

  get attentions(): readonly MultiHeadAttention[] {
    return [this];
  }

  get keySource(): MultiHeadAttention | null {
    return this.#keySource;
  }

  get isKeySource(): boolean {
    return this.#isKeySource;
  }

  /**
   * Memory between steps: one row of keys and values side by side for each of `rows`. Empty if this attention reuses
   * those of an earlier layer.
   */
  memories(type: CacheType = 'float32', rows: 'tokens' | 'source' = 'tokens'): readonly MemoryNeed[] {
    if (this.#keySource) return [];
    const width = 2 * this.kvHeads * cacheWords(this.qkv.weight.device, this.cacheFormat(type));
    return [{ part: this, rows, width }];
  }

  /** The format of keys and values in a cache of this type. */
  cacheFormat(type: CacheType = 'float32'): CacheFormat {
    return { type, headSize: this.headSize };
  }

  /**
   * Self-attention of each sequence. `x` and the result are float32 [N, dModel], the rows of `batch` end to end. If a
   * state is given, keys and values are also written there. Throws ShapeError, DTypeError. Throws ArgumentError if
   * `batch` is not a `Sequences`, or if keys of an earlier layer are missing.
   */
  forward(x: Tensor, batch: Sequences, { state, exchange }: MixerContext = {}): Tensor {
    const { lengths, counts, positions, longest, inserted } = checkSequences('MultiHeadAttention', batch);
    const cache = state && this.#cacheIn(state);
    const room = cache?.shape[1] ?? longest;
    const length = this.rotary?.lengthOf(longest, room) ?? longest;
    const options = { grows: false, angles: inserted?.angles ?? null };
    const { q, kv, gate } = this.#projectedIn(x, positions, length, options, exchange);
    if (cache && !this.#keySource) cacheFill(cache, kv, lengths);
    if (this.#isKeySource) exchange?.give(this, kv);
    const packed = { lengthsQ: lengths, lengthsK: lengths };
    const mask = this.causal ? inserted?.mask(this.window) : null;
    if (mask) return this.#attend(q, kv, { causal: false, mask, ...packed }, [counts, counts], undefined, gate);
    const sight = this.sightOf(batch);
    if (sight === null) {
      const bias = this.scoreBias(q, kv, batch);
      return this.#attend(q, kv, { ...this.#sees, bias, ...packed }, [counts, counts], undefined, gate);
    }
    const { mask: shown, sighted, tokens } = sight;
    const queries = sighted ? mul(q, sighted) : q;
    const given = this.scoreBias(queries, kv, batch);
    const bias = given && sighted ? mul(given, sighted.reshape(-1, 1, longest, 1)) : given;
    const which = { causal: this.causal, mask: shown, bias, ...packed };
    return this.#attend(queries, kv, which, [counts, counts], tokens, gate);
  }

  /**
   * Returns a bias of the scores, [B, heads, T, T], or null. `q`: queries, [N, heads·d]. `kv`: keys and values, [N,
   * keys | values]. Subclasses override this.
   */
  scoreBias(_q: Tensor, _kv: Tensor, _batch: Sequences): Tensor | null {
    return null;
  }

  /** The window before and after a query; null if it attends to all keys. */
  get reach(): Window | null {
    const { window, windowAfter } = this;
    return window === null || windowAfter === null ? window : [window, windowAfter];
  }

  /** Returns the mask of a batch in which padding is computed like tokens; null if no mask is needed. */
  protected sightOf(batch: Sequences): PaddingSight | null {
    return paddingSight(batch, this.reach, false);
  }

  /**
   * Cross-attention: each sequence of `x` attends to the sequence of `memory` with the same index. Shapes and errors
   * are those of `forward`.
   */
  cross(x: Tensor, batch: Sequences, { hidden, batch: memory }: Memory): Tensor {
    for (const each of [batch, memory]) checkSequences('MultiHeadAttention', each);
    const lengths = { lengthsQ: batch.lengths, lengthsK: memory.lengths };
    return this.#attend(this.query(x), this.keysAndValues(hidden), lengths, [batch.counts, memory.counts]);
  }

  /**
   * One decoding step. Appends the newest token of each sequence to the cache and attends to all cached tokens. `x` and
   * the result: float32 [sequences, dModel].
   */
  step(x: Tensor, state: DecoderState): Tensor {
    const cache = this.#cacheIn(state);
    const { q, kv, gate } = this.#new(x, state.rotations, state);
    if (kv) cacheAppend(cache, kv, state.positions, this.cacheFormat(state.sizes.cache));
    const queries = q.reshape(state.sequences, 1, -1); // [B, 1, heads·d]
    // `causal` hides nothing from the newest token. It tells that the token is the last one, and distances depend on
    // that.
    const which = { ...this.#sees, causal: true, lengthsK: state.lengths, cache: state.sizes.cache };
    const mixed = this.#mix(queries, cache, which).reshape(q.shape);
    return this.#out(mixed, gate);
  }

  /**
   * Appends several new tokens of some sequences to the cache. Each attends to the cached tokens before it and to new
   * ones up to itself. `x` and the result: float32 [N, dModel], end to end.
   */
  extend(x: Tensor, { positions, parts, asSteps, inserted }: Extension, state: DecoderState): Tensor {
    const cache = this.#cacheIn(state);
    const { q, kv, gate } = this.#new(x, positions, state, inserted?.angles);
    const { cache: type } = state.sizes;
    let first = 0;
    const outputs = parts.flatMap(({ sequence, start, count }, i) => {
      const [queries, added] = [q, kv].map((rows) => rows?.rows(first, first + count)) as [Tensor, Tensor | undefined];
      first += count;
      if (added) cacheWrite(cache, added, { row: sequence, slot: start }, this.cacheFormat(type));
      const own = cache.rows(sequence, sequence + 1);
      const mask = inserted?.mask(this.window, i);
      if (asSteps && !mask) return this.#oneByOne(queries, own, start, type);
      const [, slots, width] = own.shape as readonly [number, number, number];
      const keys = own.reshape(slots, width).rows(0, start + count); // [S, keys | values]
      const lengths = { lengthsQ: [count], lengthsK: [start + count] };
      const sees = mask ? { causal: false, mask } : { ...this.#sees, causal: true };
      return this.#mix(queries, keys, { ...sees, ...lengths, cache: type });
    });
    const mixed = outputs.length === 1 ? (outputs[0] as Tensor) : concat(outputs); // [N, heads·d]
    return this.#out(mixed, gate);
  }

  /**
   * Causal attention, one query at a time, which gives the same bits as single steps. `start`: number of keys before
   * the first query's own.
   */
  #oneByOne(q: Tensor, kv: Tensor, start: number, cache: CacheType | undefined): Tensor[] {
    return Array.from({ length: q.shape[0] as number }, (_, i) => {
      const query = q.rows(i, i + 1).reshape(1, 1, -1); // [1, 1, heads·d]
      const mixed = this.#mix(query, kv, { ...this.#sees, causal: true, lengthsK: [start + i + 1], cache });
      return mixed.reshape(1, -1);
    });
  }

  /**
   * Cross-attention of one decoding step. The beams of a source are several queries of one item. `x` and the result:
   * float32 [sequences, dModel].
   */
  crossStep(x: Tensor, state: DecoderState): Tensor {
    const { sources, beams } = state.sizes;
    const queries = this.query(x).reshape(sources, beams, -1); // [sources, beams, heads·d]
    const which = { lengthsK: state.sourceLengths, cache: state.sizes.cache };
    return this.#attend(queries, state.of(this), which).reshape(x.shape);
  }

  /** Projects a memory `x`, [N, features], to keys and values for cross-attention: [N, keys | values]. */
  keysAndValues(x: Tensor): Tensor {
    if (this.value) return this.#apart(x, this.value, (own) => this.qkv.part(own, 1, 2));
    return this.kv?.forward(x) ?? this.qkv.part(x, 1, 3);
  }

  /** Applies `project` to the first features of `x`, `value` to the others, and concatenates the results. */
  #apart(x: Tensor, value: Projection, project: (x: Tensor) => Tensor): Tensor {
    const all = lastOf(x.shape);
    const dModel = all - this.#valueFeatures;
    return concat([project(x.columns(0, dModel)), value.forward(x.columns(dModel, all))], -1);
  }

  /** Projects `x`, [N, dModel], to the queries of cross-attention: [N, heads·d]. */
  query(x: Tensor): Tensor {
    return this.qkv.part(x, 0, 1);
  }

  /** The cache of keys and values in `state`: this attention's own, or that of the earlier layer. */
  #cacheIn(state: DecoderState): Tensor {
    return state.of(this.#keySource ?? this);
  }

  /** Projects new tokens. `kv` is null if an earlier layer has written keys and values to the cache. */
  #new(
    x: Tensor,
    positions: Tensor,
    state: DecoderState,
    angles: Tensor | null = null,
  ): Queries & { kv: Tensor | null } {
    if (!this.#keySource) return this.project(x, positions, textLength(state), true, angles);
    return { ...this.#queries(x, positions, textLength(state), { grows: true, angles }), kv: null };
  }

  /** Projects whole sequences. Keys and values are those of the earlier layer if this attention reuses them. */
  #projectedIn(
    x: Tensor,
    positions: Tensor,
    length: number,
    options: Rotating,
    exchange: Exchange | undefined,
  ): Projected {
    const source = this.#keySource;
    if (!source) return this.project(x, positions, length, options.grows, options.angles);
    if (!exchange)
      throw new ArgumentError(
        'MultiHeadAttention: it reads the keys of an earlier layer, expected a pass through the whole Stack',
      );
    return { ...this.#queries(x, positions, length, options), kv: exchange.of(source) };
  }

  /**
   * Queries [N, heads·d], keys and values [N, keys | values], and the gate [N, heads·d], if there is one, of `x`. Its
   * tokens are at `positions`, all below `length`. With `grows`, tokens come one by one. `angles`: rows of the rotary
   * table in place of `positions`. Throws ArgumentError if the keys are those of an earlier layer.
   */
  project(x: Tensor, positions: Tensor, length: number, grows = false, angles: Tensor | null = null): Projected {
    if (this.#keySource) throw new ArgumentError('MultiHeadAttention: its keys are those of an earlier layer');
    const { q, kv, gate } = this.#rotated(x, positions, length, { grows, angles });
    return { q: this.queryScale?.forward(q, positions) ?? q, kv, gate };
  }

  /** Same as `project`, but only for queries. */
  #queries(x: Tensor, positions: Tensor, length: number, options: Rotating): Queries {
    const { all, gate } = this.#projected(x);
    const q = this.#ready(all, this.qNorm, positions, length, options);
    return { q: this.queryScale?.forward(q, positions) ?? q, gate };
  }

  /** Projects `x` to [N, queries | keys | values] and, separately, to the output gate. */
  #projected(x: Tensor): { all: Tensor; gate: Tensor | null } {
    const { heads, headSize, gated } = this;
    const { value } = this;
    const all = value ? this.#apart(x, value, (own) => this.qkv.forward(own)) : this.qkv.forward(x);
    if (!gated) return { all, gate: null };
    const width = heads * headSize;
    const perHead = contiguous(all.columns(0, 2 * width)).reshape(-1, 2 * headSize); // [N·heads, query | gate]
    const [q, gate] = [0, headSize].map((from) =>
      contiguous(perHead.columns(from, from + headSize)).reshape(-1, width),
    ) as [Tensor, Tensor];
    if (this.#keySource) return { all: q, gate };
    return { all: concat([q, all.columns(2 * width, lastOf(all.shape))], -1), gate };
  }

  #rotated(x: Tensor, positions: Tensor, length: number, options: Rotating): Projected {
    const { rotary, rotatesValues, keysAsValues } = this;
    const [queries, keys] = [this.heads * this.headSize, this.kvHeads * this.headSize];
    const { all, gate } = this.#projected(x); // [N, queries | keys | values]
    const end = queries + 2 * keys;
    if (this.#isPlain) {
      // Queries and keys are adjacent, and values follow them.
      const columns = rotatesValues ? end : queries + keys;
      const rotated = rotary ? rotary.forward(all, positions, length, { columns, ...options }) : all;
      return { q: rotated.columns(0, queries), kv: rotated.columns(queries, end), gate };
    }
    const ready = (part: Tensor, norm: Norm | null) => this.#ready(part, norm, positions, length, options);
    const k = all.columns(queries, queries + keys);
    const v = keysAsValues ? k : all.columns(queries + keys, end);
    const values = rotatesValues ? ready(v, this.vNorm) : this.#normalized(v, this.vNorm);
    const kv = concat([ready(k, this.kNorm), values], -1); // [N, keys | values]
    return { q: ready(all.columns(0, queries), this.qNorm), kv, gate };
  }

  /** True if queries, keys and values are only projected and possibly rotated, without norms and other changes. */
  get #isPlain(): boolean {
    const { qNorm, kNorm, vNorm, clip, keysAsValues } = this;
    return !(qNorm || kNorm || vNorm || keysAsValues || clip !== null);
  }

  /** Normalizes and rotates queries or keys. */
  #ready(part: Tensor, norm: Norm | null, positions: Tensor, length: number, options: Rotating): Tensor {
    const rotate = (x: Tensor) => this.rotary?.forward(x, positions, length, options) ?? x;
    return this.rotatesFirst ? this.#normalized(rotate(part), norm) : rotate(this.#normalized(part, norm));
  }

  #normalized(part: Tensor, norm: Norm | null): Tensor {
    const { clip, headSize } = this;
    const normed = norm ? normalised(part, norm, headSize) : part;
    return clip === null ? normed : clamp(normed, { min: -clip, max: clip });
  }

  get #sees(): Which {
    const { causal, window, windowAfter } = this;
    if (window === null) return { causal };
    return { causal, window: [window - 1, causal ? 0 : Math.max(0, (windowAfter ?? window) - 1)] };
  }

  /** Applies the gate, the norm and the output projection to the outputs of the heads: [N, heads·d] → [N, dModel]. */
  #out(mixed: Tensor, gate: Tensor | null): Tensor {
    const gated = gate ? mul(mixed, sigmoid(gate)) : mixed;
    return this.outProj.forward(this.outNorm?.forward(gated) ?? gated);
  }

  /** Computes `#mix`, and applies gate, norm and output projection: [N, dModel]. */
  #attend(
    q: Tensor,
    kv: Tensor,
    which: Which,
    counts?: Counts,
    shown: Tensor | null = null,
    gate: Tensor | null = null,
  ): Tensor {
    const mixed = this.#mix(q, kv, which, counts, shown); // [N, heads·d]
    return this.#out(mixed, gate);
  }

  /**
   * Attention of queries to keys and values. `counts` are the lengths of packed queries and keys as numbers. They
   * decide the shape of the maps that `observe` receives. `shown` multiplies these maps, if given.
   */
  #mix(q: Tensor, kv: Tensor, which: Which, counts?: Counts, shown: Tensor | null = null): Tensor {
    const { heads, kvHeads, scale, softcap } = this;
    const half = lastOf(kv.shape) / 2;
    const [k, v] = [kv.columns(0, half), kv.columns(half, 2 * half)]; // each [N, kvHeads·d]
    const isSelf = which.causal !== undefined;
    const relativeBias = (isSelf && this.positionBias?.table()) || null;
    const cap = softcap === null ? {} : { softcap };
    const { cache, ...seen } = which;
    const options = { heads, kvHeads, scale, ...cap, relativeBias, relativeKeys: this.relative?.keys, ...seen };
    if (this.observe && counts) {
      const weights = this.#weights(q, k, { ...options, lengthsQ: counts[0], lengthsK: counts[1] }); // [B, heads, T, S]
      this.observe(shown ? mul(weights, shown) : weights);
    }
    const dropout = this.dropout?.options;
    const outputs = attention(q, k, v, {
      ...{ relativeValues: this.relative?.values, dropout, cache, sinks: this.sinks },
      ...options,
    });
    if (counts) this.observeHeads?.(outputs);
    return outputs;
  }

  /** Returns the attention probabilities, [B, heads, T, S]. The sum of the softmax includes the sinks. */
  #weights(q: Tensor, k: Tensor, options: AttentionOptions): Tensor {
    const { sinks } = this;
    if (sinks === null) return attentionWeights(q, k, options);
    const scores = attentionWeights(q, k, { ...options, stage: 'biased' });
    const [batch, heads, queries, keys] = scores.shape as readonly [number, number, number, number];
    const sink = add(scores.device.zeros([batch, heads, queries, 1]), sinks.reshape(1, heads, 1, 1));
    return contiguous(softmax(concat([scores, sink], -1)).columns(0, keys));
  }
}

/** Rotation of tokens; see `RotateOptions`. */
type Rotating = Omit<RotateOptions, 'columns'>;

interface Queries {
  readonly q: Tensor;
  readonly gate: Tensor | null;
}

/** Projections of attention's input. */
interface Projected extends Queries {
  readonly kv: Tensor;
}

/** Text length on which scaled rotary frequencies depend. */
const textLength = ({ sizes: { capacity, textLength: length = capacity } }: DecoderState) => length;

/** Normalizes each head if the norm has headSize features or no weight, otherwise all features together. */
function normalised(x: Tensor, norm: Norm, headSize: number): Tensor {
  const packed = contiguous(x);
  const rows = packed.reshape(-1, norm.weight?.size ?? headSize); // [N·heads, d] or [N, heads·d]
  return norm.forward(rows).reshape(x.shape);
}

/** Throws ArgumentError for invalid options. */
export function checkMultiHead(op: string, options: MultiHeadOptions): void {
  const { dModel, heads, kvHeads = heads, headSize = 1, window, memorySize = 1 } = checkOptions(op, options, kinds);
  const { keySource, keysAsValues, valueFeatures = null } = options;
  checkSizes(op, { dModel, heads, kvHeads, headSize, memorySize, valueFeatures: valueFeatures ?? 1 }, 1);
  const [before, after] = Array.isArray(window) && window.length === 2 ? window : [window ?? 1, window ?? 1];
  checkSizes(op, { window: before }, 1);
  checkSizes(op, { window: after }, Array.isArray(window) ? 0 : 1);
  if (valueFeatures !== null && (keySource || keysAsValues || options.memorySize !== undefined))
    throw new ArgumentError(`${op}: with valueFeatures, leave out keySource, keysAsValues and memorySize`);
  if (options.headSize === undefined && dModel % heads)
    throw new ArgumentError(`${op}: dModel is ${dModel}, expected a multiple of heads, ${heads}`);
  if (heads % kvHeads) throw new ArgumentError(`${op}: heads is ${heads}, expected a multiple of kvHeads, ${kvHeads}`);
  const own = { kvHeads, headSize: options.headSize ?? dModel / heads };
  if (options.keySource) checkKeySource(op, options.keySource, own, options);
}

/** Throws ArgumentError if an attention cannot reuse the keys and values of `source`. */
function checkKeySource(
  op: string,
  source: MultiHeadAttention,
  own: Pick<MultiHeadAttention, 'kvHeads' | 'headSize'>,
  { kNorm, vNorm, keysAsValues, memorySize }: Partial<MultiHeadOptions>,
): void {
  for (const name of ['kvHeads', 'headSize'] as const)
    if (own[name] !== source[name])
      throw new ArgumentError(`${op}: ${name} is ${own[name]}, expected ${source[name]} as in keySource`);
  if (source.keySource)
    throw new ArgumentError(
      `${op}: keySource itself reuses the keys of another layer, expected that layer's attention`,
    );
  if (kNorm || vNorm || keysAsValues || memorySize !== undefined)
    throw new ArgumentError(
      `${op}: with keySource there are no own keys: leave out kNorm, vNorm, keysAsValues and memorySize`,
    );
}
