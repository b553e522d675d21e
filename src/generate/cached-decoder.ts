// Generation of one sequence that continues from a PromptCache, with or without drafts.

import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { DecoderState } from '../nn/decoder-state.js';
import { extendAsync, prepareAsync } from './async-passes.js';
import type { SequenceDecoder, StepRequest } from './batch-decoder.js';
import type { Drafter } from './drafter.js';
import type { GenerateOptions } from './generate-options.js';
import type { ExtendOptions, Generative } from './generative.js';
import { pieceStarts } from './pieces.js';
import type { Plan, PlannedInput } from './plan.js';
import { PromptCache } from './prompt-cache.js';
import type { PromptCacheSteps } from './prompt-cache-steps.js';
import type { Ranking } from './ranking.js';
import { drafterOf, type Generate } from './speculative.js';

/**
 * Makes the decoder for the only input of `plan`. The caller must call `end` when it is done. Throws ArgumentError for
 * an unsuitable cache.
 */
export function startCached(
  model: Generative,
  plan: Plan,
  options: GenerateOptions,
  generate: Generate,
): CachedDecoder {
  const ownsCache = options.cache === undefined;
  const cache = ownsCache ? new PromptCache(model, { cacheType: plan.cacheType }) : options.cache;
  if (!(cache instanceof PromptCache))
    throw new ArgumentError(`generate: cache is ${describeValue(cache)}, expected a PromptCache`);
  cache.acquire(model);
  try {
    return new CachedDecoder(cache, drafterOf(cache, options, generate), plan, options, ownsCache);
  } catch (error) {
    cache.release();
    if (ownsCache) cache.dispose();
    throw error;
  }
}

interface ReadOptions extends Pick<ExtendOptions, 'logits' | 'promptLength'> {
  readonly start: number;
}

export class CachedDecoder implements SequenceDecoder {
  readonly #stops: readonly number[];
  readonly #suppressed: readonly number[];
  readonly #input: PlannedInput;
  /** Rankers whose stop tokens were set by this decoder. */
  readonly #preparedRankers = new Set<object>();
  #isFirst = true;
  /** Number of tokens in the state, including drafted tokens that may be rejected. */
  #stateLength = 0;
  /** The latest drafted tokens, and the length of the context before them. */
  #draft: { readonly tokens: readonly number[]; readonly start: number } | null = null;

  constructor(
    private readonly cache: PromptCache,
    private readonly drafter: Drafter | null,
    { stopTokens, suppressTokens, inputs }: Plan,
    private readonly options: Pick<GenerateOptions, 'signal' | 'onDraft'>,
    private readonly ownsCache: boolean,
  ) {
    this.#input = inputs[0] as PlannedInput;
    this.#stops = [...stopTokens];
    this.#suppressed = [...suppressTokens];
  }

  get usesDrafts(): boolean {
    return this.drafter !== null;
  }

  mustReadPrompts(): boolean {
    return this.#isFirst;
  }

  /**
   * An upper bound for the tokens that can still be added. Plans never exceed it, because `cropContext` excludes a
   * cache.
   */
  get room(): number {
    return this.cache.maxLength;
  }

  canShrinkTo(): boolean {
    return false;
  }

  assertUsable(): void {
    this.cache.assertUsable('generate');
  }

  /** Reads the part of the prompt that is not in the cache. */
  async read([context = []]: readonly (readonly number[])[], request: StepRequest): Promise<Ranking[]> {
    const { cache } = this;
    this.assertUsable();
    await prepareAsync(cache.model, cache.maxLength);
    this.assertUsable();
    let start = cache.reuse(context);
    const state = cache.reserve(context.length);
    const promptLength = context.length;
    for (const end of pieceStarts(cache.model, context, start).slice(1)) {
      await this.#read(state, context.slice(start, end), { start, logits: 'none', promptLength });
      start = end;
      await cache.model.device.flush();
      this.options.signal?.throwIfAborted();
      this.assertUsable();
      cache.setTokens(context.slice(0, end), true);
    }
    const rankings = await this.#extend(context.slice(start), { start, logits: 'last', promptLength }, request);
    cache.setTokens(context, true);
    this.#isFirst = false;
    return rankings;
  }

  async step(_tokens: Int32Array, _order: Int32Array | null, request: StepRequest): Promise<Ranking[]> {
    this.assertUsable();
    const [context = []] = request.contexts();
    const { drafter } = this;
    if (drafter === null) return this.#advance(context, request.steps, request);
    const state = this.#reserve(context.length, context);
    const max =
      Math.min(request.steps, state.recentStates, this.cache.textLength(context.length) - context.length + 1) - 1;
    const tokens = max > 0 ? await drafter.propose(context, max, state) : [];
    this.options.signal?.throwIfAborted();
    this.assertUsable();
    if (tokens.length === 0) return this.#advance(context, 1, request); // there may be a draft after the next token
    this.#draft = { tokens, start: context.length };
    const rankings = await this.#extend(
      [context.at(-1) as number, ...tokens],
      { start: context.length - 1, logits: 'every' },
      request,
      context,
    );
    return rankings.map((ranking, i) => ranking.assuming(tokens[i] ?? null));
  }

  endDraft(context: readonly number[]): void {
    if (this.#draft === null) return;
    const { tokens, start } = this.#draft;
    this.#draft = null;
    const firstWrong = tokens.findIndex((token, i) => token !== context[start + i]);
    const accepted = firstWrong < 0 ? tokens.length : firstWrong;
    this.drafter?.recordAccepted(tokens.length, accepted);
    const { index, prompt } = this.#input;
    this.options.onDraft?.({ sequence: index, at: start - prompt.length, tokens: [...tokens], accepted });
  }

  /** Runs the recorded step, which chooses the best token, up to `max` times. Fewer steps run if they take long. */
  async #advance(context: readonly number[], max: number, request: StepRequest): Promise<Ranking[]> {
    const start = context.length - 1;
    const state = this.#reserve(start + 1, context);
    const steps = this.cache.steps(this.#stops.length, this.#suppressed.length);
    const recorded = await steps.step();
    this.assertUsable();
    const count = steps.pace.stepsOf(Math.min(max, state.recentStates, state.sizes.capacity - start));
    if (this.#stateLength !== start) state.setLength(0, start);
    this.#stateLength = start + count;
    state.tokens.write([context.at(-1) as number]);
    const ranker = this.#ranker(steps, 1);
    for (let slot = 0; slot < count; slot++) recorded.run(ranker.scalars(slot, request.forbidsStops));
    const logits = request.logits ? recorded.result : null;
    return steps.pace.time(count, (inline) => ranker.read(count, 1, logits, inline));
  }

  /** Reads `tokens` and returns the ranking after the last one, or after each of them. */
  async #extend(
    tokens: readonly number[],
    reading: ReadOptions,
    request: StepRequest,
    context: readonly number[] = [],
  ): Promise<Ranking[]> {
    const { model } = this.cache;
    const end = reading.start + tokens.length;
    const state = this.#reserve(end, context);
    const steps = this.cache.steps(this.#stops.length, this.#suppressed.length);
    const result = (await this.#read(state, tokens, reading)) as Tensor;
    if (this.cache.isDisposed) result.dispose();
    this.assertUsable();
    this.#stateLength = end;
    const count = result.shape[0] as number;
    const ranker = this.#ranker(steps, count);
    ranker.rank(result, steps.bestTokens(count), request.forbidsStops);
    const ranked = ranker.read(1, count, request.logits ? result : null);
    result.dispose(); // queued commands finish first
    const [all] = await ranked;
    return Array.from({ length: count }, (_, i) => (all as Ranking).row(i, model.vocabSize));
  }

  /** Reads `tokens` into the state, after its first `start` tokens. */
  #read(state: DecoderState, tokens: readonly number[], { start, ...options }: ReadOptions) {
    const { drafter } = this;
    const onFeatures = drafter?.observe && ((features: Tensor) => drafter.observe?.(start, features));
    return extendAsync(this.cache.model, state, [tokens], { starts: [start], ...options, onFeatures });
  }

  /** Returns a state that holds `context` and has a capacity of at least `length` tokens. */
  #reserve(length: number, context: readonly number[]): DecoderState {
    const { cache } = this;
    if (length > cache.capacity && context.length > 0) {
      cache.setTokens(context.slice(0, -1));
      this.#stateLength = context.length - 1;
    }
    return cache.reserve(length);
  }

  #ranker(steps: PromptCacheSteps, count: number) {
    const ranker = steps.ranker(count);
    if (this.#preparedRankers.has(ranker)) return ranker;
    ranker.setStops(this.#stops, this.#suppressed);
    ranker.setFinished(new Int32Array(count));
    this.#preparedRankers.add(ranker);
    return ranker;
  }

  /**
   * Ends the generation. `context` has all tokens that were read or chosen. The cache keeps all of them except the
   * last.
   */
  end(context: readonly number[]): void {
    const { cache } = this;
    if (!this.#isFirst) cache.setTokens(context.slice(0, -1));
    this.drafter?.dispose?.();
    cache.release();
    if (this.ownsCache) cache.dispose();
  }
}
