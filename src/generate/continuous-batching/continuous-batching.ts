// Continuous batching: requests join and leave a running batch between steps (Yu et al. 2022, "Orca").
//
// The rows of one decoder state belong to sequences at different positions. Tokens, positions and lengths are data in
// the heap, written before every step. One recorded step therefore serves any mix of sequences.
//
// The tokens of a sequence do not depend on the other sequences, bit for bit. The results of a row depend on that row
// alone, and every sequence has its own random numbers.

import { checkMethod, checkOptions, checkSignal, withDefaults } from '../../core/check.js';
import { ArgumentError, DisposedError } from '../../core/errors.js';
import { yieldToEventLoop } from '../../core/yield-to-event-loop.js';
import { CACHE_TYPES, maxCacheRows } from '../../ops/kv-cache.js';
import { prepareAsync } from '../async-passes.js';
import type { Generative } from '../generative.js';
import { sharable } from '../pieces.js';
import { reusableLength } from '../prompt-cache.js';
import { BatchedSequence, type HeldRow, type Listener, type SequenceParts } from './batched-sequence.js';
import { Drafts } from './drafts.js';
import { FairQueue } from './fair-queue.js';
import {
  activeAdapters,
  BATCHING_DEFAULTS,
  type BatchedOptions,
  type BatchingOptions,
  LOOKUPS,
  planFor,
} from './options.js';
import { type Pass, Passes, type RankingOf, type StateSize } from './passes.js';
import { PromptChunks } from './prompt-chunks.js';
import {
  type BatchedRequest,
  type BatchedStream,
  type BatchingLoad,
  type JoinedSequences,
  QueueFullError,
} from './requests.js';
import { Rows, sizeFor } from './rows.js';
import { TokenStream } from './token-stream.js';

/** Minimum number of tokens by which the capacity of rows grows (without `reserve`). */
const MIN_GROWTH = 64;
/** Number of rows whose memory is kept while nothing runs (without `reserve`). */
const MAX_IDLE_ROWS = 4;

/**
 * Generates for many requests at once:
 *
 *     const batching = new ContinuousBatching(model, { parallel: 16, context: 2048 });
 *     for await (const { token } of batching.stream(prompt, { maxNewTokens: 64, client: 'ann' })) …
 *
 * The constructor throws ArgumentError for invalid options or a model with an encoder, and OutOfMemoryError.
 */
export class ContinuousBatching {
  readonly parallel: number;
  readonly context: number;
  readonly #model: Generative;
  readonly #maxWaiting: number;
  readonly #limit: StateSize;
  readonly #initial: StateSize;
  readonly #passes: Passes;
  readonly #rows: Rows<BatchedSequence>;
  readonly #prompts: PromptChunks;
  readonly #drafts: Drafts;
  readonly #queue = new FairQueue<BatchedSequence>();
  #running: Promise<void> | null = null;
  #closing = false;
  #disposed = false;
  /** Moving average of the time of a request from arrival to end, in milliseconds. */
  #averageMs = 1000;
  /** `structureVersion` of the model to which the recorded steps and the kept prefixes belong. */
  #structureVersion: number | undefined;
  /** Events for listeners, delivered while the next passes run, because listeners may take long. */
  #pendingEvents: (() => void)[] = [];
  readonly #counts = { cachedTokens: 0, generatedTokens: 0, steps: 0 };

  constructor(model: Generative, options: BatchingOptions = {}) {
    checkMethod('ContinuousBatching', 'model', model, 'startDecoding', 'the result of loadModel');
    checkOptions('ContinuousBatching', options, {
      parallel: 'count',
      context: 'count',
      maxWaiting: 'whole',
      chunk: 'count',
      reserve: 'boolean',
      cacheType: CACHE_TYPES,
      lookup: LOOKUPS,
    });
    const longest = Math.min(model.maxLength, BATCHING_DEFAULTS.context);
    const { parallel, context, maxWaiting, chunk } = withDefaults(options, { ...BATCHING_DEFAULTS, context: longest });
    const { reserve = true, lookup = 'auto' } = options;
    if (model.decoder === null || model.maxSourceLength) {
      const has = model.decoder === null ? 'no decoder' : 'an encoder';
      throw new ArgumentError(
        `ContinuousBatching: the model has ${has}, expected a decoder-only model with extendInParts()`,
      );
    }
    // The last token of an answer is never read, so a sequence can be one token longer than the model's maximum.
    if (context < 2 || context > model.maxLength + 1)
      throw new ArgumentError(
        `ContinuousBatching: context is ${context}, expected from 2 to the model's maxLength + 1, ${model.maxLength + 1}`,
      );
    const max = maxCacheRows(model.device);
    if (parallel > max) throw new ArgumentError(`ContinuousBatching: parallel is ${parallel}, expected at most ${max}`);
    this.#model = model;
    this.#structureVersion = model.structureVersion;
    this.parallel = parallel;
    this.context = context;
    this.#maxWaiting = maxWaiting;
    this.#limit = { rows: parallel, capacity: context - 1 };
    this.#initial = reserve ? this.#limit : { rows: 0, capacity: 0 };
    const shared = (prompt: readonly number[], length: number, promptLength: number) =>
      this.#passes.resumableLength(sharable(this.#model, prompt, length, promptLength));
    this.#rows = new Rows(this.#initial.rows, shared);
    this.#passes = new Passes(model, this.#initial, this.#limit, options.cacheType);
    this.#prompts = new PromptChunks(model, this.#passes, this.#rows, chunk);
    this.#drafts = new Drafts(lookup);
  }

  get load(): BatchingLoad {
    const { used: running } = this.#rows;
    return { running, waiting: this.#queue.size, promptTokens: this.#prompts.tokens, ...this.#counts };
  }

  /** Number of requests that would be accepted now. */
  get room(): number {
    return Math.max(0, this.parallel - this.#rows.used + this.#maxWaiting - this.#queue.size);
  }

  /**
   * Continues a prompt. Yields tokens when they are chosen and returns the result. Leaving the loop or aborting
   * `signal` ends the request. The tokens equal those of `generate` for the prompt alone.
   *
   * The call itself throws ArgumentError for invalid options or a prompt that does not fit, QueueFullError and
   * DisposedError. The iteration throws the errors of `generate`, or the signal's reason.
   */
  stream(prompt: readonly number[], options: BatchedOptions = {}): BatchedStream {
    return this.streamAll([{ prompt, options }])[0] as BatchedStream;
  }

  /** Like `stream`, for several requests that are accepted or refused together. */
  streamAll(requests: readonly BatchedRequest[]): BatchedStream[] {
    for (const { options } of requests) {
      if (options !== undefined) checkOptions('ContinuousBatching.stream', options);
      checkSignal('ContinuousBatching.stream', options?.signal);
      options?.signal?.throwIfAborted();
    }
    this.#assertOpen();
    const plans = requests.map(({ prompt, options = {} }) => planFor(this.#model, prompt, this.context, options));
    if (this.room === 0) {
      const message = `${this.#queue.size} requests are waiting, more are not taken`;
      throw new QueueFullError(message, this.#estimatedWaitSeconds());
    }
    for (const { cache } of plans) cache?.acquire(this.#model);
    return plans.map((parts, i) => {
      const tokens = new TokenStream();
      const sequence = this.#enqueue({ ...parts, listener: tokens, held: null });
      const { signal } = requests[i]?.options ?? {};
      return tokens.read(signal, (reason) => this.#leave(sequence, reason), sequence.left);
    });
  }

  /** @internal Adds sequences whose plans `generate` has made. All are accepted. Throws DisposedError. */
  join(sequences: readonly SequenceParts[]): JoinedSequences {
    this.#assertOpen();
    const joined = sequences.map((parts) => this.#enqueue(parts));
    return {
      leave: (reason) => {
        for (const sequence of joined) this.#leave(sequence, reason);
      },
      left: Promise.all(joined.map(({ left }) => left)),
    };
  }

  #assertOpen(): void {
    if (this.#disposed || this.#closing) throw new DisposedError('ContinuousBatching: it takes no requests any more');
  }

  #enqueue(parts: SequenceParts): BatchedSequence {
    const { adapters = activeAdapters(this.#model), listener } = parts;
    const sequence = new BatchedSequence({ ...parts, adapters, listener: this.#deferred(listener) });
    this.#queue.push(sequence);
    this.#startLoop();
    return sequence;
  }

  /** Wraps a listener: counts its events, and delays them until `#deliverEvents` is called. */
  #deferred(listener: Listener): Listener {
    const since = performance.now();
    return {
      token: (token) => {
        this.#counts.generatedTokens++;
        this.#pendingEvents.push(() => listener.token(token));
      },
      end: (result) => {
        this.#averageMs += (performance.now() - since - this.#averageMs) / 8;
        this.#pendingEvents.push(() => listener.end(result));
      },
      fail: (error) => listener.fail(error),
    };
  }

  /** Resolves when nothing runs, so that the model may be changed. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  /** Resolves when all accepted requests are done. New requests are refused at once. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#running;
  }

  /** Ends all requests with DisposedError and frees the memory at once. The model stays usable. */
  async dispose(): Promise<void> {
    this.#closing = this.#disposed = true;
    const error = new DisposedError('ContinuousBatching: it was disposed of meanwhile');
    for (const sequence of [...this.#queue]) this.#leave(sequence, error);
    for (const [, sequence] of this.#rows.active) sequence.fail(error);
    this.#passes.dispose(); // safe while commands run: only later commands reuse the memory
    await this.#running;
  }

  /** Seconds until a row is free, estimated by the duration of recent requests. */
  #estimatedWaitSeconds(): number {
    return Math.max(1, Math.ceil(this.#averageMs / this.parallel / 1000));
  }

  #leave(sequence: BatchedSequence, reason: unknown): void {
    sequence.fail(reason);
    if (this.#queue.delete(sequence)) sequence.notifyLeft();
  }

  #startLoop(): void {
    this.#running ??= this.#loop().finally(() => {
      this.#running = null;
      if (this.#queue.size > 0 && !this.#disposed) this.#startLoop();
    });
  }

  async #loop(): Promise<void> {
    await null; // requests of one tick start together
    while (!this.#disposed) {
      try {
        await this.#releaseRows();
        await this.#admit();
        if (this.#rows.used === 0) break;
        await this.#iterate();
      } catch (error) {
        await this.#deliverEvents();
        for (const [, sequence] of this.#rows.active) sequence.failWithRow(error);
        this.#rows.clear();
        this.#prompts.discard();
      }
      if (this.#passes.runInline) await yieldToEventLoop(); // longer passes leave this thread free
    }
    await this.#deliverEvents();
    this.#prompts.discard();
    if (this.#disposed) for (const [, sequence] of this.#rows.active) sequence.notifyLeft();
    else if (this.#passes.stateSize.rows > Math.max(MAX_IDLE_ROWS, this.#initial.rows)) await this.#shrink();
  }

  async #shrink(): Promise<void> {
    try {
      await this.#passes.resize(this.#initial, []);
    } catch (error) {
      if (this.#disposed) return;
      throw error;
    }
    this.#rows.reset(this.#initial.rows);
  }

  /**
   * Calls the listeners with the delayed events. The event loop runs between slices, because listeners may take long.
   */
  async #deliverEvents(): Promise<void> {
    for (const deliver of this.#pendingEvents.splice(0)) {
      deliver();
      await yieldToEventLoop();
    }
  }

  /** Frees the rows of finished sequences, and closes the gaps that they leave. */
  async #releaseRows(): Promise<void> {
    this.#dropStaleState();
    for (const [row, sequence] of this.#rows.active) {
      if (sequence.cache?.isDisposed) sequence.fail(new DisposedError('generate: the cache was disposed of meanwhile'));
      if (!sequence.ended) continue;
      await this.#saveToCache(row, sequence);
      this.#drafts.addAnswer(sequence);
      this.#rows.release(row);
      sequence.notifyLeft();
    }
    const exchanges = this.#rows.exchanges();
    if (exchanges.length > 0) this.#passes.exchange(exchanges, new Map(this.#rows.rowLengths));
  }

  /**
   * If parts of the model were changed: forgets prefixes and recorded steps, and ends requests whose adapter is gone.
   */
  #dropStaleState(): void {
    const { structureVersion, adapters } = this.#model;
    if (structureVersion === this.#structureVersion) return;
    this.#structureVersion = structureVersion;
    this.#rows.clear();
    this.#passes.forgetSteps();
    for (const sequence of [...this.#queue, ...this.#rows.active.map(([, active]) => active)]) {
      const missing = sequence.adapters.find((name) => !adapters?.has(name));
      if (missing !== undefined)
        this.#leave(
          sequence,
          new DisposedError(`ContinuousBatching: the adapter ${missing} was disposed of meanwhile`),
        );
    }
  }

  /** Copies a row into the cache of its sequence. */
  async #saveToCache(
    row: number,
    { cache, tokensInRow, isRowInvalid, prompt, sharable }: BatchedSequence,
  ): Promise<void> {
    if (cache === null || isRowInvalid) return;
    await yieldToEventLoop();
    const max = this.#limit.capacity - 1; // see Passes.step
    const { state } = this.#passes;
    const tokens = tokensInRow.slice(0, tokensInRow.length > max ? state.resumableLength(max) : max);
    try {
      // The cache can hold longer texts than the rows of this batch, for which there are no rotary tables yet.
      await prepareAsync(this.#model, cache.textLength(tokens.length));
      if (cache.isDisposed || this.#disposed) return;
      cache.copyFrom(state, row, tokens, prompt.length, sharable);
    } catch {
      // If memory runs out, the cache stays empty and the next prompt is read from its beginning.
    }
  }

  /** Gives free rows to waiting requests. */
  async #admit(): Promise<void> {
    const running = (client: string) => this.#rows.active.filter(([, sequence]) => sequence.client === client).length;
    const isReady = (sequence: BatchedSequence) => sequence.held !== null || !this.#rows.isPrefixBeingRead(sequence);
    while (this.#rows.used < this.parallel) {
      const sequence = this.#queue.shift(running, isReady);
      if (sequence === undefined) return;
      try {
        await this.#placeSequence(sequence);
      } catch (error) {
        sequence.fail(error);
        sequence.notifyLeft();
      }
    }
  }

  /** Gives a row to a sequence. If another row or the sequence's cache holds a common prefix, it is copied. */
  async #placeSequence(sequence: BatchedSequence): Promise<void> {
    const { prompt, cache } = sequence;
    const length = Math.max(prompt.length, sequence.read);
    await this.#ensureSize(this.#rows.used + 1 + this.#queue.size, length, sequence.lengthAfter(MIN_GROWTH));
    if (sequence.ended) return sequence.notifyLeft();
    sequence.notifyPlaced();
    if (sequence.held) return this.#placeHeld(sequence, sequence.held);
    const { row, from, common: fromRow } = this.#rows.choose(sequence);
    const cachedPrefix = cache ? reusableLength(cache.tokens, prompt) : 0;
    const fromCache = cache?.resumableLength(sharable(this.#model, prompt, cachedPrefix, cache.promptLength)) ?? 0;
    if (cache !== null && fromCache > fromRow) {
      cache.copyTo(this.#passes.state, row, fromCache);
      if (fromCache > cache.readCount) sequence.sharable = cache.readCount;
    } else if (from !== row) this.#passes.copy(row, from, fromRow);
    sequence.read = sequence.cachedTokens = Math.max(fromCache, fromRow);
    this.#counts.cachedTokens += sequence.read;
    this.#rows.assign(row, sequence, sequence.read);
    await yieldToEventLoop();
  }

  /** Gives a row to a sequence whose tokens so far are in another decoder state. */
  async #placeHeld(sequence: BatchedSequence, { state, row: from }: HeldRow): Promise<void> {
    const { row } = this.#rows.choose(sequence);
    this.#passes.state.copySequence(row, from, sequence.read, state);
    sequence.releaseHeld();
    // The copied recurrent state has no checkpoints, so other sequences cannot share it.
    if (state.isRecurrent) sequence.sharable = 0;
    this.#rows.assign(row, sequence, Math.min(sequence.read, sequence.prompt.length));
    await yieldToEventLoop();
  }

  /**
   * Makes room for `sequences` further sequences of `length` tokens. If rows must grow, they grow to `growthTo` tokens.
   * Below the limit, a row has one unused token of capacity after its tokens (see Passes.step). Throws
   * OutOfMemoryError.
   */
  async #ensureSize(sequences: number, length: number, growthTo: number): Promise<void> {
    const { rows, capacity } = this.#passes.stateSize;
    const limit = this.#limit;
    const newRows = sequences <= rows ? rows : Math.min(limit.rows, sizeFor(sequences));
    const newCapacity = length < capacity ? capacity : Math.min(limit.capacity, Math.max(growthTo, length + 1));
    if (newRows === rows && newCapacity === capacity) return;
    await this.#passes.resize({ rows: newRows, capacity: newCapacity }, this.#rows.rowLengths);
    this.#rows.grow(newRows);
  }

  /** Reads chunks of some prompts, and one more token of every sequence whose prompt is read. */
  async #iterate(): Promise<void> {
    const generating = this.#rows.active.filter(([, { isGenerating }]) => isGenerating);
    const longest = Math.max(0, ...generating.map(([, { read }]) => read + 1));
    const growth = Math.max(MIN_GROWTH, longest >> 1); // grow by half, because each growth copies all tokens
    await this.#ensureSize(0, longest, Math.max(0, ...generating.map(([, sequence]) => sequence.lengthAfter(growth))));
    const reading = await this.#prompts.take(generating.length);
    const [first] = generating;
    if (first !== undefined && generating.length === 1 && reading === null) return this.#iterateAlone(...first);
    const step = generating.length > 0 ? await this.#step(generating) : null;
    const passesToRank = [
      ...(reading?.pass ? [[reading.pass, reading.finishing] as const] : []),
      ...(step ? [[step, generating] as const] : []),
    ];
    const rankings = await this.#runPasses(
      passesToRank.map(([pass, sequences]) => [pass, sequences.some(([, { wantsLogits }]) => wantsLogits)]),
      generating.length + (reading?.finishing.length ?? 0),
    );
    for (const [, sequence] of generating) sequence.read++;
    if (step) this.#counts.steps++;
    for (const [pass, [, sequences]] of passesToRank.entries())
      for (const [i, sequence] of sequences) {
        await yieldToEventLoop();
        if (!sequence.ended) await sequence.choose((rankings[pass] as RankingOf)(i, sequence.wantsLogits));
      }
  }

  /** Reads the next token of the only sequence, and drafted tokens after it. */
  async #iterateAlone(row: number, sequence: BatchedSequence): Promise<void> {
    const start = performance.now();
    const { next, read, adapters } = sequence;
    const draft = this.#drafts.draftFor(sequence, this.#passes);
    const pass =
      draft.length > 0
        ? await this.#passes.read([{ row, start: read, tokens: [next, ...draft] }], { ranks: 'every', adapters })
        : await this.#step([[row, sequence]]);
    const { wantsLogits } = sequence;
    const [rankingOf] = await this.#runPasses([[pass as Pass, wantsLogits]], 1);
    this.#counts.steps++;
    const firstRank = draft.length > 0 ? 0 : row;
    let accepted = 0;
    for (;;) {
      sequence.read++;
      await yieldToEventLoop();
      if (sequence.ended) break;
      await sequence.choose((rankingOf as RankingOf)(firstRank + accepted, sequence.wantsLogits));
      if (sequence.ended || sequence.next !== draft[accepted]) break;
      accepted++;
      if (sequence.wantsLogits && !wantsLogits) break; // the pass has no logits for this choice
    }
    this.#drafts.recordPass(sequence, draft.length, accepted, performance.now() - start);
  }

  /** Queues a step of sequences in their rows. */
  #step(generating: readonly (readonly [number, BatchedSequence])[]): Promise<Pass> {
    return this.#passes.step(
      generating.map(([row, { next, read, adapterKey }]) => ({ row, token: next, length: read, adapterKey })),
      this.#rows.rowLengths,
    );
  }

  /**
   * Runs passes. Meanwhile it calls listeners and queues the next chunks of prompts, because both can take as long as a
   * step. `generating` is the number of sequences that generate afterwards.
   */
  async #runPasses(passes: Parameters<Passes['run']>[0], generating: number): Promise<RankingOf[]> {
    const run = this.#passes.run(passes);
    run.catch(() => {}); // prevents an unhandled rejection until it is awaited below
    await this.#deliverEvents();
    await this.#prompts.readAhead(generating);
    return await run;
  }
}
