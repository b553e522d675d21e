// Requests join and leave a running batch between steps (Yu et al. 2022, "Orca").
//
// The rows of one decoder state belong to sequences at different places: tokens, positions and lengths are data in the
// heap, written before every step. So a step that was recorded once serves whatever runs at the moment.
//
// The tokens of a sequence do not depend on what runs beside it, to the bit: a row's results depend on that row alone, and
// every sequence has its own random numbers.

import { checkOptions, checkSignal } from '../../core/check.js';
import { ArgumentError, DisposedError, SimdformerError } from '../../core/errors.js';
import { orDispose } from '../../core/or-dispose.js';
import type { Program } from '../../core/program.js';
import { Tensor } from '../../core/tensor.js';
import type { DecoderState } from '../../nn/decoder-state.js';
import { inference } from '../../nn/module.js';
import { maxCacheRows } from '../../ops/kv-cache.js';
import { type BestTokens, topKInto } from '../../ops/top-k.js';
import type { Generative } from '../generative.js';
import { giveWay } from '../give-way.js';
import { Ranking } from '../ranking.js';
import { type BatchedResult, BatchedSequence, type BatchedToken, type Listener } from './batched-sequence.js';
import { FairQueue } from './fair-queue.js';
import { type BatchedOptions, type BatchingOptions, MOST_TOP, planFor } from './options.js';
import { Rows, sizeFor } from './rows.js';
import { TokenStream } from './token-stream.js';

/** Milliseconds for which the way to another thread and back is not worth it. */
const BRIEF = 2;

/** Requests that wait are as many as may: try again later. */
export class QueueFullError extends SimdformerError {
  override name = 'QueueFullError';

  constructor(
    message: string,
    /** When a place will probably be free. */
    readonly retryAfterSeconds: number,
  ) {
    super(message);
  }
}

/** What is going on. */
export interface BatchingLoad {
  readonly running: number;
  readonly waiting: number;
  /** Since the beginning: tokens of prompts that were read, that were there already, and tokens that were generated. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
  readonly steps: number;
}

/** A prompt to go on from. */
export interface BatchedRequest {
  readonly prompt: readonly number[];
  readonly options?: BatchedOptions | undefined;
}

/** Tokens as they are chosen; what the iterator returns is why there are no more. */
export type BatchedStream = AsyncGenerator<BatchedToken, BatchedResult, void>;

/** A step for the first rows. */
interface Step {
  readonly state: DecoderState;
  readonly best: BestTokens;
  readonly program: Program<Tensor>;
}

/**
 * Generates for many requests at once:
 *
 *     const batching = new ContinuousBatching(model, { parallel: 16, context: 2048 });
 *     for await (const { token } of batching.stream(prompt, { maxNewTokens: 64, client: 'ann' })) …
 *
 * Throws ArgumentError for options that make no sense or a model with an encoder, OutOfMemoryError.
 */
export class ContinuousBatching {
  readonly parallel: number;
  readonly context: number;
  readonly #model: Generative;
  readonly #maxWaiting: number;
  readonly #state: DecoderState;
  readonly #rows: Rows<BatchedSequence>;
  readonly #queue = new FairQueue<BatchedSequence>();
  readonly #steps = new Map<number, Step>();
  readonly #reorder: Program<Tensor>;
  #running: Promise<void> | null = null;
  #closing = false;
  #disposed = false;
  /** Milliseconds of a step, and of a request from its coming to its end, as of late. */
  #pace = Number.POSITIVE_INFINITY;
  #stay = 1000;
  readonly #counts = { promptTokens: 0, cachedTokens: 0, generatedTokens: 0, steps: 0 };

  constructor(model: Generative, options: BatchingOptions = {}) {
    checkOptions('ContinuousBatching', options, {
      parallel: 'count',
      context: 'count',
      maxWaiting: 'whole',
      chunk: 'count',
    });
    const { parallel = 8, context = Math.min(model.maxLength, 2048), maxWaiting = 64 } = options;
    if (model.decoder === null || model.maxSourceLength) {
      const has = model.decoder === null ? 'no decoder' : 'an encoder';
      throw new ArgumentError(`ContinuousBatching: the model has ${has}, expected one that goes on from prompts`);
    }
    if (context < 2 || context > model.maxLength)
      throw new ArgumentError(
        `ContinuousBatching: context is ${context}, expected from 2 to the model's maxLength, ${model.maxLength}`,
      );
    const most = maxCacheRows(model.device);
    if (parallel > most) throw new ArgumentError(`ContinuousBatching: parallel is ${parallel}, at most ${most}`);
    this.#model = model;
    this.parallel = parallel;
    this.context = context;
    this.#maxWaiting = maxWaiting;
    this.#rows = new Rows(parallel);
    this.#state = inference(model, () => model.startDecoding({ sequences: parallel, maxLength: context }));
    this.#reorder = orDispose(this.#state, () =>
      model.device.record(() => {
        const order = model.device.empty([parallel], 'int32');
        this.#state.reorder(order);
        return order;
      }),
    );
  }

  get load(): BatchingLoad {
    return { running: this.#rows.used, waiting: this.#queue.size, ...this.#counts };
  }

  /** Requests that would be taken now. */
  get room(): number {
    return Math.max(0, this.parallel - this.#rows.used + this.#maxWaiting - this.#queue.size);
  }

  /**
   * Goes on from a prompt: tokens as they are chosen, and at last why there are no more. Leaving the loop, and `signal`,
   * end the request. Tokens are those that `generate` of the prompt alone would give.
   *
   * Throws at once ArgumentError for options that make no sense or a prompt that does not fit, QueueFullError,
   * DisposedError; while it runs what `generate` throws, and the signal's reason.
   */
  stream(prompt: readonly number[], options: BatchedOptions = {}): BatchedStream {
    return this.streamAll([{ prompt, options }])[0] as BatchedStream;
  }

  /** One request of several sequences, which is taken or refused as a whole. */
  streamAll(requests: readonly BatchedRequest[]): BatchedStream[] {
    for (const { options } of requests) {
      checkSignal('ContinuousBatching.stream', options?.signal);
      options?.signal?.throwIfAborted();
    }
    if (this.#disposed || this.#closing) throw new DisposedError('ContinuousBatching: it takes no requests any more');
    const plans = requests.map(({ prompt, options = {} }) => planFor(this.#model, prompt, this.context, options));
    if (this.room === 0) {
      const message = `${this.#queue.size} requests are waiting, more are not taken`;
      throw new QueueFullError(message, this.#waitForPlace());
    }
    return plans.map(({ plan, client, top }, i) => {
      const tokens = new TokenStream();
      const sequence = new BatchedSequence(plan, client, top, this.#listener(tokens));
      this.#queue.push(sequence);
      this.#start();
      return tokens.read(requests[i]?.options?.signal, (reason) => this.#leave(sequence, reason));
    });
  }

  #listener(tokens: TokenStream): Listener {
    const since = performance.now();
    return {
      token: (token) => {
        this.#counts.generatedTokens++;
        tokens.push(token);
      },
      end: (result) => {
        this.#stay += (performance.now() - since - this.#stay) / 8;
        tokens.end(result);
      },
      fail: (error) => tokens.fail(error),
    };
  }

  /** Ends when all that was asked for is done; further requests are refused at once. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#running;
  }

  /** Ends all requests with DisposedError and gives the memory back. The model stays. */
  async dispose(): Promise<void> {
    this.#closing = this.#disposed = true;
    const error = new DisposedError('ContinuousBatching: it was disposed of meanwhile');
    for (const sequence of [...this.#queue, ...this.#rows.active.map(([, each]) => each)]) sequence.fail(error);
    await this.#running;
    for (const { state, program, best } of this.#steps.values()) {
      program.dispose();
      for (const tensor of Object.values(best)) tensor.dispose();
      if (state !== this.#state) state.dispose();
    }
    this.#steps.clear();
    this.#reorder.dispose();
    this.#state.dispose();
  }

  /** Seconds until a place is free, if requests stay as long as the latest ones. */
  #waitForPlace(): number {
    return Math.max(1, Math.ceil(this.#stay / this.parallel / 1000));
  }

  #leave(sequence: BatchedSequence, reason: unknown): void {
    sequence.fail(reason);
    this.#queue.delete(sequence);
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
      if (this.#queue.size > 0 && !this.#disposed) this.#start();
    });
  }

  async #run(): Promise<void> {
    await null; // those that come together begin together
    for (;;) {
      this.#release();
      this.#admit();
      if (this.#rows.used === 0) return;
      try {
        await this.#step();
      } catch (error) {
        for (const [, sequence] of this.#rows.active) sequence.fail(error);
        this.#rows.clear();
      }
      await giveWay();
    }
  }

  /** Frees the rows of sequences that have ended, and closes the gaps that they leave. */
  #release(): void {
    for (const [row, sequence] of this.#rows.active) if (sequence.ended) this.#rows.release(row);
    const exchanges = this.#rows.exchanges();
    if (exchanges.length === 0) return;
    const order = Int32Array.from({ length: this.parallel }, (_, row) => row);
    const lengths = new Int32Array(this.parallel);
    for (const [a, b] of exchanges) {
      [order[a], order[b]] = [b, a];
      lengths[a] = lengths[b] = this.context;
    }
    this.#move(order, lengths);
  }

  /** Gives free rows to requests that wait. */
  #admit(): void {
    const running = (client: string) => this.#rows.active.filter(([, each]) => each.client === client).length;
    for (;;) {
      const sequence = this.#rows.used < this.parallel ? this.#queue.shift(running, () => true) : undefined;
      if (sequence === undefined) return;
      const place = this.#rows.place(sequence.prompt);
      if (place === null) return;
      const { row, from, common } = place;
      if (from !== row && common > 0) {
        const order = Int32Array.from({ length: this.parallel }, (_, each) => (each === row ? from : each));
        this.#move(
          order,
          order.map((_, each) => (each === row ? common : 0)),
        );
      }
      sequence.read = sequence.cachedTokens = common;
      this.#counts.cachedTokens += common;
      this.#rows.take(row, sequence, common);
    }
  }

  /** Lets row r have the first `lengths[r]` tokens of row `order[r]`. */
  #move(order: Int32Array, lengths: Int32Array): void {
    this.#state.lengths.write(lengths);
    this.#reorder.result.write(order);
    this.#reorder.run();
  }

  /** Reads one more token of every sequence. */
  async #step(): Promise<void> {
    const { best, program } = this.#stepFor(sizeFor(this.#rows.extent));
    const { context, parallel } = this;
    // A row that nobody has writes to its last place, which is nobody's, and attends to one token.
    const tokens = new Int32Array(parallel);
    const positions = new Int32Array(parallel).fill(context - 2);
    const lengths = new Int32Array(parallel);
    const { active } = this.#rows;
    for (const [row, sequence] of active) {
      tokens[row] = sequence.next;
      positions[row] = sequence.read - 1;
      lengths[row] = sequence.read;
    }
    this.#state.tokens.write(tokens);
    this.#state.positions.write(positions);
    this.#state.lengths.write(lengths);
    const start = performance.now();
    const logits = program.run();
    const choosing = active.filter(([, sequence]) => sequence.choosesNext);
    const all = choosing.some(([, sequence]) => sequence.wantsLogits) ? logits : null;
    const rankingOf = await this.#read(best, all);
    this.#pace = performance.now() - start;
    this.#counts.steps++;
    for (const [row, sequence] of active) {
      if (sequence.unread > 0) this.#counts.promptTokens++;
      sequence.read++;
      this.#rows.keep(row, Math.min(sequence.read, sequence.prompt.length));
    }
    for (const [row, sequence] of choosing) {
      if (!sequence.ended) sequence.choose(rankingOf(row, sequence.wantsLogits));
    }
  }

  /** Runs what is queued; the ranking of a row, alone. */
  async #read(best: BestTokens, logits: Tensor | null): Promise<(row: number, withLogits: boolean) => Ranking> {
    const { values, ids, logSums } = best;
    const tensors: [Tensor, ...Tensor[]] = logits ? [values, ids, logSums, logits] : [values, ids, logSums];
    const read = await Tensor.dataOf(tensors, this.#pace <= BRIEF);
    const [valuesRead, idsRead, sumsRead, logitsRead] = read as [Float32Array, Int32Array, Float32Array, Float32Array?];
    const count = values.shape[2] as number;
    const size = this.#model.vocabSize;
    return (row, withLogits) => {
      const own = withLogits && logitsRead ? logitsRead.subarray(row * size, (row + 1) * size) : null;
      return new Ranking(count, [valuesRead, idsRead, sumsRead], row, own);
    };
  }

  #stepFor(size: number): Step {
    const rows = Math.min(size, this.parallel);
    const known = this.#steps.get(rows);
    if (known !== undefined) return known;
    const { device } = this.#model;
    const count = Math.min(MOST_TOP, this.#model.vocabSize);
    const state = rows === this.parallel ? this.#state : this.#state.first(rows);
    const best = device.unscoped(() => ({
      values: device.empty([1, rows, count]),
      ids: device.empty([1, rows, count], 'int32'),
      logSums: device.empty([1, rows, 2]),
    }));
    const program = device.record(() => {
      const logits = this.#model.step(state);
      topKInto(logits, best);
      return logits;
    });
    const step = { state, best, program };
    this.#steps.set(rows, step);
    return step;
  }
}
