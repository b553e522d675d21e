// The best tokens of each sequence, found on the device, so that generation reads a few words per step instead of all
// logits. Greedy generation takes several steps before it reads anything.

import type { Device } from '../core/device.js';
import { Tensor } from '../core/tensor.js';
import { type BestTokens, takeTokens, topKInto } from '../ops/top-k.js';
import type { Plan, PlannedInput } from './plan.js';
import { beginOf, changesEveryStep } from './processor-list.js';

/** Steps at most that run without a return to JavaScript. */
export const MAX_STEPS_AHEAD = 64;

/** True if every choice needs all logits, not only the best ones and log Σ e^logit. */
export function needsLogits(plan: Plan): boolean {
  const { numBeams, stopTokens, doSample, logitsProcessors, diversityPenalty } = plan;
  const candidates = numBeams > 1 ? candidatesOf(groupSizeOf(plan), stopTokens.size) : 1;
  const isChanged = logitsProcessors.length > 0 || diversityPenalty > 0 || changesEveryStep(plan);
  return doSample || isChanged || candidates > Math.min(plan.maxRanked, plan.vocabulary);
}

/** The numbers of new tokens of an input after which the next choice needs all logits, even if other choices do not. */
export function stepsWithLogits(plan: Plan, { prompt, prefix }: PlannedInput): number[] {
  const steps: number[] = [];
  if (plan.forcedBosTokenId !== null) steps.push(0);
  if (plan.beginSuppressTokens.length > 0) steps.push(beginOf(plan, prompt.length, prefix.length) - prompt.length);
  if (plan.forcedEosTokenId.length > 0) steps.push(plan.maxNewTokens - 1);
  return steps;
}

/** The number of best tokens that are found for each sequence. */
export function rankedOf(plan: Plan): number {
  return plan.numBeams > 1 && !needsLogits(plan) ? candidatesOf(groupSizeOf(plan), plan.stopTokens.size) : 1;
}

/** Beams that are searched together. */
export function groupSizeOf({ numBeams, numBeamGroups }: Plan): number {
  return numBeams / numBeamGroups;
}

/** The number of candidates that fill `beams` beams even if candidates that end are among them. */
export function candidatesOf(beams: number, stops: number): number {
  return beams * (1 + Math.max(1, stops));
}

/** The candidates of a step for the next token of each sequence. */
export class Ranking {
  /** The ranking of a step whose sequences begin at number `first` in `data`. */
  constructor(
    readonly count: number,
    private readonly data: readonly [values: Float32Array, ids: Int32Array, logSums: Float32Array],
    private readonly first: number,
    /** [sequences, vocabulary], if they were requested. */
    readonly logits: Float32Array | null,
    /** The token whose choice the next ranking assumes; null if the next ranking holds for any choice. */
    readonly supposed: number | null = null,
  ) {}

  /** The ranking of `sequence` alone. */
  row(sequence: number, vocabulary: number): Ranking {
    const logits = this.logits?.subarray(sequence * vocabulary, (sequence + 1) * vocabulary) ?? null;
    return new Ranking(this.count, this.data, this.first + sequence, logits);
  }

  /** This ranking, if the next one assumes the choice of a token. */
  supposing(token: number | null): Ranking {
    return new Ranking(this.count, this.data, this.first, this.logits, token);
  }

  /** The token of `sequence` at `rank`, from 0 for the best. */
  token(sequence: number, rank: number): number {
    return this.data[1][(this.first + sequence) * this.count + rank] as number;
  }

  /** The logit of that token; −∞ if there is none. */
  logit(sequence: number, rank: number): number {
    return this.data[0][(this.first + sequence) * this.count + rank] as number;
  }

  /** log Σ e^logit over all tokens of `sequence`. */
  total(sequence: number): number {
    const at = 2 * (this.first + sequence);
    return (this.data[2][at] as number) + (this.data[2][at + 1] as number);
  }
}

/**
 * The memory for the rankings of steps. With `count` 1 steps follow each other: each reads the best tokens of the previous
 * one.
 */
export class Ranker {
  readonly #best: BestTokens;
  readonly #stops: Tensor | null;
  /** Tokens that are never chosen, then the stop tokens, which some steps forbid too. */
  readonly #forbidden: Tensor | null;
  readonly #finished: Tensor;

  constructor(
    private readonly device: Device,
    readonly count: number,
    sequences: number,
    stops: number,
    private readonly suppressed: number,
  ) {
    const slots = this.follows ? MAX_STEPS_AHEAD : 1;
    // A scope frees all of them if memory runs out.
    [this.#best, this.#stops, this.#forbidden, this.#finished] = device.scope(() => [
      {
        values: device.empty([slots, sequences, count]),
        ids: device.empty([slots, sequences, count], 'int32'),
        logSums: device.empty([slots, sequences, 2]),
      },
      stops > 0 ? device.empty([stops], 'int32') : null,
      stops + suppressed > 0 ? device.empty([suppressed + stops], 'int32') : null,
      device.empty([sequences], 'int32'),
    ]);
  }

  /** True if steps follow each other without a return to JavaScript. */
  get follows(): boolean {
    return this.count === 1;
  }

  /** Writes as many tokens of each kind as the constructor was told. */
  setStops(stops: Iterable<number>, suppressed: Iterable<number>): void {
    this.#stops?.write(Int32Array.from(stops));
    this.#forbidden?.write(Int32Array.from([...suppressed, ...stops]));
  }

  setFinished(finished: Int32Array): void {
    const all = new Int32Array(this.#finished.size).fill(1);
    all.set(finished);
    this.#finished.write(all);
  }

  /** Queues, or records, the ranking of `logits`, [sequences, vocabulary]. */
  rank(logits: Tensor, tokens: Tensor, forbids = false): void {
    const slot = this.device.scalar('slot', 0);
    const without = this.device.scalar('without', this.#without(forbids));
    topKInto(logits, this.#best, { slot, forbidden: this.#forbidden, without });
    if (this.follows) takeTokens(this.#best, tokens, this.#finished, { slot, stops: this.#stops });
  }

  /** The scalars of a recorded ranking for the step in `slot`. */
  scalars(slot: number, forbids: boolean): Record<string, number> {
    return { slot, without: this.#without(forbids) };
  }

  #without(forbids: boolean): number {
    return this.suppressed + (forbids && this.#stops ? this.#stops.size : 0);
  }

  /**
   * Runs the queue, on this thread if that is `brief`. Returns the rankings of `steps` steps, each of `sequences`, with the
   * logits of the last step if given.
   */
  async read(steps: number, sequences: number, logits: Tensor | null, brief = false): Promise<Ranking[]> {
    const { values, ids, logSums } = this.#best;
    const tensors: [Tensor, ...Tensor[]] = logits ? [values, ids, logSums, logits] : [values, ids, logSums];
    const read = (await Tensor.dataOf(tensors, brief)) as [Float32Array, Int32Array, Float32Array, Float32Array?];
    const [valuesRead, idsRead, sumsRead, logitsRead = null] = read;
    const data = [valuesRead, idsRead, sumsRead] as const;
    return Array.from({ length: steps }, (_, step) => new Ranking(this.count, data, step * sequences, logitsRead));
  }

  dispose(): void {
    for (const tensor of [...Object.values(this.#best), this.#stops, this.#forbidden, this.#finished])
      tensor?.dispose();
  }
}
