import { ArgumentError } from '../core/errors.js';
import { lastOf, type Tensor } from '../core/tensor.js';
import { sigmoid } from '../ops/activation.js';
import { type AttentionOptions, attention } from '../ops/attention.js';
import { attentionWeights } from '../ops/attention-weights.js';
import { max } from '../ops/axis.js';
import { add, mul, scale, sub } from '../ops/binary.js';
import { contiguous } from '../ops/contiguous.js';
import { type CacheType, cacheAppend, cacheFill } from '../ops/kv-cache.js';
import { concat, gather, permute } from '../ops/move.js';
import { sum } from '../ops/reduce.js';
import { exp, log } from '../ops/unary.js';
import { MultiHeadAttention } from './attention.js';
import type { CacheSpec, DecoderState, Memory } from './decoder-state.js';
import type { Mixer } from './mixer.js';
import { checkSequences, type Sequences } from './sequences.js';
import type { MixerContext } from './shared-tensors.js';

/**
 * Self-attention and cross-attention in one softmax, with shared projections (T5Gemma 2). Keys of the source are not
 * rotated, and no window hides them. Observed maps have the keys of the source first.
 */
export class MergedAttention extends MultiHeadAttention implements Mixer {
  /** Identifies the source's keys and values in a `DecoderState`. */
  readonly #source = {};

  /** Caches between steps. Throws ArgumentError for packed types, because `step` needs the scores of both parts. */
  override cacheSpecs(type: CacheType = 'float32'): readonly CacheSpec[] {
    if (type !== 'float32')
      throw new ArgumentError(`MergedAttention: cacheType is ${type}, expected float32: other types are not supported`);
    const width = 2 * this.kvHeads * this.headSize;
    return [
      { part: this, rows: 'tokens', width },
      { part: this.#source, rows: 'source', width },
    ];
  }

  /** Writes keys and values of the source for all later steps. */
  cacheMemory({ hidden, batch }: Memory, state: DecoderState): void {
    cacheFill(state.cacheOf(this.#source), this.#sourceKeys(hidden), batch.lengths);
  }

  override forward(x: Tensor, batch: Sequences, { memory }: MixerContext = {}): Tensor {
    const { counts, positions, longest } = checkSequences('MergedAttention', batch);
    if (!memory) throw new ArgumentError('MergedAttention: memory is missing, expected the result of encode()');
    const source = checkSequences('MergedAttention', memory.batch);
    const sources = source.counts;
    const { q, kv } = this.project(x, { positions, length: longest });
    const both = concat([this.#sourceKeys(memory.hidden), kv]);
    const merged = gather(both, x.device.tensor(mergedRows(sources, counts))); // source and target by sequence
    const options = {
      ...this.#options,
      lengthsQ: counts,
      lengthsK: counts.map((count, i) => count + (sources[i] as number)),
      mask: this.#mask(source, batch),
    };
    const [k, v] = halves(merged);
    const outputs = attention(q, k, v, { ...options, dropout: this.dropout?.options });
    this.observe?.({ outputs, weights: () => attentionWeights(q, k, options), parts: null });
    return this.outProj.forward(outputs);
  }

  /**
   * Computes attention to earlier tokens and to the source separately. Their outputs are averaged, weighted by their
   * parts of the softmax's sum. Shapes are those of `MultiHeadAttention.step`.
   */
  override step(x: Tensor, state: DecoderState): Tensor {
    const { heads, headSize, window } = this;
    const { sources, beams, capacity, textLength = capacity } = state.sizes;
    const [cache, source] = [state.cacheOf(this), state.cacheOf(this.#source)];
    const { q, kv } = this.project(x, { positions: state.rotaryPositions, length: textLength, incremental: true });
    cacheAppend(cache, kv, state.positions);
    const slidingWindow = window === null ? null : ([window - 1, 0] as const);
    const selfAttended = this.#attendTo(q.reshape(state.sequences, 1, -1), cache, {
      causal: true,
      window: slidingWindow,
      lengthsK: state.lengths,
    });
    const other = this.#attendTo(q.reshape(sources, beams, -1), source, { lengthsK: state.sourceLengths });
    const perHead = (outputs: Tensor) => outputs.reshape(-1, heads, headSize);
    const share = sigmoid(sub(selfAttended.logSum, other.logSum)); // [sequences, heads, 1]
    const otherShare = add(scale(share, -1), 1);
    const outputs = add(mul(perHead(selfAttended.outputs), share), mul(perHead(other.outputs), otherShare));
    return this.outProj.forward(outputs.reshape(state.sequences, -1));
  }

  /**
   * Returns the attention of `q`, [B, T, heads·d], to a cache, and the logarithm of the softmax's sum, [B·T, heads, 1].
   */
  #attendTo(q: Tensor, cache: Tensor, passOptions: AttentionOptions): { outputs: Tensor; logSum: Tensor } {
    const [k, v] = halves(cache);
    const options = { ...this.#options, ...passOptions };
    const outputs = attention(q, k, v, options);
    const scores = attentionWeights(q, k, { ...options, stage: 'biased' }); // [B, heads, T, S]
    const lastAxis = { axis: -1, keepDims: true };
    const largest = max(scores, lastAxis);
    const logSum = add(largest, log(sum(exp(sub(scores, largest)), lastAxis))); // [B, heads, T, 1]
    return { outputs, logSum: permute(logSum, [0, 2, 1, 3]).reshape(-1, this.heads, 1) };
  }

  get #options(): AttentionOptions {
    const { heads, kvHeads, scale, softcap } = this;
    return { heads, kvHeads, scale, softcap };
  }

  /** Returns keys and values of the source, [N, keys | values]. Keys are normalized, but not rotated. */
  #sourceKeys(hidden: Tensor): Tensor {
    const kv = this.keysAndValues(hidden);
    if (!this.kNorm) return kv;
    const [k, v] = halves(kv);
    const normed = this.kNorm.forward(contiguous(k).reshape(-1, this.headSize)).reshape(k.shape);
    return concat([normed, v], -1);
  }

  /** Returns int32 [B, 1, T, S]: 1 for the source of a token, and for earlier tokens within the window. */
  #mask({ counts: sources, isToken: isSource }: Sequences, batch: Sequences): Tensor {
    const { counts, longest: time, isToken, positions } = batch;
    const keys = Math.max(...counts.map((count, i) => count + (sources[i] as number)));
    const windowSize = this.window ?? keys;
    const mask = new Int32Array(counts.length * time * keys);
    for (const [b, source] of sources.entries())
      for (let query = 0; query < (counts[b] as number); query++) {
        const row = (b * time + query) * keys;
        for (let key = 0; key < source; key++) mask[row + key] = Number(isSource?.[b]?.[key] ?? true);
        for (let key = Math.max(0, query - windowSize + 1); key <= query; key++)
          mask[row + source + key] = Number(isToken?.[b]?.[key] ?? true);
      }
    return positions.device.tensor(mask, [counts.length, 1, time, keys]);
  }
}

/** Splits rows or a cache into keys and values. */
function halves(kv: Tensor): [Tensor, Tensor] {
  const half = lastOf(kv.shape) / 2;
  return [kv.columns(0, half), kv.columns(half, 2 * half)];
}

/**
 * Returns row indices that interleave sources and targets: the source of a sequence, then its target. Input rows are
 * all sources, then all targets.
 */
function mergedRows(sources: readonly number[], counts: readonly number[]): Int32Array {
  const total = sources.reduce((all, count) => all + count, 0);
  let [source, target] = [0, total];
  return Int32Array.from(
    counts.flatMap((count, i) => [
      ...Array.from({ length: sources[i] as number }, () => source++),
      ...Array.from({ length: count }, () => target++),
    ]),
  );
}
