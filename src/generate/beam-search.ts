import { argmax } from '../core/argmax.js';
import { Random } from '../core/random.js';
import type { FinishReason, TokenEvent } from './generate-options.js';
import type { ScoreProcessor } from './logits-processor.js';
import type { Hypothesis, Plan, PlannedInput } from './plan.js';
import { processInParts, processorsOf } from './processor-list.js';
import { candidatesOf, groupSizeOf, needsLogits, type Ranking, stepsWithLogits } from './ranking.js';
import { checkedLogSumExp, gumbel, isAnyAllowed, logitsOf, noTokenAllowedError, type Search } from './search.js';

/** An unfinished hypothesis. */
interface Beam {
  /** Index of its sequence within the group. */
  readonly slot: number;
  /** The tokens that the decoder has read, including the start token or the prompt. */
  readonly read: readonly number[];
  readonly tokens: readonly number[];
  readonly logProbabilities: readonly number[];
  /** Sum of the log-probabilities after all processors. */
  readonly sum: number;
}

/** A move between sequences of a group: a beam that was in sequence `from` continues in sequence `to`. */
interface Move {
  readonly from: number;
  readonly to: number;
  readonly token: number;
}

/** A token that may follow a beam. */
interface Candidate {
  readonly beam: number;
  readonly token: number;
  readonly sum: number;
  readonly logProbability: number;
}

/**
 * Beam search keeps the best unfinished hypotheses of each input. A candidate that ends is finished if it ranks among
 * the first numBeams. The other candidates become the next beams. As in Hugging Face, the score of a hypothesis is
 *
 *     sum of log-probabilities / length^lengthPenalty
 *
 * The length includes the end token, but not the start token or the prompt.
 *
 * With `doSample`, candidates are drawn without replacement, each with probability ∝ exp(sum). The drawn ones have the
 * greatest sums after Gumbel noise was added (Kool et al. 2019, arXiv 1903.06059).
 *
 * With `numBeamGroups`, the beams of an input form groups (diverse beam search, Vijayakumar et al. 2018). Each group is
 * searched separately, with a penalty for tokens that earlier groups chose at the same step.
 */
export class BeamSearch implements Search {
  tokens: Int32Array;
  #order: Int32Array;
  readonly #all: readonly InputBeams[];
  #batch: readonly InputBeams[];

  constructor(private readonly plan: Plan) {
    this.#all = plan.inputs.map((input) => new InputBeams(plan, input));
    this.#batch = this.#all;
    this.tokens = Int32Array.from(this.contexts, (read) => read.at(-1) as number);
    this.#order = Int32Array.from(this.tokens.keys());
  }

  get open(): number {
    return this.#batch.filter(({ done }) => !done).length;
  }

  get done(): boolean {
    return this.#batch.every(({ done }) => done);
  }

  get finished(): Int32Array {
    return Int32Array.from(this.tokens, (_, sequence) => Number(this.#isDone(sequence)));
  }

  get order(): Int32Array | null {
    return this.#order.some((from, to) => from !== to) ? this.#order : null;
  }

  get contexts(): readonly (readonly number[])[] {
    return this.#batch.flatMap(({ contexts }) => contexts);
  }

  *choose(ranking: Ranking): Generator<undefined, TokenEvent[]> {
    const { numBeams } = this.plan;
    for (const [i, input] of this.#batch.entries()) {
      const first = i * numBeams;
      for (let sequence = first; sequence < first + numBeams; sequence++) {
        this.#order[sequence] = sequence;
        this.tokens[sequence] = 0;
      }
      for (const { from, to, token } of yield* input.advance(ranking, first)) {
        this.#order[first + to] = first + from;
        this.tokens[first + to] = token;
      }
    }
    return [];
  }

  compact(): void {
    const isOpen = (_: number, sequence: number) => !this.#isDone(sequence);
    this.#order = this.#order.filter(isOpen);
    this.tokens = this.tokens.filter(isOpen);
    this.#batch = this.#batch.filter(({ done }) => !done);
  }

  hypotheses(): Hypothesis[][] {
    return this.#all.map((input) => input.finished.slice(0, this.plan.numReturnSequences));
  }

  /** True if the search is complete for the input of this sequence of the batch. */
  #isDone(sequence: number): boolean {
    return (this.#batch[Math.floor(sequence / this.plan.numBeams)] as InputBeams).done;
  }
}

/** Number of tokens that are compared before a pause. */
const TOKENS_PER_SLICE = 1 << 15;

/** The beams of one input, in one or more groups of equal size. */
class InputBeams {
  readonly #groups: readonly BeamGroup[];
  readonly #size: number;

  constructor(plan: Plan, input: PlannedInput) {
    this.#size = groupSizeOf(plan);
    this.#groups = Array.from({ length: plan.numBeamGroups }, () => new BeamGroup(plan, input));
  }

  get done(): boolean {
    return this.#groups.every(({ done }) => done);
  }

  /** The finished hypotheses of all groups, best first. */
  get finished(): Hypothesis[] {
    return this.#groups.flatMap(({ finished }) => finished).sort((a, b) => b.score - a.score);
  }

  /** The tokens that each sequence has read. */
  get contexts(): readonly (readonly number[])[] {
    return this.#groups.flatMap(({ beams }) =>
      Array.from(
        { length: this.#size },
        (_, slot) => (beams.find((beam) => beam.slot === slot) ?? beams[0])?.read ?? [0],
      ),
    );
  }

  /**
   * Adds one token to every beam and returns the moves. `first` is the index of the input's first sequence in the
   * batch.
   */
  *advance(ranking: Ranking, first: number): Generator<undefined, Move[]> {
    const all: Move[] = [];
    for (const [g, group] of this.#groups.entries()) {
      if (group.done) continue;
      const offset = g * this.#size;
      const chosen = all.map(({ token }) => token);
      const moves = yield* group.advance(ranking, first + offset, chosen);
      all.push(...moves.map(({ from, to, token }) => ({ from: from + offset, to: to + offset, token })));
    }
    return all;
  }
}

/** Beams of one input that are searched together. */
class BeamGroup {
  /** Finished sequences, best first; at most as many as beams. */
  readonly finished: Hypothesis[] = [];
  done = false;
  /** Best first. */
  beams: readonly Beam[];
  readonly #size: number;
  readonly #processors: readonly ScoreProcessor[];
  /** Numbers of new tokens after which all logits are needed, even if other steps do not need them. */
  readonly #steps: readonly number[];
  /** Random numbers of the input, or null if no candidates are drawn. */
  readonly #random: Random | null;

  constructor(
    private readonly plan: Plan,
    private readonly input: PlannedInput,
  ) {
    this.#size = groupSizeOf(plan);
    this.#processors = processorsOf(plan, input);
    this.#steps = stepsWithLogits(plan, input);
    this.#random = plan.doSample ? new Random(plan.seed, input.index) : null;
    this.beams = [{ slot: 0, read: input.prompt, tokens: [], logProbabilities: [], sum: 0 }];
  }

  /**
   * Adds one token to every beam and returns the moves. `first` is the index of the group's first sequence in the
   * batch. `chosen` has the tokens that earlier groups chose at this step.
   */
  *advance(ranking: Ranking, first: number, chosen: readonly number[]): Generator<undefined, Move[]> {
    const { stopTokens, maxNewTokens } = this.plan;
    const length = (this.beams[0] as Beam).tokens.length + 1;
    const kept: Candidate[] = [];
    const next: Beam[] = [];
    const candidates = yield* this.#candidates(ranking, first, chosen);
    for (const [rank, candidate] of candidates.entries()) {
      const extended = this.#extend(candidate);
      const ends = stopTokens.has(candidate.token) && length > this.input.prefix.length;
      if (ends || (length >= this.input.prefix.length && this.plan.stop?.(extended.tokens))) {
        const tokens = ends ? extended.tokens.slice(0, -1) : extended.tokens;
        if (rank < this.#size) this.#finish({ ...extended, tokens }, 'stop', ends ? candidate.token : null);
      } else {
        kept.push(candidate);
        next.push(extended);
      }
      if (kept.length === this.#size) break;
    }
    const from = next.map(({ slot }) => slot);
    const to = slotsFor(from, this.#size);
    this.beams = next.map((beam, i) => ({ ...beam, slot: to[i] as number }));
    if (next.length > 0 && length >= maxNewTokens) for (const beam of next) this.#finish(beam, 'length');
    this.done = next.length === 0 || length >= maxNewTokens || this.#cannotImprove(length);
    return kept.map(({ token }, i) => ({ from: from[i] as number, to: to[i] as number, token }));
  }

  /**
   * Returns the best candidates, best first. There are enough to fill the beams even if some candidates end. With
   * `doSample`, the same number of different candidates is drawn by probability. A beam without candidates is dropped.
   * If no beam is left, the search ends; it throws if no hypothesis is finished.
   */
  *#candidates(ranking: Ranking, first: number, chosen: readonly number[]): Generator<undefined, Candidate[]> {
    const best = new BestCandidates(candidatesOf(this.#size, this.plan.stopTokens.size));
    const { length } = (this.beams[0] as Beam).tokens;
    const forced = this.input.prefix[length];
    const byLogits = forced !== undefined || needsLogits(this.plan) || this.#steps.includes(length);
    for (let beam = 0; beam < this.beams.length; beam++) {
      const sequence = first + (this.beams[beam] as Beam).slot;
      const total = checkedLogSumExp(ranking, sequence, this.input.index);
      // Logits may be present because another input needs them. They must not change the rounding of this input.
      if (!byLogits) this.#addRanked(best, beam, ranking, sequence, total);
      else yield* this.#addByLogits(best, beam, ranking.row(sequence, this.plan.vocabulary), total, { chosen, forced });
    }
    if (best.list.length === 0 && this.finished.length === 0) throw noTokenAllowedError(this.input.index);
    return this.#random === null ? best.list : [...best.list].sort((a, b) => b.sum - a.sum);
  }

  #addRanked(best: BestCandidates, beam: number, ranking: Ranking, sequence: number, total: number): void {
    const { sum } = this.beams[beam] as Beam;
    for (let rank = 0; rank < ranking.count; rank++) {
      const logProbability = ranking.logit(sequence, rank) - total;
      const candidate = sum + logProbability;
      if (!(candidate > best.threshold)) return; // the next ones are no better
      best.add({ beam, token: ranking.token(sequence, rank), sum: candidate, logProbability }, candidate);
    }
  }

  *#addByLogits(
    best: BestCandidates,
    beam: number,
    ranking: Ranking,
    total: number,
    { chosen, forced }: { readonly chosen: readonly number[]; readonly forced: number | undefined },
  ): Generator<undefined, void> {
    const { read, sum } = this.beams[beam] as Beam;
    const logits = logitsOf(ranking, 0, this.plan);
    if (forced !== undefined) {
      const logProbability = (logits[forced] as number) - total;
      best.add({ beam, token: forced, sum: sum + logProbability, logProbability }, sum + logProbability);
      return;
    }
    const isChanged = this.#processors.length > 0 || chosen.length > 0;
    const scores = isChanged ? ranking.memoryForScores(this.plan) : logits;
    if (scores !== logits)
      for (let token = 0; token < logits.length; token++) scores[token] = (logits[token] as number) - total;
    for (const token of chosen) scores[token] = (scores[token] as number) - this.plan.diversityPenalty;
    yield* processInParts(this.#processors, scores, read);
    if (scores !== logits && !isAnyAllowed(scores, this.input.index)) return;
    const base = scores === logits ? sum - total : sum;
    const greatest = this.#random === null ? 0 : base + (scores[argmax(scores)] as number);
    let rarity = Math.exp(greatest - best.threshold); // probability of noise that makes a candidate one of the best
    for (let token = 0; token < logits.length; token++) {
      if (token % TOKENS_PER_SLICE === 0) yield;
      const candidate = base + (scores[token] as number);
      if (candidate === Number.NEGATIVE_INFINITY) continue;
      const key = this.#random === null ? candidate : candidate + gumbel(this.#random, rarity);
      if (key > best.threshold) {
        best.add({ beam, token, sum: candidate, logProbability: (logits[token] as number) - total }, key);
        rarity = Math.exp(greatest - best.threshold);
      }
    }
  }

  #extend({ beam, token, sum, logProbability }: Candidate): Beam {
    const { slot, read, tokens, logProbabilities } = this.beams[beam] as Beam;
    return {
      slot,
      read: [...read, token],
      tokens: [...tokens, token],
      logProbabilities: [...logProbabilities, logProbability],
      sum,
    };
  }

  #finish({ tokens, logProbabilities, sum }: Beam, reason: FinishReason, stopToken: number | null = null): void {
    const score = sum / logProbabilities.length ** this.plan.lengthPenalty;
    const better = this.finished.findIndex((other) => score > other.score);
    const hypothesis = { tokens, logProbabilities, score, reason, stopToken };
    this.finished.splice(better < 0 ? this.finished.length : better, 0, hypothesis);
    this.finished.splice(this.#size);
  }

  #cannotImprove(length: number): boolean {
    const { earlyStopping, lengthPenalty, maxNewTokens } = this.plan;
    const worst = this.finished[this.#size - 1];
    if (worst === undefined) return false;
    if (earlyStopping === true) return true;
    // The sum can only decrease. With a positive penalty, the score can still increase until the maximum length.
    const reached = earlyStopping === 'never' && lengthPenalty > 0 ? maxNewTokens : length;
    return worst.score >= (this.beams[0] as Beam).sum / reached ** lengthPenalty;
  }
}

/**
 * Returns the sequence (below `count`) in which each next beam continues. `from` has the sequence that each beam comes
 * from. The first beam of each sequence stays there, to avoid copies. The others take sequences without a beam.
 */
function slotsFor(from: readonly number[], count: number): number[] {
  const free = Array.from({ length: count }, (_, slot) => slot).filter((slot) => !from.includes(slot));
  return from.map((slot, i) => (from.indexOf(slot) === i ? slot : (free.shift() as number)));
}

/** The candidates with the greatest keys so far, in descending order. Among equal keys, earlier ones win. */
class BestCandidates {
  readonly list: Candidate[] = [];
  readonly #keys: number[] = [];
  /** A candidate is accepted only if its key is greater than this. */
  threshold = Number.NEGATIVE_INFINITY;

  constructor(private readonly size: number) {}

  add(candidate: Candidate, key: number): void {
    let index = this.list.length;
    while (index > 0 && (this.#keys[index - 1] as number) < key) index--;
    this.list.splice(index, 0, candidate);
    this.#keys.splice(index, 0, key);
    if (this.list.length > this.size) {
      this.list.pop();
      this.#keys.pop();
    }
    if (this.list.length === this.size) this.threshold = this.#keys[this.size - 1] as number;
  }
}
