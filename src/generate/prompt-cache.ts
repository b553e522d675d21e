// The keys and values of one text, kept so that the next generation reads only new tokens.

import { checkMethod, checkNumber, checkOptions, isCount, isWhole } from '../core/check.js';
import { ArgumentError, DisposedError } from '../core/errors.js';
import { orDispose } from '../core/or-dispose.js';
import { atOnce, begun } from '../core/slices.js';
import type { DecoderState } from '../nn/decoder-state.js';
import { inference } from '../nn/module.js';
import { CACHE_TYPES, type CacheType } from '../ops/kv-cache.js';
import type { Generative } from './generative.js';
import { disposeWith, forget } from './model-decoders.js';
import { CHUNK, sharable } from './pieces.js';
import { PromptCacheSteps } from './prompt-cache-steps.js';

export interface PromptCacheOptions {
  /** Maximum number of tokens, of prompts and generated text together. Default: the model's maxLength. */
  maxLength?: number | undefined;
  /** Format of the keys and values, see `generate`. Default: the model's `cacheType`. */
  cacheType?: CacheType | undefined;
}

/** Minimum capacity in tokens. The capacity doubles when it is used up. */
const FIRST_CAPACITY = 256;
/** The capacity for copied tokens is rounded up to a multiple of this. */
const CAPACITY_STEP = 32;

/**
 * The keys and values of a text that a model has read, for `generate` and `stream` with `{ cache }`. If a prompt begins
 * with that text, only the rest is read. Generated tokens are kept, too.
 *
 * ```ts
 * const cache = new PromptCache(model);
 * const { sequences } = await model.generate([prompt], { cache });
 * await model.generate([[...prompt, ...sequences[0], ...next]], { cache }); // reads `next`
 * ```
 *
 * A cache serves one generation at a time. Log-probabilities may differ in their last bits from those without a cache,
 * because passes over prompts and single steps add in different orders. A cache is valid until it or its model is
 * disposed of.
 */
export class PromptCache {
  readonly maxLength: number;
  /** Format of the keys and values. */
  readonly cacheType: CacheType;
  #tokens: number[] = [];
  /**
   * Number of leading tokens that were read as part of a prompt. Keys and values of generated tokens are rounded
   * differently.
   */
  #readCount = 0;
  /** Length of the latest prompt, by which the keys of its tokens rotate. */
  #promptLength = 0;
  #state: DecoderState | null = null;
  #steps: PromptCacheSteps | null = null;
  readonly #companions = new Map<Generative, PromptCache>();
  #isBusy = false;
  #isDisposed = false;

  /**
   * Takes no memory before it is needed. Throws ArgumentError for models without `extendInParts`, such as encoder–decoders.
   */
  constructor(
    readonly model: Generative,
    options: PromptCacheOptions = {},
  ) {
    checkMethod('PromptCache', 'model', model, 'startDecoding', 'the result of loadModel');
    const kinds = { maxLength: 'any', cacheType: CACHE_TYPES } as const;
    const { maxLength = model.maxLength, cacheType } = checkOptions('PromptCache', options, kinds);
    const isLength = (n: number) => isCount(n) && n <= model.maxLength;
    checkNumber('PromptCache', 'maxLength', maxLength, isLength, `1 to the model's maxLength, ${model.maxLength}`);
    if (!model.extendInParts || model.maxSourceLength)
      throw new ArgumentError(
        'PromptCache: the model has an encoder or no extendInParts(), expected a decoder-only model',
      );
    this.maxLength = maxLength;
    this.cacheType = cacheType ?? model.cacheType ?? 'float32';
    disposeWith(model, this);
  }

  /** The tokens that the cache holds. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /**
   * @internal Number of leading tokens that were read as part of a prompt. The bits of their keys and values depend
   * only on these tokens.
   */
  get readCount(): number {
    return Math.min(this.#readCount, this.#tokens.length);
  }

  /** @internal Length of the latest prompt, by which the keys of its tokens rotate. */
  get promptLength(): number {
    return this.#promptLength;
  }

  /** True while a generation uses the cache. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /**
   * Removes all tokens except the first `length`. If layers have recurrent states, it removes more, back to a
   * checkpoint. Throws ArgumentError while a generation uses the cache.
   */
  truncate(length: number): void {
    this.#assertFree('truncate');
    checkNumber('PromptCache.truncate', 'length', length, isWhole, 'an integer, 0 or more');
    this.#shorten(length);
  }

  /** Returns an independent copy. Throws OutOfMemoryError. */
  fork(): PromptCache {
    this.#assertFree('fork');
    const fork = new PromptCache(this.model, { maxLength: this.maxLength, cacheType: this.cacheType });
    orDispose(fork, () => fork.copyPrefix(this));
    return fork;
  }

  /**
   * Copies the common prefix of `other` and `tokens`, if it is longer than that of this cache and `tokens`.
   * Conversations with equal beginnings then read them once. Throws ArgumentError if `other` has another model or
   * format.
   */
  share(other: PromptCache, tokens: readonly number[]): void {
    this.#assertFree('share');
    other.#assertFree('share');
    const length = Math.min(commonLength(other.#tokens, tokens), this.maxLength);
    const common = other.resumableLength(sharable(this.model, tokens, length, other.promptLength));
    if (common > commonLength(this.#tokens, tokens)) this.copyPrefix(other, common);
  }

  /** @internal Copies the first `length` tokens of another cache. */
  copyPrefix(other: PromptCache, length = other.#tokens.length): void {
    if (other.model !== this.model)
      throw new ArgumentError(
        'PromptCache: the other cache belongs to another model, expected a cache of the same model',
      );
    if (other.cacheType !== this.cacheType)
      throw new ArgumentError(
        `PromptCache: the other cache has the format ${other.cacheType}, expected ${this.cacheType}`,
      );
    this.#shorten(0);
    if (length === 0 || other.#state === null) return;
    this.#copy(this.reserve(length), other.#tokens.slice(0, length), other.#state);
    this.#tokens = other.#tokens.slice(0, length);
    this.#readCount = Math.min(other.readCount, length);
    this.#promptLength = other.promptLength;
  }

  /**
   * @internal Returns the length to which a text of `length` tokens can grow before its rotary frequencies change and
   * it must be read again (longrope).
   */
  textLength(length: number): number {
    const { rereadLength } = this.model;
    return rereadLength && length <= rereadLength ? Math.min(rereadLength, this.maxLength) : this.maxLength;
  }

  /**
   * @internal Keeps the common prefix with `context`, without the last token of `context` and as far as it is
   * resumable. Returns its length.
   */
  reuse(context: readonly number[]): number {
    const length = reusableLength(this.#tokens, context);
    this.#shorten(sharable(this.model, context, length, this.#promptLength));
    this.#promptLength = context.length;
    return this.#tokens.length;
  }

  /**
   * @internal Records the tokens that the state holds now. `isRead` is true if the new ones were read as part of a
   * prompt.
   */
  setTokens(tokens: readonly number[], isRead = false): void {
    if (isRead && this.#readCount >= this.#tokens.length) this.#readCount = tokens.length;
    this.#tokens = [...tokens];
  }

  /**
   * @internal Copies a sequence from another decoder state. `tokens` are its tokens. It continues a prompt of
   * `promptLength` tokens, of which `readCount` were read as part of a prompt.
   */
  copyFrom(
    state: DecoderState,
    sequence: number,
    tokens: readonly number[],
    promptLength: number,
    readCount: number,
  ): void {
    this.#shorten(0);
    const newCapacity = Math.ceil(tokens.length / CAPACITY_STEP) * CAPACITY_STEP;
    this.reserve(tokens.length, newCapacity).copySequence(0, sequence, tokens.length, state);
    this.#tokens = [...tokens];
    this.#readCount = Math.min(tokens.length, promptLength, readCount);
    this.#promptLength = promptLength;
  }

  /** @internal Copies the first `length` tokens into a sequence of another state. */
  copyTo(state: DecoderState, sequence: number, length: number): void {
    if (this.#state === null) throw new ArgumentError('PromptCache: the cache is empty, expected tokens to copy');
    state.copySequence(sequence, 0, length, this.#state);
  }

  /**
   * @internal Returns the greatest number of tokens, at most `length`, from which the cache can continue. It is smaller
   * than `length` only if layers have recurrent states.
   */
  resumableLength(length: number): number {
    if (length >= this.#tokens.length) return this.#tokens.length;
    return this.#state?.resumableLength(length) ?? length;
  }

  #shorten(length: number): void {
    this.#tokens.length = this.resumableLength(length);
    this.#readCount = this.readCount;
  }

  /**
   * @internal Returns a state of one sequence that holds the tokens of the cache and has a capacity of at least
   * `length`. A new state has the capacity `newCapacity`, or less if the text is shorter.
   */
  reserve(length: number, newCapacity = Math.max(FIRST_CAPACITY, 2 ** Math.ceil(Math.log2(length)))): DecoderState {
    const { model } = this;
    const old = this.#state;
    const textLength = this.textLength(length);
    if (old && old.sizes.capacity >= length && this.#hasRotationsOf(old, textLength)) return old;
    const capacity = Math.min(textLength, newCapacity);
    const sizes = { sequences: 1, maxLength: capacity, textLength, cacheType: this.cacheType };
    const state = model.device.unscoped(() => inference(model, () => model.startDecoding(sizes)));
    if (old) orDispose(state, () => this.#copy(state, this.#tokens, old));
    this.#free();
    this.#state = state;
    return state;
  }

  /**
   * True if the keys of a state have the rotary frequencies of a text of `textLength` tokens. Always true without a
   * rereadLength.
   */
  #hasRotationsOf({ sizes }: DecoderState, textLength: number | undefined): boolean {
    return !this.model.rereadLength || sizes.textLength === textLength;
  }

  /** Copies `tokens` from another state, or reads them again if the rotary frequencies have changed. */
  #copy(state: DecoderState, tokens: readonly number[], from: DecoderState): void {
    if (this.#hasRotationsOf(from, state.sizes.textLength)) {
      state.copySequence(0, 0, tokens.length, from);
      return;
    }
    const { model } = this;
    for (let start = 0; start < tokens.length; start += CHUNK)
      inference(model, () =>
        atOnce(
          begun(
            () =>
              model.extendInParts?.(state, [tokens.slice(start, start + CHUNK)], { starts: [start], logits: 'none' }) ??
              null,
          ),
        ),
      );
  }

  /** @internal Number of tokens for which there is memory. */
  get capacity(): number {
    return this.#state?.sizes.capacity ?? 0;
  }

  /** @internal Returns the recorded step of the state for these numbers of stop tokens and suppressed tokens. */
  steps(stops: number, suppressed: number): PromptCacheSteps {
    const known = this.#steps;
    if (known?.stopCount === stops && known.suppressedCount === suppressed) return known;
    known?.dispose();
    this.#steps = new PromptCacheSteps(this.model, this.#state as DecoderState, stops, suppressed);
    return this.#steps;
  }

  /** @internal Returns the cache of a draft model, which belongs to this cache. */
  companion(model: Generative): PromptCache {
    const known = this.#companions.get(model);
    if (known && !known.#isDisposed) return known;
    const made = new PromptCache(model);
    this.#companions.set(model, made);
    return made;
  }

  /** @internal Begins a generation. Throws ArgumentError if the cache is in use or belongs to another model. */
  acquire(model: Generative): void {
    if (model !== this.model)
      throw new ArgumentError('generate: the cache belongs to another model, expected a cache of the same model');
    this.#assertFree('generate');
    this.#isBusy = true;
  }

  /** @internal Ends a generation. */
  release(): void {
    this.#isBusy = false;
    if (this.#isDisposed) this.#free();
  }

  /** @internal Throws DisposedError if the cache was disposed of. */
  assertUsable(op: string): void {
    if (!this.#isDisposed) return;
    throw new DisposedError(`${op}: the cache or its model was disposed of; make a new PromptCache`);
  }

  /** Frees the memory. A generation that uses the cache ends with DisposedError at its next step. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    forget(this.model, this);
    for (const companion of this.#companions.values()) companion.dispose();
    this.#tokens = [];
    this.#free();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #free(): void {
    this.#steps?.dispose();
    this.#steps = null;
    this.#state?.dispose();
    this.#state = null;
  }

  #assertFree(op: string): void {
    this.assertUsable(op);
    if (this.#isBusy) throw new ArgumentError(`${op}: the cache is in use by another generation; wait for its end`);
  }
}

/** Returns the length of the common prefix of two texts. */
export function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

/**
 * Returns the number of prompt tokens that a cache of a text already has. The last prompt token never counts, because it
 * must be read to get the logits after it.
 */
export function reusableLength(cached: readonly number[], prompt: readonly number[]): number {
  return Math.min(commonLength(cached, prompt), prompt.length - 1);
}
