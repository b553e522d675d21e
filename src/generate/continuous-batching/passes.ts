import { ArgumentError, DisposedError } from '../../core/errors.js';
import { orDispose } from '../../core/or-dispose.js';
import { Tensor } from '../../core/tensor.js';
import { yieldToEventLoop } from '../../core/yield-to-event-loop.js';
import type { DecoderState } from '../../nn/decoder-state.js';
import { inference } from '../../nn/module.js';
import type { RowAdapters } from '../../nn/row-adapters.js';
import { packed } from '../../nn/token-batch.js';
import type { CacheType } from '../../ops/kv-cache.js';
import { type BestTokens, topKInto } from '../../ops/top-k.js';
import { extendAsync, prepareAsync, type RecordedStep, recordStep } from '../async-passes.js';
import { FloatMemory } from '../float-memory.js';
import type { Generative } from '../generative.js';
import { Ranking } from '../ranking.js';
import { MAX_DRAFT_TOKENS } from '../speculative.js';
import { MAX_TOP } from './options.js';
import { sizeFor } from './rows.js';

/** Maximum number of recorded steps, because there are many mixtures of adapters. */
const MAX_STEPS = 64;

/** Passes up to this many milliseconds run on this thread, because a round trip to another thread costs more. */
const MAX_INLINE_MS = 2;

/** A chunk of a prompt for a row that holds `start` tokens. */
export interface Chunk {
  readonly row: number;
  readonly start: number;
  readonly tokens: readonly number[];
}

/** The next token of a row that holds `length` tokens. */
export interface NextToken {
  readonly row: number;
  readonly token: number;
  readonly length: number;
  /** Names of the row's adapters, as JSON. */
  readonly adapterKey: string;
}

interface ReadOptions {
  readonly ranks: 'last' | 'every' | 'none';
  readonly adapters: readonly string[];
  readonly promptLength?: number | undefined;
}

/** A queued pass, and the tensors that receive its results. */
export interface Pass {
  readonly best: BestTokens;
  readonly logits: Tensor;
  /** True if the pass owns its logits and disposes of them. */
  readonly ownsLogits: boolean;
}

/** The ranking of row i of a pass, with logits if the pass was run for them. */
export type RankingOf = (i: number, withLogits: boolean) => Ranking;

interface Step {
  readonly state: DecoderState;
  readonly best: BestTokens;
  readonly recorded: RecordedStep;
  /** The adapters of the rows. */
  readonly adapters: RowAdapters;
}

/** Capacity of a state. */
export interface StateSize {
  readonly rows: number;
  /** Tokens per row. */
  readonly capacity: number;
}

/** Passes of a model over the rows of one decoder state. */
export class Passes {
  /** Null while there is room for no row. */
  #state: DecoderState | null;
  #stateSize: StateSize;
  /** Recorded steps by the number of rows that they compute, and the adapters. The latest one is the last. */
  readonly #steps = new Map<string, Step>();
  readonly #bestOfChunks: BestTokens;
  /** Milliseconds of the latest pass. */
  #latestMs = Number.POSITIVE_INFINITY;
  readonly #logits = new FloatMemory();
  readonly #scores = new FloatMemory();
  #isDisposed = false;

  /** `limit` is the largest size that `resize` accepts. */
  constructor(
    private readonly model: Generative,
    stateSize: StateSize,
    private readonly limit: StateSize,
    private readonly cacheType: CacheType | undefined,
  ) {
    if (!model.extendInParts)
      throw new ArgumentError('ContinuousBatching: the model has no extendInParts(), to read prompts by');
    this.#stateSize = stateSize;
    const state = this.#newState(stateSize);
    this.#state = state;
    const ranked = Math.max(limit.rows, MAX_DRAFT_TOKENS + 1);
    this.#bestOfChunks = state ? orDispose(state, () => this.#bestOf(ranked)) : this.#bestOf(ranked);
  }

  get stateSize(): StateSize {
    return this.#stateSize;
  }

  /** Like `DecoderState.resumableLength`, or 0 while there is no state. */
  resumableLength(length: number): number {
    return this.#state?.resumableLength(length) ?? 0;
  }

  /** The decoder state. Its rows must exist (`room.rows` above 0). */
  get state(): DecoderState {
    return this.#state as DecoderState;
  }

  #newState({ rows, capacity }: StateSize): DecoderState | null {
    if (rows === 0) return null;
    const { model, cacheType } = this;
    const sizes = { sequences: rows, maxLength: capacity, textLength: this.#textLength(capacity), cacheType };
    return model.device.unscoped(() => inference(model, () => model.startDecoding(sizes)));
  }

  /**
   * Text length that selects the rotary frequencies. Models that reread long texts (longrope) need the same one at all
   * times.
   */
  #textLength(capacity: number): number {
    return this.model.rereadLength ? this.limit.capacity : capacity;
  }

  /**
   * Changes the number of rows and tokens. `rowLengths`: the rows that keep tokens, and how many. Throws
   * OutOfMemoryError.
   */
  async resize(stateSize: StateSize, rowLengths: readonly (readonly [row: number, tokens: number])[]): Promise<void> {
    await prepareAsync(this.model, this.#textLength(stateSize.capacity));
    this.#assertUsable();
    const state = this.#newState(stateSize);
    try {
      for (const [row, tokens] of rowLengths) {
        state?.copySequence(row, row, tokens, this.state);
        await yieldToEventLoop();
      }
      this.#assertUsable();
    } catch (error) {
      state?.dispose();
      throw error;
    }
    this.forgetSteps();
    this.#state?.dispose();
    [this.#state, this.#stateSize] = [state, stateSize];
  }

  /** True if passes run on this thread, so that the event loop cannot run meanwhile. */
  get runInline(): boolean {
    return this.#latestMs <= MAX_INLINE_MS;
  }

  /** Copies the first `length` tokens of row `from` to row `to`. */
  copy(to: number, from: number, length: number): void {
    this.state.copySequence(to, from, length);
  }

  /** Swaps the contents of the two rows of each pair. `rowLengths`: tokens in each row afterwards. */
  exchange(pairs: readonly (readonly [number, number])[], rowLengths: ReadonlyMap<number, number>): void {
    const { device } = this.model;
    const { rows } = this.#stateSize;
    const order = Int32Array.from({ length: rows }, (_, row) => row);
    const lengths = new Int32Array(rows);
    for (const [a, b] of pairs) {
      [order[a], order[b]] = [b, a];
      for (const row of [a, b]) lengths[row] = rowLengths.get(row) ?? 0;
    }
    this.state.lengths.write(lengths);
    device.scope(() => this.state.reorder(device.tensor(order)));
  }

  /**
   * Queues a pass that reads chunks. It ranks the token after the last or after every token of each chunk, or returns
   * null for 'none'. All chunks have the same adapters. `promptLength`: see `ExtendOptions`.
   */
  async read(chunks: readonly Chunk[], { ranks, adapters, promptLength }: ReadOptions): Promise<Pass | null> {
    const tokens = packed(chunks.map(({ tokens }) => tokens));
    const options = {
      sequences: chunks.map(({ row }) => row),
      starts: chunks.map(({ start }) => start),
      logits: ranks,
      promptLength,
    } as const;
    const choice = { choices: [adapters], indices: null };
    const logits = await extendAsync(this.model, this.state, tokens, options, choice);
    if (!logits) return null;
    orDispose(logits, () => this.#assertUsable());
    topKInto(logits, this.#bestOfChunks);
    return { best: this.#bestOfChunks, logits, ownsLogits: true };
  }

  /**
   * Queues a step of the rows in `next`. The pass computes all rows up to the last of them. `rowLengths`: tokens
   * in each row that holds any.
   */
  async step(
    next: readonly NextToken[],
    rowLengths: readonly (readonly [row: number, tokens: number])[],
  ): Promise<Pass> {
    const { rows, capacity } = this.#stateSize;
    const extent = next.reduce((max, { row }) => Math.max(max, row + 1), 0);
    const size = Math.min(sizeFor(extent), rows);
    const keys = next.map(({ adapterKey }) => adapterKey);
    const choices = [...new Set(keys)].sort();
    const { recorded, best, adapters } = await this.#stepFor(size, choices);
    const indices = Int32Array.from({ length: size }, (_, row) => row);
    for (const [i, { row }] of next.entries()) indices[row] = choices.indexOf(keys[i] as string) * size + row;
    adapters.indices?.write(indices);
    const tokens = new Int32Array(rows);
    // A row that is not in `next` computes, too. It writes its token after the row's own ones, where it will be
    // overwritten. In a full row it overwrites the last token, which `Rows` and caches never use.
    const positions = new Int32Array(rows).fill(-1);
    for (const [row, count] of rowLengths) positions[row] = Math.min(count, capacity - 1) - 1;
    const lengths = new Int32Array(rows);
    for (const { row, token, length } of next) {
      tokens[row] = token;
      positions[row] = length - 1;
      lengths[row] = length;
    }
    this.state.tokens.write(tokens);
    this.state.positions.write(positions);
    this.state.lengths.write(lengths);
    return { best, logits: recorded.run(), ownsLogits: false };
  }

  /**
   * Runs the queued passes and returns their rankings, with logits for passes that request them. The next run
   * overwrites logits.
   */
  async run(passes: readonly (readonly [pass: Pass, withLogits: boolean])[]): Promise<RankingOf[]> {
    const start = performance.now();
    const tensors = passes.flatMap(([{ best, logits }, withLogits]) => {
      const { values, ids, logSums } = best;
      return withLogits ? [values, ids, logSums, logits] : [values, ids, logSums];
    });
    const buffers = this.#memoryFor(passes);
    try {
      const read =
        tensors.length > 0 ? await Tensor.dataOf(tensors as [Tensor, ...Tensor[]], this.runInline, buffers) : [];
      if (tensors.length === 0) await this.model.device.flush();
      this.#latestMs = performance.now() - start;
      let index = 0;
      return passes.map(([{ best }, withLogits]) => {
        const [values, ids, sums] = read.slice(index, index + 3) as [Float32Array, Int32Array, Float32Array];
        const logits = withLogits ? (read[index + 3] as Float32Array) : null;
        index += withLogits ? 4 : 3;
        const count = best.values.shape[2] as number;
        const size = this.model.vocabSize;
        return (i, wanted) =>
          new Ranking(
            count,
            [values, ids, sums],
            i,
            wanted && logits ? logits.subarray(i * size, (i + 1) * size) : null,
            this.#scores,
          );
      });
    } finally {
      for (const [pass] of passes) this.release(pass);
    }
  }

  /**
   * Returns memory for the logits of passes, at the indices that they have among all results. The next run reuses it.
   */
  #memoryFor(passes: Parameters<Passes['run']>[0]): (Float32Array | undefined)[] {
    const wanted = passes.map(([{ logits }, withLogits]) => (withLogits ? logits.size : 0));
    const all = this.#logits.take(wanted.reduce((sum, size) => sum + size, 0));
    let end = 0;
    return wanted.flatMap((size) => {
      end += size;
      const results = [undefined, undefined, undefined];
      return size > 0 ? [...results, all.subarray(end - size, end)] : results;
    });
  }

  /** Frees the memory that a pass owns. */
  release({ logits, ownsLogits }: Pass): void {
    if (ownsLogits) logits.dispose();
  }

  /** Frees the memory. Unfinished reads and recordings fail with DisposedError at their next slice. */
  dispose(): void {
    this.#isDisposed = true;
    this.forgetSteps();
    for (const tensor of Object.values(this.#bestOfChunks)) tensor.dispose();
    this.#state?.dispose();
  }

  #assertUsable(): void {
    if (this.#isDisposed) throw new DisposedError('ContinuousBatching: it was disposed of meanwhile');
  }

  /** Forgets recorded steps, except the latest `kept`. */
  forgetSteps(kept = 0): void {
    for (const [key, { state, recorded, best, adapters }] of [...this.#steps].slice(
      0,
      Math.max(0, this.#steps.size - kept),
    )) {
      recorded.dispose();
      adapters.indices?.dispose();
      for (const tensor of Object.values(best)) tensor.dispose();
      if (state !== this.#state) state.dispose();
      this.#steps.delete(key);
    }
  }

  #bestOf(rows: number): BestTokens {
    const { device, vocabSize } = this.model;
    const count = Math.min(MAX_TOP, vocabSize);
    return device.unscoped(() => ({
      values: device.empty([1, rows, count]),
      ids: device.empty([1, rows, count], 'int32'),
      logSums: device.empty([1, rows, 2]),
    }));
  }

  /** `choices`: the lists of adapters that rows have, as JSON. */
  async #stepFor(rows: number, choices: readonly string[]): Promise<Step> {
    const key = `${rows} ${choices}`;
    const known = this.#steps.get(key);
    this.#steps.delete(key);
    if (known !== undefined) {
      this.#steps.set(key, known);
      return known;
    }
    this.forgetSteps(MAX_STEPS - 1);
    const state = rows === this.#stateSize.rows ? this.state : this.state.firstSources(rows);
    const best = this.#bestOf(rows);
    const { device } = this.model;
    const indices = choices.length > 1 ? device.unscoped(() => device.zeros([rows], 'int32')) : null;
    const adapters = { choices: choices.map((adapterKey) => JSON.parse(adapterKey) as string[]), indices };
    try {
      const recorded = await recordStep(this.model, state, (logits) => topKInto(logits, best), adapters);
      const step = { state, best, recorded, adapters };
      orDispose(recorded, () => this.#assertUsable());
      this.#steps.set(key, step);
      return step;
    } catch (error) {
      indices?.dispose();
      for (const tensor of Object.values(best)) tensor.dispose();
      if (state !== this.#state) state.dispose();
      throw error;
    }
  }
}
