import { lastOf, type Tensor } from '../core/tensor.js';
import { type AttentionOptions, type AttentionValueOptions, attention } from '../ops/attention.js';
import { attentionWeights } from '../ops/attention-weights.js';
import { add, mul, scale } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { type CacheFormat, type CacheType, cacheAppend, cacheFill, cacheWords, cacheWrite } from '../ops/kv-cache.js';
import { concat } from '../ops/move.js';
import { completeMultiHead, type MultiHeadOptions } from './attention-options.js';
import type { CacheSpec, DecoderState, Memory } from './decoder-state.js';
import type { Dropout } from './dropout.js';
import type { Extension } from './extension.js';
import type { Initializer } from './init.js';
import { Linear, type Projection } from './linear.js';
import { Module } from './module.js';
import type { Norm } from './norm.js';
import { type AttentionWindow, type PaddingMask, paddingMask } from './padding.js';
import type { DistanceTables, PositionBias } from './position-bias.js';
import type { RotateOptions, Rotation } from './rotary-embedding.js';
import { checkSequences, type Sequences } from './sequences.js';
import type { MixerContext, SharedTensors } from './shared-tensors.js';
import type { StateNames } from './state-names.js';

export type { MultiHeadOptions };

/** A number that absorbs all scores: 1e30 + score = 1e30 in float32. */
const LOWEST = 1e30;

/** The options of `attention` that differ from pass to pass. The others are properties of the layer. */
type PassOptions = Pick<
  AttentionValueOptions,
  'causal' | 'window' | 'lengthsQ' | 'lengthsK' | 'mask' | 'bias' | 'cacheType'
>;

/** Tensors of one pass, without padding. */
export interface AttentionParts {
  /** Shape [N, features]: the input of the queries. */
  readonly input: Tensor;
  /** Shape [N', features]: the input of keys and values. */
  readonly memory: Tensor;
  /** [N, heads·d] */
  readonly q: Tensor;
  /** [N', kvHeads·d] */
  readonly k: Tensor;
  readonly v: Tensor;
  /** The options of the op `attention`. */
  readonly options: AttentionValueOptions;
  /** Shape [N, dModel]: the projected outputs of the heads. */
  readonly output: Tensor;
}

/** A pass over whole sequences, as observers receive it. */
export interface AttentionPass {
  /** The outputs of the heads, [N, heads·headSize]. */
  readonly outputs: Tensor;
  /** Computes the attention probabilities, [B, heads, T, S]. */
  readonly weights: () => Tensor;
  /** Null if queries do not attend to the keys of one sequence, but of blocks or of several sources. */
  readonly parts: AttentionParts | null;
}

/** Further inputs of a pass over whole sequences. */
interface WholePass extends Pick<AttentionParts, 'input' | 'memory'> {
  /** `countsQ` and `countsK`: number of queries and of keys of each sequence. */
  readonly countsQ: readonly number[];
  readonly countsK: readonly number[];
  /** float32 [B, 1, T, 1]: 0 for padding, whose rows are zero in the maps. Null: all rows are tokens. */
  readonly tokenMask?: Tensor | null;
  /** The result of `project`; none in cross-attention. */
  readonly projected?: ProjectedQueries;
}

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
  /** Projection to queries, keys and values side by side. */
  readonly qkv: Projection;
  readonly rotary: Rotation | null;
  readonly positionBias: PositionBias | null;
  readonly relative: DistanceTables | null;
  readonly outProj: Projection;
  readonly qNorm: Norm | null;
  readonly kNorm: Norm | null;
  readonly dropout: Dropout | null;
  /** If set, receives each pass over whole sequences, but no decoding steps. */
  observe: ((pass: AttentionPass) => void) | null = null;

  /** Throws ArgumentError for invalid options. */
  constructor(init: Initializer, options: MultiHeadOptions) {
    super();
    const { dModel, biases, outBias, ...settings } = completeMultiHead('MultiHeadAttention', options);
    this.heads = settings.heads;
    this.kvHeads = settings.kvHeads;
    this.headSize = settings.headSize;
    this.causal = settings.causal;
    this.window = settings.window;
    this.windowAfter = settings.windowAfter;
    this.scale = settings.scale;
    this.softcap = settings.softcap;
    const queries = this.heads * this.headSize;
    const sections = this.sectionWidths(queries, this.kvHeads * this.headSize);
    this.qkv = settings.qkv?.() ?? new Linear(init, dModel, sections, biases.slice(0, sections.length));
    this.outProj = settings.outProj?.() ?? new Linear(init, this.outputWidth(queries), dModel, outBias);
    const { positionBias } = settings;
    this.positionBias = typeof positionBias === 'function' ? positionBias() : positionBias;
    this.relative = settings.relative?.() ?? null;
    this.qNorm = settings.qNorm?.() ?? null;
    this.kNorm = settings.kNorm?.() ?? null;
    this.rotary = settings.rotary;
    this.dropout = settings.dropout;
  }

  /**
   * Returns the widths of the sections of `qkv`. `queries` and `keys` are the features of all their heads. The
   * constructor calls it before the fields of subclasses exist.
   */
  protected sectionWidths(queries: number, keys: number): number[] {
    return [queries, keys, keys];
  }

  /**
   * Returns the number of features that `outProj` reads. `queries` are the features of all heads. The constructor calls
   * it before the fields of subclasses exist.
   */
  protected outputWidth(queries: number): number {
    return queries;
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

  /** The earlier attention whose keys and values this one reuses, or null; see `ReusingAttention`. */
  get keySource(): MultiHeadAttention | null {
    return null;
  }

  /**
   * The caches that this attention needs: one row of keys and values side by side for each of `rows`. Empty if it
   * reuses those of an earlier layer.
   */
  cacheSpecs(type: CacheType = 'float32', rows: 'tokens' | 'source' = 'tokens'): readonly CacheSpec[] {
    if (this.keySource) return [];
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
  forward(x: Tensor, batch: Sequences, { state, shared }: MixerContext = {}): Tensor {
    const { lengths, counts, positions, longest, imageEffects } = checkSequences('MultiHeadAttention', batch);
    const cache = state && this.#cacheIn(state);
    const capacity = cache?.shape[1] ?? longest;
    const length = this.rotary?.lengthOf(longest, capacity) ?? longest;
    const projected = this.projectAll(x, { positions, length, angles: imageEffects?.angles ?? null }, shared, batch);
    const { q, kv } = projected;
    if (cache && !this.keySource) cacheFill(cache, kv, lengths);
    const attend = (queries: Tensor, options: PassOptions, tokenMask: Tensor | null = null) => {
      const all = { ...options, lengthsQ: lengths, lengthsK: lengths };
      const whole = { input: x, memory: x, countsQ: counts, countsK: counts, tokenMask, projected };
      return this.#attendTo(queries, kv, all, whole);
    };
    const imageMask = this.causal ? imageEffects?.mask(this.window) : null;
    if (imageMask) return attend(q, { causal: false, mask: imageMask });
    const padding = this.paddingMaskOf(batch);
    if (padding === null) return attend(q, { ...this.#maskOptions, bias: this.scoreBias(q, kv, batch, x) });
    const { mask, hasKeys, keyless, tokens } = padding;
    if (hasKeys === null)
      return attend(q, { causal: this.causal, mask, bias: this.scoreBias(q, kv, batch, x) }, tokens);
    const queries = keyless === 'filled' ? mul(q, hasKeys) : q;
    const scoreBias = this.scoreBias(queries, kv, batch, x);
    const rows = hasKeys.reshape(-1, 1, longest, 1);
    const lowest = scale(add(rows, -1), LOWEST); // no score changes it, so all scores of the row are equal
    const bias = scoreBias ? add(mul(scoreBias, rows), lowest) : lowest;
    return attend(queries, { causal: false, mask, bias }, tokens);
  }

  /**
   * Returns a bias of the scores, [B, heads, T, T], or null. `q`: queries, [N, heads·d]. `kv`: keys and values, [N,
   * keys | values]. `x`: the input of this part, [N, dModel]. Subclasses override this.
   */
  scoreBias(_q: Tensor, _kv: Tensor, _batch: Sequences, _x: Tensor): Tensor | null {
    return null;
  }

  /** Distances of the keys to which a query attends: before it, and after it if that differs. Null: all keys. */
  get attentionWindow(): AttentionWindow | null {
    const { window, windowAfter } = this;
    return window === null || windowAfter === null ? window : [window, windowAfter];
  }

  /** Returns the masks of a batch in which padding is computed like tokens. Null if no mask is needed. */
  protected paddingMaskOf(batch: Sequences): PaddingMask | null {
    // transformers adds the mask to ALiBi.
    const isAdded = this.causal && this.positionBias !== null;
    const { attentionWindow: window } = this;
    return paddingMask(batch, {
      window,
      causal: isAdded,
      masksPaddingQueries: false,
      keyless: isAdded ? 'added' : 'zero',
    });
  }

  /**
   * Cross-attention: each sequence of `x` attends to the sequence of `memory` with the same index. Shapes and errors
   * are those of `forward`.
   */
  cross(x: Tensor, batch: Sequences, { hidden, batch: memory }: Memory): Tensor {
    for (const sequences of [batch, memory]) checkSequences('MultiHeadAttention', sequences);
    const padding = paddingMask(memory, { window: null, causal: false, masksPaddingQueries: false, keyless: 'zero' });
    const lengths = { lengthsQ: batch.lengths, lengthsK: memory.lengths, mask: padding?.mask };
    const whole = { input: x, memory: hidden, countsQ: batch.counts, countsK: memory.counts };
    return this.#attendTo(this.query(x), this.keysAndValues(hidden), lengths, whole);
  }

  /**
   * One decoding step. Appends the newest token of each sequence to the cache and attends to all cached tokens. `x` and
   * the result: float32 [sequences, dModel].
   */
  step(x: Tensor, state: DecoderState): Tensor {
    const cache = this.#cacheIn(state);
    const projected = this.projectNew(x, rotaryContext(state.rotaryPositions, state));
    const { q, kv } = projected;
    if (kv) cacheAppend(cache, kv, state.positions, this.cacheFormat(state.sizes.cacheType));
    const queries = q.reshape(state.sequences, 1, -1); // [B, 1, heads·d]
    // `causal` hides nothing from the newest token. It tells that the token is the last one, and distances depend on
    // that.
    const options = { ...this.#maskOptions, causal: true, lengthsK: state.lengths, cacheType: state.sizes.cacheType };
    return this.projectOut(this.#attendTo(queries, cache, options).reshape(q.shape), projected);
  }

  /**
   * Appends several new tokens of some sequences to the cache. Each attends to the cached tokens before it and to new
   * ones up to itself. `x` and the result: float32 [N, dModel], end to end.
   */
  extend(x: Tensor, extension: Extension, state: DecoderState): Tensor {
    const { parts, asSteps, imageEffects } = extension;
    const cache = this.#cacheIn(state);
    const projected = this.projectNew(x, this.#contextOf(extension, state));
    const { q, kv } = projected;
    const { cacheType } = state.sizes;
    let first = 0;
    const outputs = parts.flatMap(({ sequence, start, count }, i) => {
      const [queries, added] = [q, kv].map((rows) => rows?.rows(first, first + count)) as [Tensor, Tensor | undefined];
      first += count;
      if (added) cacheWrite(cache, added, { row: sequence, slot: start }, this.cacheFormat(cacheType));
      const sequenceCache = cache.rows(sequence, sequence + 1);
      const mask = imageEffects?.mask(this.window, i);
      if (asSteps && !mask) return this.#attendOneByOne(queries, sequenceCache, start, cacheType);
      const [, slots, width] = sequenceCache.shape as readonly [number, number, number];
      const keys = sequenceCache.reshape(slots, width).rows(0, start + count); // [S, keys | values]
      const lengths = { lengthsQ: [count], lengthsK: [start + count] };
      const masking = mask ? { causal: false, mask } : { ...this.#maskOptions, causal: true };
      return this.#attendTo(queries, keys, { ...masking, ...lengths, cacheType });
    });
    const joined = outputs.length === 1 ? (outputs[0] as Tensor) : concat(outputs); // [N, heads·d]
    return this.projectOut(joined, projected);
  }

  /** Returns the positions of new tokens. Prompts rotate as in `forward`. */
  #contextOf({ positions, promptLength: longest, imageEffects }: Extension, state: DecoderState): RotaryContext {
    const context = rotaryContext(positions, state, imageEffects?.angles);
    if (longest === undefined) return context;
    return { ...context, length: this.rotary?.lengthOf(longest, context.length) ?? longest, incremental: false };
  }

  /**
   * Causal attention, one query at a time, which gives the same bits as single steps. `start`: number of keys before
   * the first query's own.
   */
  #attendOneByOne(q: Tensor, kv: Tensor, start: number, cacheType: CacheType | undefined): Tensor[] {
    return Array.from({ length: q.shape[0] as number }, (_, i) => {
      const query = q.rows(i, i + 1).reshape(1, 1, -1); // [1, 1, heads·d]
      const options = { ...this.#maskOptions, causal: true, lengthsK: [start + i + 1], cacheType };
      return this.#attendTo(query, kv, options).reshape(1, -1);
    });
  }

  /**
   * Cross-attention of one decoding step. The beams of a source are several queries of one item. `x` and the result:
   * float32 [sequences, dModel].
   */
  crossStep(x: Tensor, state: DecoderState): Tensor {
    const { sources, beams } = state.sizes;
    const queries = this.query(x).reshape(sources, beams, -1); // [sources, beams, heads·d]
    const options = { lengthsK: state.sourceLengths, cacheType: state.sizes.cacheType };
    return this.projectOut(this.#attendTo(queries, state.cacheOf(this), options)).reshape(x.shape);
  }

  /** Projects the encoder's output `x`, [N, features], to keys and values for cross-attention: [N, keys | values]. */
  keysAndValues(x: Tensor): Tensor {
    return this.qkv.part(x, 1, 3);
  }

  /** Projects `x`, [N, dModel], to the queries of cross-attention: [N, heads·d]. */
  query(x: Tensor): Tensor {
    return this.qkv.part(x, 0, 1);
  }

  /** The cache of keys and values in `state`: this attention's own, or that of the earlier layer. */
  #cacheIn(state: DecoderState): Tensor {
    return state.cacheOf(this.keySource ?? this);
  }

  /**
   * Projects new tokens. `kv` is null if an earlier layer has written keys and values to the cache. Subclasses may
   * override it.
   */
  protected projectNew(x: Tensor, context: RotaryContext): ProjectedQueries & { readonly kv: Tensor | null } {
    return this.project(x, context);
  }

  /**
   * Projects whole sequences. `shared` holds tensors of earlier layers, and receives those for later layers. Subclasses
   * may override it.
   */
  protected projectAll(
    x: Tensor,
    context: RotaryContext,
    _shared: SharedTensors | undefined,
    _batch: Sequences,
  ): ProjectedAttention {
    return this.project(x, context);
  }

  /**
   * Returns queries and keys after their norms and rotation, and values. `x`: [N, dModel]. Subclasses may override it.
   */
  project(x: Tensor, context: RotaryContext): ProjectedAttention {
    return this.splitProjections(this.qkv.forward(x), context);
  }

  /**
   * Splits the projections `all`, [N, queries | keys | values], and normalizes and rotates queries and keys. Subclasses
   * may override it.
   */
  protected splitProjections(all: Tensor, context: RotaryContext): ProjectedAttention {
    const { qNorm, kNorm, rotary } = this;
    const [queries, keys] = [this.heads * this.headSize, this.kvHeads * this.headSize];
    const end = queries + 2 * keys;
    if (!qNorm && !kNorm) {
      // Queries and keys are adjacent, and values follow them.
      const { positions, length, ...rotating } = context;
      const rotated = rotary?.forward(all, positions, length, { columns: queries + keys, ...rotating }) ?? all;
      return { q: rotated.columns(0, queries), kv: rotated.columns(queries, end) };
    }
    const q = this.normalizeAndRotate(all.columns(0, queries), qNorm, context);
    const k = this.normalizeAndRotate(all.columns(queries, queries + keys), kNorm, context);
    const v = this.normalize(all.columns(queries + keys, end), null);
    return { q, kv: concat([k, v], -1) };
  }

  /** Normalizes and rotates queries or keys, [N, heads·d]. Subclasses may override it. */
  protected normalizeAndRotate(part: Tensor, norm: Norm | null, context: RotaryContext): Tensor {
    return this.rotate(this.normalize(part, norm), context);
  }

  /**
   * Normalizes queries, keys or values, [N, heads·d]: each head if the norm has headSize features or no weight,
   * otherwise all features together. Subclasses may override it.
   */
  protected normalize(part: Tensor, norm: Norm | null): Tensor {
    if (!norm) return part;
    const packed = contiguous(part);
    const rows = packed.reshape(-1, norm.weight?.size ?? this.headSize); // [N·heads, d] or [N, heads·d]
    return norm.forward(rows).reshape(part.shape);
  }

  /** Rotates queries or keys, [N, heads·d]. */
  protected rotate(part: Tensor, { positions, length, ...options }: RotaryContext): Tensor {
    return this.rotary?.forward(part, positions, length, options) ?? part;
  }

  /** The options `causal` and `window`, as `attention` expects them. */
  get #maskOptions(): PassOptions {
    const { causal, window, windowAfter } = this;
    if (window === null) return { causal };
    return { causal, window: [window - 1, causal ? 0 : Math.max(0, (windowAfter ?? window) - 1)] };
  }

  /**
   * Projects the outputs of the heads, [N, heads·d], to [N, dModel]. `projected` is the result of `project`; none in
   * cross-attention. Subclasses may override it.
   */
  protected projectOut(mixed: Tensor, _projected?: ProjectedQueries): Tensor {
    return this.outProj.forward(mixed);
  }

  /**
   * Attention of queries to keys and values with the options of this layer and of the pass. Returns the outputs of the
   * heads. With `whole`, it projects them, and the observer sees the pass.
   */
  #attendTo(q: Tensor, kv: Tensor, { cacheType, ...pass }: PassOptions, whole?: WholePass): Tensor {
    const { heads, kvHeads, scale, softcap } = this;
    const half = lastOf(kv.shape) / 2;
    const [k, v] = [kv.columns(0, half), kv.columns(half, 2 * half)]; // each [N, kvHeads·d]
    const isSelf = pass.causal !== undefined;
    const relativeBias = (isSelf && this.positionBias?.table()) || null;
    const cap = softcap === null ? {} : { softcap };
    const ofScores = { heads, kvHeads, scale, ...cap, relativeBias, relativeKeys: this.relative?.keys, ...pass };
    const ofValues = { relativeValues: this.relative?.values, dropout: this.dropout?.options, cacheType };
    const options = { ...ofValues, ...ofScores };
    const outputs = this.attend(q, k, v, options);
    if (!whole) return outputs;
    const output = this.projectOut(outputs, whole.projected);
    this.observe?.({
      outputs,
      weights: () => {
        const { countsQ, countsK, tokenMask } = whole;
        const weights = this.weights(q, k, { ...ofScores, lengthsQ: countsQ, lengthsK: countsK }); // [B, heads, T, S]
        return tokenMask ? mul(weights, tokenMask) : weights;
      },
      parts: { ...whole, q, k, v, options, output },
    });
    return output;
  }

  /** Computes the outputs of the heads. Subclasses may override it. */
  protected attend(q: Tensor, k: Tensor, v: Tensor, options: AttentionValueOptions): Tensor {
    return attention(q, k, v, options);
  }

  /** Returns the attention probabilities, [B, heads, T, S]. Subclasses may override it. */
  protected weights(q: Tensor, k: Tensor, options: AttentionOptions): Tensor {
    return attentionWeights(q, k, options);
  }
}

/** Positions of tokens in their texts, and options of their rotation; see `Rotation.forward`. */
export interface RotaryContext extends Omit<RotateOptions, 'columns'> {
  /** int32 [N] */
  readonly positions: Tensor;
  /** Length of the text on which scaled rotary frequencies depend. All positions are below it. */
  readonly length: number;
}

export interface ProjectedQueries {
  /** [N, heads·d] */
  readonly q: Tensor;
}

/** Projections of attention's input. */
export interface ProjectedAttention extends ProjectedQueries {
  /** [N, keys | values] */
  readonly kv: Tensor;
}

/** Returns the positions of generated tokens. The text length is that of the state, or the capacity of its cache. */
function rotaryContext(positions: Tensor, { sizes }: DecoderState, angles: Tensor | null = null): RotaryContext {
  const { capacity, textLength: length = capacity } = sizes;
  return { positions, length, incremental: true, angles };
}
