import { Random } from '../core/random.js';
import type { FinishReason, TokenEvent } from './generate-options.js';
import type { ScoreProcessor } from './logits-processor.js';
import type { Hypothesis, Plan, PlannedInput } from './plan.js';
import { processorsOf } from './processor-list.js';
import { argmax } from './processors.js';
import { candidatesOf, needsLogits, type Ranking, stepsWithLogits } from './ranking.js';
import { checkedTotal, gumbel, isAnyAllowed, logitsOf, noneAllowed, type Search } from './search.js';

/** An unfinished hypothesis. */
interface Beam {
  /** Which of its input's sequences it is. */
  readonly place: number;
  /** What the decoder has read, the start or the prompt included. */
  readonly read: readonly number[];
  readonly tokens: readonly number[];
  readonly logProbabilities: readonly number[];
  /** Of log-probabilities, as processors left them. */
  readonly sum: number;
}

/** A beam goes on, in a sequence of its input, from what was another or the same. */
interface Move {
  readonly from: number;
  readonly to: number;
  readonly token: number;
}

/** A way to go on. */
interface Candidate {
  readonly beam: number;
  readonly token: number;
  readonly sum: number;
  readonly logProbability: number;
}

/**
 * Keeps the `numBeams` best unfinished hypotheses of each input. Of the best ways to go on, those that end are finished
 * if they are among the first numBeams, and the others fill the beams again. As in Hugging Face, the score of a
 * hypothesis is
 *
 *   sum of log-probabilities / length^lengthPenalty, where length counts the end but not the start or the prompt.
 *
 * With `doSample` the ways to go on are drawn without replacement, each with probability ∝ exp(its sum): the greatest
 * sums plus Gumbel noise (Kool et al. 2019, arXiv 1903.06059).
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
    const { numBeams } = this.plan;
    return this.#batch.flatMap((input) =>
      Array.from(
        { length: numBeams },
        (_, place) => (input.beams.find((beam) => beam.place === place) ?? input.beams[0])?.read ?? [0],
      ),
    );
  }

  choose(ranking: Ranking): TokenEvent[] {
    const { numBeams } = this.plan;
    this.#batch.forEach((input, i) => {
      const first = i * numBeams;
      for (let sequence = first; sequence < first + numBeams; sequence++) {
        this.#order[sequence] = sequence;
        this.tokens[sequence] = 0;
      }
      for (const { from, to, token } of input.done ? [] : input.advance(ranking, first)) {
        this.#order[first + to] = first + from;
        this.tokens[first + to] = token;
      }
    });
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

  /** Whether the input of this sequence of the batch is done. */
  #isDone(sequence: number): boolean {
    return (this.#batch[Math.floor(sequence / this.plan.numBeams)] as InputBeams).done;
  }
}

/** The beams of one input. */
class InputBeams {
  /** At most numBeams, best first. */
  readonly finished: Hypothesis[] = [];
  done = false;
  /** At most numBeams, best first. */
  beams: readonly Beam[];
  readonly #processors: readonly ScoreProcessor[];
  /** When all logits are there, whether or not they always are. */
  readonly #steps: readonly number[];
  /** Of its own for each input, if beams are drawn. */
  readonly #random: Random | null;

  constructor(
    private readonly plan: Plan,
    private readonly input: PlannedInput,
  ) {
    const { prompt, prefix } = input;
    this.#processors = processorsOf(plan, prompt.length, prefix.length);
    this.#steps = stepsWithLogits(plan, input);
    this.#random = plan.doSample ? new Random(plan.seed, input.index) : null;
    this.beams = [{ place: 0, read: prompt, tokens: [], logProbabilities: [], sum: 0 }];
  }

  /** One token further; returns how the beams go on. Its sequences are those of the batch from `first` on. */
  advance(ranking: Ranking, first: number): Move[] {
    const { numBeams, stopTokens, maxNewTokens } = this.plan;
    const length = (this.beams[0] as Beam).tokens.length + 1;
    const kept: Candidate[] = [];
    const next: Beam[] = [];
    for (const [rank, candidate] of this.#candidates(ranking, first).entries()) {
      const grown = this.#grow(candidate);
      const ends = stopTokens.has(candidate.token) && length > this.input.prefix.length;
      if (ends || (length >= this.input.prefix.length && this.plan.stop?.(grown.tokens))) {
        const tokens = ends ? grown.tokens.slice(0, -1) : grown.tokens;
        if (rank < numBeams) this.#finish({ ...grown, tokens }, 'stop');
      } else {
        kept.push(candidate);
        next.push(grown);
      }
      if (kept.length === numBeams) break;
    }
    const from = next.map(({ place }) => place);
    const to = placesFor(from, numBeams);
    this.beams = next.map((beam, i) => ({ ...beam, place: to[i] as number }));
    if (next.length > 0 && length >= maxNewTokens) for (const beam of next) this.#finish(beam, 'length');
    this.done = next.length === 0 || length >= maxNewTokens || this.#cannotImprove(length);
    return kept.map(({ token }, i) => ({ from: from[i] as number, to: to[i] as number, token }));
  }

  /**
   * The best ways to go on, best first: enough to fill the beams even if those that end are among them. With `doSample`
   * so many drawn by their probabilities instead, none twice. A beam that has none drops out; without any the search is
   * over, and throws if it found nothing.
   */
  #candidates(ranking: Ranking, first: number): Candidate[] {
    const { numBeams, stopTokens } = this.plan;
    const best = new BestCandidates(candidatesOf(numBeams, stopTokens.size));
    const { length } = (this.beams[0] as Beam).tokens;
    const forced = this.input.prefix[length];
    const byLogits = forced !== undefined || needsLogits(this.plan) || this.#steps.includes(length);
    for (let beam = 0; beam < this.beams.length; beam++) {
      const sequence = first + (this.beams[beam] as Beam).place;
      const total = checkedTotal(ranking, sequence, this.input.index);
      // Logits that are there for another input are no reason to round in another way.
      if (!byLogits) this.#offerRanked(best, beam, ranking, sequence, total);
      else this.#offerLogits(best, beam, logitsOf(ranking, sequence, this.plan), total, forced);
    }
    if (best.list.length === 0 && this.finished.length === 0) throw noneAllowed(this.input.index);
    return this.#random === null ? best.list : [...best.list].sort((a, b) => b.sum - a.sum);
  }

  #offerRanked(best: BestCandidates, beam: number, ranking: Ranking, sequence: number, total: number): void {
    const { sum } = this.beams[beam] as Beam;
    for (let rank = 0; rank < ranking.count; rank++) {
      const logProbability = ranking.logit(sequence, rank) - total;
      const candidate = sum + logProbability;
      if (!(candidate > best.least)) return; // nor are those after it
      best.offer({ beam, token: ranking.token(sequence, rank), sum: candidate, logProbability }, candidate);
    }
  }

  #offerLogits(best: BestCandidates, beam: number, logits: Float32Array, total: number, forced?: number): void {
    const { read, sum } = this.beams[beam] as Beam;
    if (forced !== undefined) {
      const logProbability = (logits[forced] as number) - total;
      best.offer({ beam, token: forced, sum: sum + logProbability, logProbability }, sum + logProbability);
      return;
    }
    const scores = this.#processors.length > 0 ? new Float32Array(logits.length) : logits;
    if (scores !== logits)
      for (let token = 0; token < logits.length; token++) scores[token] = (logits[token] as number) - total;
    for (const process of this.#processors) process(scores, read);
    if (scores !== logits && !isAnyAllowed(scores, this.input.index)) return;
    const base = scores === logits ? sum - total : sum;
    const greatest = this.#random === null ? 0 : base + (scores[argmax(scores)] as number);
    let rarity = Math.exp(greatest - best.least); // of draws that can lift any of these among the best
    for (let token = 0; token < logits.length; token++) {
      const candidate = base + (scores[token] as number);
      if (candidate === Number.NEGATIVE_INFINITY) continue;
      const key = this.#random === null ? candidate : candidate + gumbel(this.#random, rarity);
      if (key > best.least) {
        best.offer({ beam, token, sum: candidate, logProbability: (logits[token] as number) - total }, key);
        rarity = Math.exp(greatest - best.least);
      }
    }
  }

  #grow({ beam, token, sum, logProbability }: Candidate): Beam {
    const { place, read, tokens, logProbabilities } = this.beams[beam] as Beam;
    return {
      place,
      read: [...read, token],
      tokens: [...tokens, token],
      logProbabilities: [...logProbabilities, logProbability],
      sum,
    };
  }

  #finish({ tokens, logProbabilities, sum }: Beam, reason: FinishReason): void {
    const score = sum / logProbabilities.length ** this.plan.lengthPenalty;
    const better = this.finished.findIndex((other) => score > other.score);
    this.finished.splice(better < 0 ? this.finished.length : better, 0, { tokens, logProbabilities, score, reason });
    this.finished.splice(this.plan.numBeams);
  }

  #cannotImprove(length: number): boolean {
    const { numBeams, earlyStopping, lengthPenalty, maxNewTokens } = this.plan;
    const worst = this.finished[numBeams - 1];
    if (worst === undefined) return false;
    if (earlyStopping === true) return true;
    // The sum only falls. Divided by more it rises again, if the penalty is positive: at most at the greatest length.
    const reached = earlyStopping === 'never' && lengthPenalty > 0 ? maxNewTokens : length;
    return worst.score >= (this.beams[0] as Beam).sum / reached ** lengthPenalty;
  }
}

/**
 * Where beams go on that come from these of `count` sequences: the first from each stays in it, so that little is moved,
 * and the others take those that nobody goes on from.
 */
function placesFor(from: readonly number[], count: number): number[] {
  const free = Array.from({ length: count }, (_, place) => place).filter((place) => !from.includes(place));
  return from.map((place, i) => (from.indexOf(place) === i ? place : (free.shift() as number)));
}

/** What was offered with the greatest keys so far, in their order; of equals the first. */
class BestCandidates {
  readonly list: Candidate[] = [];
  readonly #keys: number[] = [];
  /** What a key must exceed. */
  least = Number.NEGATIVE_INFINITY;

  constructor(private readonly size: number) {}

  offer(candidate: Candidate, key: number): void {
    let at = this.list.length;
    while (at > 0 && (this.#keys[at - 1] as number) < key) at--;
    this.list.splice(at, 0, candidate);
    this.#keys.splice(at, 0, key);
    if (this.list.length > this.size) {
      this.list.pop();
      this.#keys.pop();
    }
    if (this.list.length === this.size) this.least = this.#keys[this.size - 1] as number;
  }
}
