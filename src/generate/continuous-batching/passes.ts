import { ArgumentError } from '../../core/errors.js';
import { orDispose } from '../../core/or-dispose.js';
import { Tensor } from '../../core/tensor.js';
import { yieldToEventLoop } from '../../core/yield-to-event-loop.js';
import type { DecoderState } from '../../nn/decoder-state.js';
import { inference } from '../../nn/module.js';
import { packed } from '../../nn/token-batch.js';
import type { CacheType } from '../../ops/kv-cache.js';
import { type BestTokens, topKInto } from '../../ops/top-k.js';
import type { Generative } from '../generative.js';
import { extendInSlices, type RecordedStep, recordStep } from '../in-slices.js';
import { Ranking } from '../ranking.js';
import { MAX_TOP } from './options.js';
import { sizeFor } from './rows.js';

/** Milliseconds for which the way to another thread and back is not worth it. */
const BRIEF = 2;

/** What a row reads of its prompt, behind the `start` tokens that it has. */
export interface Chunk {
  readonly row: number;
  readonly start: number;
  readonly tokens: readonly number[];
}

/** What a row reads in a step, behind the `length` tokens that it has. */
export interface NextToken {
  readonly row: number;
  readonly token: number;
  readonly length: number;
}

/** What was queued, and where its results will be. */
export interface Pass {
  readonly best: BestTokens;
  readonly logits: Tensor;
  /** Whether the logits are to be disposed of. */
  readonly isOwn: boolean;
}

/** The ranking of row i of a pass, alone, with logits if the pass was run for them. */
export type RankingOf = (i: number, withLogits: boolean) => Ranking;

interface Step {
  readonly state: DecoderState;
  readonly best: BestTokens;
  readonly recorded: RecordedStep;
}

/** How much a state has room for. */
export interface Room {
  readonly rows: number;
  /** Tokens of a row. */
  readonly capacity: number;
}

/** The passes of a model over the rows of one decoder state. */
export class Passes {
  #state: DecoderState;
  #room: Room;
  /** By the rows that they compute for. */
  readonly #steps = new Map<number, Step>();
  readonly #bestOfChunks: BestTokens;
  /** Milliseconds that the latest took. */
  #pace = Number.POSITIVE_INFINITY;

  /** `limit`: the most that `resize` can ask for. */
  constructor(
    private readonly model: Generative,
    room: Room,
    private readonly limit: Room,
    private readonly cache: CacheType | undefined,
  ) {
    if (!model.extend) throw new ArgumentError('ContinuousBatching: the model has no extend(), to read prompts by');
    this.#room = room;
    this.#state = this.#newState(room);
    this.#bestOfChunks = orDispose(this.#state, () => this.#bestOf(limit.rows));
  }

  get room(): Room {
    return this.#room;
  }

  get state(): DecoderState {
    return this.#state;
  }

  #newState({ rows, capacity }: Room): DecoderState {
    const { model, cache, limit } = this;
    const sizes = { sequences: rows, maxLength: capacity, textLength: limit.capacity, cache };
    return model.device.unscoped(() => inference(model, () => model.startDecoding(sizes)));
  }

  /** Makes room for more or fewer rows and tokens; `held` rows keep their tokens. Throws OutOfMemoryError. */
  async resize(room: Room, held: readonly (readonly [row: number, tokens: number])[]): Promise<void> {
    const state = this.#newState(room);
    try {
      for (const [row, tokens] of held) {
        state.copySequence(row, row, tokens, this.#state);
        await yieldToEventLoop();
      }
    } catch (error) {
      state.dispose();
      throw error;
    }
    this.#disposeSteps();
    this.#state.dispose();
    [this.#state, this.#room] = [state, room];
  }

  /** Whether they are too short for the event loop to get to anything meanwhile. */
  get areBrief(): boolean {
    return this.#pace <= BRIEF;
  }

  /** Lets row `to` have the first `length` tokens of row `from`. */
  copy(to: number, from: number, length: number): void {
    this.#state.copySequence(to, from, length);
  }

  /** Lets the rows of each pair have what the other has. */
  exchange(pairs: readonly (readonly [number, number])[]): void {
    const { device } = this.model;
    const { rows, capacity } = this.#room;
    const order = Int32Array.from({ length: rows }, (_, row) => row);
    const lengths = new Int32Array(rows);
    for (const [a, b] of pairs) {
      [order[a], order[b]] = [b, a];
      lengths[a] = lengths[b] = capacity;
    }
    this.#state.lengths.write(lengths);
    device.scope(() => this.#state.reorder(device.tensor(order)));
  }

  /** Queues the reading of parts of prompts; what follows them is found if `finishes`. */
  async read(chunks: readonly Chunk[], finishes: boolean): Promise<Pass | null> {
    const tokens = packed(chunks.map(({ tokens }) => tokens));
    const logits = await extendInSlices(this.model, this.#state, tokens, {
      sequences: chunks.map(({ row }) => row),
      starts: chunks.map(({ start }) => start),
      logits: finishes ? 'last' : 'none',
    });
    if (!logits) return null;
    topKInto(logits, this.#bestOfChunks);
    return { best: this.#bestOfChunks, logits, isOwn: true };
  }

  /**
   * Queues a step of some rows; the pass has all rows up to the last of them. `held`: tokens that other rows hold.
   */
  async step(next: readonly NextToken[], held: readonly (readonly [row: number, tokens: number])[]): Promise<Pass> {
    const { rows, capacity } = this.#room;
    const extent = next.reduce((most, { row }) => Math.max(most, row + 1), 0);
    const { recorded, best } = await this.#stepFor(Math.min(sizeFor(extent), rows));
    const tokens = new Int32Array(rows);
    // A row that does not go on attends to one token, and writes to its next free place, which is read or written later. A
    // full row loses its last token, which `Rows` and caches never take from a full row.
    const positions = new Int32Array(rows).fill(-1);
    for (const [row, count] of held) positions[row] = Math.min(count, capacity - 1) - 1;
    const lengths = new Int32Array(rows);
    for (const { row, token, length } of next) {
      tokens[row] = token;
      positions[row] = length - 1;
      lengths[row] = length;
    }
    this.#state.tokens.write(tokens);
    this.#state.positions.write(positions);
    this.#state.lengths.write(lengths);
    return { best, logits: recorded.run(), isOwn: false };
  }

  /** Runs what is queued: the rankings of each pass, with logits of those that want them. */
  async run(passes: readonly (readonly [pass: Pass, withLogits: boolean])[]): Promise<RankingOf[]> {
    const start = performance.now();
    const tensors = passes.flatMap(([{ best, logits }, withLogits]) => {
      const { values, ids, logSums } = best;
      return withLogits ? [values, ids, logSums, logits] : [values, ids, logSums];
    });
    try {
      const read = tensors.length > 0 ? await Tensor.dataOf(tensors as [Tensor, ...Tensor[]], this.areBrief) : [];
      if (tensors.length === 0) await this.model.device.flush();
      this.#pace = performance.now() - start;
      let at = 0;
      return passes.map(([{ best }, withLogits]) => {
        const [values, ids, sums] = read.slice(at, at + 3) as [Float32Array, Int32Array, Float32Array];
        const logits = withLogits ? (read[at + 3] as Float32Array) : null;
        at += withLogits ? 4 : 3;
        const count = best.values.shape[2] as number;
        const size = this.model.vocabSize;
        return (i, wanted) =>
          new Ranking(
            count,
            [values, ids, sums],
            i,
            wanted && logits ? logits.subarray(i * size, (i + 1) * size) : null,
          );
      });
    } finally {
      for (const [pass] of passes) this.forget(pass);
    }
  }

  /** Gives back what a pass has for itself. */
  forget({ logits, isOwn }: Pass): void {
    if (isOwn) logits.dispose();
  }

  dispose(): void {
    this.#disposeSteps();
    for (const tensor of Object.values(this.#bestOfChunks)) tensor.dispose();
    this.#state.dispose();
  }

  #disposeSteps(): void {
    for (const { state, recorded, best } of this.#steps.values()) {
      recorded.dispose();
      for (const tensor of Object.values(best)) tensor.dispose();
      if (state !== this.#state) state.dispose();
    }
    this.#steps.clear();
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

  async #stepFor(rows: number): Promise<Step> {
    const known = this.#steps.get(rows);
    if (known !== undefined) return known;
    const state = rows === this.#room.rows ? this.#state : this.#state.first(rows);
    const best = this.#bestOf(rows);
    const recorded = await recordStep(this.model, state, (logits) => topKInto(logits, best));
    const step = { state, best, recorded };
    this.#steps.set(rows, step);
    return step;
  }
}
