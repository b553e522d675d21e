// The best tokens of each sequence, found where the logits are: generation that chooses by them reads a few words of
// each step, and greedy generation takes several steps before it reads any.

import type { Device } from '../core/device.js';
import { Tensor } from '../core/tensor.js';
import { type BestTokens, takeTokens, topKInto } from '../ops/top-k.js';
import type { Plan, PlannedInput } from './plan.js';
import { beginOf, changesEveryStep } from './processor-list.js';

/** Decoder at most without a way back to JavaScript. */
export const MAX_STEPS_AHEAD = 64;

/** Whether all tokens are chosen by all logits, not by the best and log Σ e^logit alone. */
export function needsLogits(plan: Plan): boolean {
  const { numBeams, stopTokens, doSample, logitsProcessors, diversityPenalty } = plan;
  const candidates = numBeams > 1 ? candidatesOf(groupSizeOf(plan), stopTokens.size) : 1;
  const isChanged = logitsProcessors.length > 0 || diversityPenalty > 0 || changesEveryStep(plan);
  return doSample || isChanged || candidates > Math.min(plan.maxRanked, plan.vocabulary);
}

/** After how many new tokens of an input the next one is chosen by all logits, whether or not the others are. */
export function stepsWithLogits(plan: Plan, { prompt, prefix }: PlannedInput): number[] {
  const steps: number[] = [];
  if (plan.forcedBosTokenId !== null) steps.push(0);
  if (plan.beginSuppressTokens.length > 0) steps.push(beginOf(plan, prompt.length, prefix.length) - prompt.length);
  if (plan.forcedEosTokenId.length > 0) steps.push(plan.maxNewTokens - 1);
  return steps;
}

/** How many of a sequence's best tokens are found. */
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

/** What a step says of the next token of each sequence. */
export class Ranking {
  /** Of the step whose sequences begin at number `first` in `data`. */
  constructor(
    readonly count: number,
    private readonly data: readonly [values: Float32Array, ids: Int32Array, logSums: Float32Array],
    private readonly first: number,
    /** [sequences, vocabulary], if they were asked for. */
    readonly logits: Float32Array | null,
    /** The token that the ranking after this one takes for chosen here; null if that follows whatever is chosen. */
    readonly supposed: number | null = null,
  ) {}

  /** What it says of `sequence` alone. */
  row(sequence: number, vocabulary: number): Ranking {
    const logits = this.logits?.subarray(sequence * vocabulary, (sequence + 1) * vocabulary) ?? null;
    return new Ranking(this.count, this.data, this.first + sequence, logits);
  }

  /** The same, before one that supposes a token. */
  supposing(token: number | null): Ranking {
    return new Ranking(this.count, this.data, this.first, this.logits, token);
  }

  /** The token that is `rank`th best of `sequence`, from 0. */
  token(sequence: number, rank: number): number {
    return this.data[1][(this.first + sequence) * this.count + rank] as number;
  }

  /** Its logit; −∞ if there is none. */
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
 * The memory for rankings of steps. With `count` 1 steps follow each other, each reading the best tokens of the one
 * before.
 */
export class Ranker {
  readonly #best: BestTokens;
  readonly #stops: Tensor | null;
  /** What is never chosen, and after that the stop tokens, which some steps pass over, too. */
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
    // All or, where memory ends, none. There are no scopes outside this one.
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

  /** Whether steps follow each other without a way back to JavaScript. */
  get follows(): boolean {
    return this.count === 1;
  }

  /** As many of each as it was made for. */
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

  /** What a recorded ranking takes for the step in `slot`. */
  scalars(slot: number, forbids: boolean): Record<string, number> {
    return { slot, without: this.#without(forbids) };
  }

  #without(forbids: boolean): number {
    return this.suppressed + (forbids && this.#stops ? this.#stops.size : 0);
  }

  /**
   * Runs what is queued, on this thread if that is `brief`; the rankings of `steps` steps, each of `sequences`, with
   * the logits of the last if given.
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
