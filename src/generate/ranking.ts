// Rankings: the best tokens of each sequence. The device finds them, so that generation reads a few words per step
// instead of all logits. Greedy generation runs several steps before it reads any results.

import type { Device } from '../core/device.js';
import { Tensor } from '../core/tensor.js';
import { type BestTokens, takeTokens, topKInto } from '../ops/top-k.js';
import { FloatMemory } from './float-memory.js';
import type { Plan, PlannedInput } from './plan.js';
import { beginOf, changesEveryStep } from './processor-list.js';

/** Maximum number of steps that run before their results are read. */
export const MAX_STEPS_AHEAD = 64;

/** True if every choice needs all logits on the host, not only the best tokens and log Σ e^logit. */
export function needsLogits(plan: Plan): boolean {
  const { numBeams, stopTokens, doSample, logitsProcessors, diversityPenalty } = plan;
  const candidates = numBeams > 1 ? candidatesOf(groupSizeOf(plan), stopTokens.size) : 1;
  const isChanged = logitsProcessors.length > 0 || diversityPenalty > 0 || changesEveryStep(plan);
  return doSample || isChanged || candidates > Math.min(plan.maxRanked, plan.vocabulary);
}

/** Returns the numbers of new tokens after which the next choice needs all logits, even if other choices do not. */
export function stepsWithLogits(plan: Plan, { prompt, prefix }: PlannedInput): number[] {
  const steps: number[] = [];
  if (plan.forcedBosTokenId !== null) steps.push(0);
  if (plan.beginSuppressTokens.length > 0) steps.push(beginOf(plan, prompt.length, prefix.length) - prompt.length);
  if (plan.forcedEosTokenId.length > 0) steps.push(plan.maxNewTokens - 1);
  return steps;
}

/** Returns the number of best tokens that the device finds for each sequence. */
export function rankedCountOf(plan: Plan): number {
  return plan.numBeams > 1 && !needsLogits(plan) ? candidatesOf(groupSizeOf(plan), plan.stopTokens.size) : 1;
}

/** Returns the number of beams in a group. */
export function groupSizeOf({ numBeams, numBeamGroups }: Plan): number {
  return numBeams / numBeamGroups;
}

/** Returns the number of candidates that suffices to fill `beams` beams, even if some candidates are stop tokens. */
export function candidatesOf(beams: number, stops: number): number {
  return beams * (1 + Math.max(1, stops));
}

/** The candidates of a step for the next token of each sequence. */
export class Ranking {
  /**
   * The ranking of a step. `first` is the index in `data` of its first sequence, `count` the number of ranked tokens of
   * each sequence.
   */
  constructor(
    readonly count: number,
    private readonly data: readonly [values: Float32Array, ids: Int32Array, logSums: Float32Array],
    private readonly first: number,
    /** All logits, [sequences, vocabulary], or null if they were not requested. */
    readonly logits: Float32Array | null,
    /** For the scores of a choice. Choices by the rankings of one step come one after the other. */
    private readonly scores: FloatMemory,
    /**
     * The token that must be chosen for the next ranking to be valid; null if the next ranking is valid for any choice.
     */
    readonly assumedChoice: number | null = null,
  ) {}

  /** Returns the ranking of one sequence. */
  row(sequence: number, vocabulary: number): Ranking {
    const logits = this.logits?.subarray(sequence * vocabulary, (sequence + 1) * vocabulary) ?? null;
    return new Ranking(this.count, this.data, this.first + sequence, logits, this.scores);
  }

  /** Returns this ranking with another `assumedChoice`. */
  assuming(token: number | null): Ranking {
    return new Ranking(this.count, this.data, this.first, this.logits, this.scores, token);
  }

  /**
   * Returns memory for the scores of a choice, which the next choice overwrites. Processors of the caller get memory of
   * their own, because they may keep it.
   */
  memoryForScores({ vocabulary, logitsProcessors }: Plan): Float32Array {
    return logitsProcessors.length > 0 ? new Float32Array(vocabulary) : this.scores.take(vocabulary);
  }

  /** Returns the token of a sequence at `rank`; rank 0 is the best. */
  token(sequence: number, rank: number): number {
    return this.data[1][(this.first + sequence) * this.count + rank] as number;
  }

  /** Returns the logit of the token at `rank`; −∞ if there is no such token. */
  logit(sequence: number, rank: number): number {
    return this.data[0][(this.first + sequence) * this.count + rank] as number;
  }

  /** Returns log Σ e^logit over all tokens of a sequence. */
  total(sequence: number): number {
    const index = 2 * (this.first + sequence);
    return (this.data[2][index] as number) + (this.data[2][index + 1] as number);
  }
}

/**
 * Owns the memory for the rankings of steps. With `count` 1, steps can run one after the other, and each reads the best
 * tokens of the previous one.
 */
export class Ranker {
  readonly #best: BestTokens;
  readonly #stops: Tensor | null;
  /** The suppressed tokens, followed by the stop tokens, which some steps also forbid. */
  readonly #forbidden: Tensor | null;
  readonly #finished: Tensor;
  readonly #logits = new FloatMemory();
  readonly #scores = new FloatMemory();

  constructor(
    private readonly device: Device,
    readonly count: number,
    sequences: number,
    stops: number,
    private readonly suppressed: number,
  ) {
    const slots = this.runsAhead ? MAX_STEPS_AHEAD : 1;
    // If memory runs out, the scope frees the tensors made before.
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

  /** True if several steps can run before their results are read. */
  get runsAhead(): boolean {
    return this.count === 1;
  }

  /** Writes the stop tokens and suppressed tokens. Their numbers must be those given to the constructor. */
  setStops(stops: Iterable<number>, suppressed: Iterable<number>): void {
    this.#stops?.write(Int32Array.from(stops));
    this.#forbidden?.write(Int32Array.from([...suppressed, ...stops]));
  }

  setFinished(finished: Int32Array): void {
    const all = new Int32Array(this.#finished.size).fill(1);
    all.set(finished);
    this.#finished.write(all);
  }

  /**
   * Queues or records the ranking of `logits`, [sequences, vocabulary]. With `count` 1, the best tokens are also
   * written to `tokens`. `forbidsStops` excludes stop tokens.
   */
  rank(logits: Tensor, tokens: Tensor, forbidsStops = false): void {
    const slot = this.device.scalar('slot', 0);
    const forbiddenCount = this.device.scalar('forbiddenCount', this.#countForbidden(forbidsStops));
    topKInto(logits, this.#best, { slot, forbidden: this.#forbidden, forbiddenCount });
    if (this.runsAhead) takeTokens(this.#best, tokens, this.#finished, { slot, stops: this.#stops });
  }

  /** Returns the scalars of a recorded ranking, for the step whose results go to `slot`. */
  scalars(slot: number, forbidsStops: boolean): Record<string, number> {
    return { slot, forbiddenCount: this.#countForbidden(forbidsStops) };
  }

  #countForbidden(forbidsStops: boolean): number {
    return this.suppressed + (forbidsStops && this.#stops ? this.#stops.size : 0);
  }

  /**
   * Runs the queue, on this thread if `inline`. Returns the rankings of `steps` steps of `sequences` sequences each.
   * `logits` are those of the last step, or null. The next read overwrites them.
   */
  async read(steps: number, sequences: number, logits: Tensor | null, inline = false): Promise<Ranking[]> {
    const { values, ids, logSums } = this.#best;
    const tensors: [Tensor, ...Tensor[]] = logits ? [values, ids, logSums, logits] : [values, ids, logSums];
    const buffers = logits ? [undefined, undefined, undefined, this.#logits.take(logits.size)] : [];
    const read = (await Tensor.dataOf(tensors, inline, buffers)) as [
      Float32Array,
      Int32Array,
      Float32Array,
      Float32Array?,
    ];
    const [valuesRead, idsRead, sumsRead, logitsRead = null] = read;
    const data = [valuesRead, idsRead, sumsRead] as const;
    return Array.from(
      { length: steps },
      (_, step) => new Ranking(this.count, data, step * sequences, logitsRead, this.#scores),
    );
  }

  dispose(): void {
    for (const tensor of [...Object.values(this.#best), this.#stops, this.#forbidden, this.#finished])
      tensor?.dispose();
  }
}
