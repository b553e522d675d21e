import { argmax } from '../core/argmax.js';
import { NonFiniteError, SimdformerError } from '../core/errors.js';
import { Random } from '../core/random.js';
import type { FinishReason, TokenEvent } from './generate-options.js';
import type { ScoreProcessor } from './logits-processor.js';
import type { Hypothesis, Plan } from './plan.js';
import { processInParts, processorsOf } from './processor-list.js';
import type { Ranking } from './ranking.js';

/**
 * Chooses tokens by rankings, which have logits if `needsLogits` is true. Its batch has the sequences of all unfinished
 * inputs, and can have finished ones.
 */
export interface Search {
  /**
   * Chooses the next token of every sequence of the batch by the model's ranking. Returns the chosen tokens. Pauses
   * where the event loop may run.
   */
  choose(ranking: Ranking): Generator<undefined, TokenEvent[]>;
  /** The tokens that the decoder reads next. */
  readonly tokens: Int32Array;
  /** For each sequence, the index of the sequence that it continues; null if each continues itself. */
  readonly order: Int32Array | null;
  /**
   * The tokens of each sequence so far: the start token or the prompt, then the chosen tokens. The last ones are also
   * in `tokens`, and have not been read yet.
   */
  readonly contexts: readonly (readonly number[])[];
  /** Number of units (of `plan.rowsTogether` sequences) that have an unfinished sequence. */
  readonly open: number;
  /** True if all sequences are finished. */
  readonly done: boolean;
  /** 1 for each finished sequence of the batch, 0 for the others. */
  readonly finished: Int32Array;
  /** Removes finished units from the batch. Must be called after `choose` and before `tokens` and `order` are read. */
  compact(): void;
  /** Returns the hypotheses of each input: beams, best first, or samples in order. */
  hypotheses(): Hypothesis[][];
}

interface Track {
  readonly input: number;
  /** Index of the sequence in the result. */
  readonly sequence: number;
  /** The start token or the prompt, then the chosen tokens. */
  readonly context: number[];
  readonly tokens: number[];
  readonly logProbabilities: number[];
  readonly prefix: readonly number[];
  readonly processors: readonly ScoreProcessor[];
  readonly random: Random;
  reason: FinishReason | null;
  /** The stop token that ended the sequence; null if none did. */
  stopToken: number | null;
}

/** One sequence of a search, for continuing it elsewhere. */
export interface SingleSequence {
  /** The plan of this sequence alone. */
  readonly plan: Plan;
  readonly search: TokenSearch;
  /** Row of the decoder's state that holds the sequence. */
  readonly row: number;
}

/** Greedy search and sampling: each choice is the most probable token, or a drawn one. */
export class TokenSearch implements Search {
  tokens: Int32Array;
  order: Int32Array | null = null;
  readonly #all: readonly Track[];
  #batch: readonly Track[];

  /**
   * `tracks` are sequences of another search that this one continues. Default: new sequences for the inputs of the
   * plan.
   */
  constructor(
    private readonly plan: Plan,
    tracks?: readonly Track[],
  ) {
    const { inputs, sequencesPerInput, seed } = plan;
    this.#all =
      tracks ??
      inputs.flatMap((input) =>
        Array.from({ length: sequencesPerInput }, (_, i) => ({
          input: input.index,
          sequence: input.index * sequencesPerInput + i,
          context: [...input.prompt],
          tokens: [],
          logProbabilities: [],
          prefix: input.prefix,
          processors: processorsOf(plan, input),
          random: new Random(seed, input.index * sequencesPerInput + i),
          reason: null,
          stopToken: null,
        })),
      );
    this.#batch = this.#all;
    this.tokens = Int32Array.from(this.#all, ({ context }) => context.at(-1) as number);
  }

  /**
   * Returns a separate search for each unfinished sequence. The tokens that they choose are added to this search, too.
   */
  singleSequences(): SingleSequence[] {
    return this.#batch.flatMap((track, i) => {
      if (track.reason !== null) return [];
      const { inputs } = this.plan;
      const plan = {
        ...this.plan,
        inputs: inputs.filter(({ index }) => index === track.input),
        sequencesPerInput: 1,
        rowsTogether: 1,
      };
      return [{ plan, search: new TokenSearch(plan, [track]), row: this.order?.[i] ?? i }];
    });
  }

  /** Index of the first sequence in the result. */
  get sequence(): number {
    return this.#all[0]?.sequence ?? 0;
  }

  get open(): number {
    return this.#openGroups().filter(Boolean).length;
  }

  get done(): boolean {
    return this.#batch.every(({ reason }) => reason !== null);
  }

  get finished(): Int32Array {
    return Int32Array.from(this.#batch, ({ reason }) => Number(reason !== null));
  }

  get contexts(): readonly (readonly number[])[] {
    return this.#batch.map(({ context }) => context);
  }

  *choose(ranking: Ranking): Generator<undefined, TokenEvent[]> {
    const events: TokenEvent[] = [];
    this.order = null;
    for (let i = 0; i < this.#batch.length; i++) {
      const track = this.#batch[i] as Track;
      if (track.reason !== null) continue;
      const total = checkedLogSumExp(ranking, i, track.input);
      const [token, logit] = yield* this.#choice(ranking, i);
      const logProbability = logit - total;
      track.logProbabilities.push(logProbability);
      if (this.#isEnd(track, token)) {
        track.reason = 'stop';
        track.stopToken = token;
      } else {
        track.tokens.push(token);
        track.context.push(token);
        this.tokens[i] = token;
        events.push({ sequence: track.sequence, token, logProbability });
        const mayStop = track.tokens.length >= track.prefix.length;
        if (mayStop && this.plan.stop?.(track.tokens)) track.reason = 'stop';
        else if (track.tokens.length >= this.plan.maxNewTokens) track.reason = 'length';
      }
    }
    return events;
  }

  *#choice(ranking: Ranking, i: number): Generator<undefined, [token: number, logit: number]> {
    const track = this.#batch[i] as Track;
    const forced = track.prefix[track.tokens.length];
    if (forced === undefined && ranking.logit(i, 0) === Number.NEGATIVE_INFINITY)
      throw noTokenAllowedError(track.input);
    if (ranking.logits === null) return [ranking.token(i, 0), ranking.logit(i, 0)];
    const logits = logitsOf(ranking, i, this.plan);
    const token = forced ?? (yield* this.#pick(ranking, logits, track));
    return [token, logits[token] as number];
  }

  compact(): void {
    const open = this.#openGroups();
    const kept = this.#batch.flatMap((_, i) => (open[Math.floor(i / this.plan.rowsTogether)] ? [i] : []));
    this.#batch = kept.map((i) => this.#batch[i] as Track);
    this.tokens = Int32Array.from(kept, (i) => this.tokens[i] as number);
    this.order = Int32Array.from(kept);
  }

  hypotheses(): Hypothesis[][] {
    const { sequencesPerInput, lengthPenalty } = this.plan;
    const all = this.#all.map(({ tokens, logProbabilities, reason, stopToken }) => {
      const sum = logProbabilities.reduce((total, value) => total + value, 0);
      const score = sum / logProbabilities.length ** lengthPenalty;
      return { tokens, logProbabilities, score, reason: reason as FinishReason, stopToken };
    });
    return this.plan.inputs.map((_, i) => all.slice(i * sequencesPerInput, (i + 1) * sequencesPerInput));
  }

  *#pick(
    ranking: Ranking,
    logits: Float32Array,
    { input, context, processors, random }: Track,
  ): Generator<undefined, number> {
    const scores = processors.length > 0 ? ranking.memoryForScores(this.plan) : logits;
    if (scores !== logits) scores.set(logits);
    yield* processInParts(processors, scores, context);
    if (processors.length > 0 && !isAnyAllowed(scores, input)) throw noTokenAllowedError(input);
    yield;
    return this.plan.doSample ? draw(scores, random) : argmax(scores);
  }

  /** A forced token never ends a sequence. */
  #isEnd({ tokens, prefix }: Track, token: number): boolean {
    return this.plan.stopTokens.has(token) && tokens.length >= prefix.length;
  }

  /** Returns true for each unit of the batch that has an unfinished sequence. */
  #openGroups(): boolean[] {
    const { rowsTogether } = this.plan;
    const open = new Array<boolean>(this.#batch.length / rowsTogether).fill(false);
    this.#batch.forEach(({ reason }, i) => {
      if (reason === null) open[Math.floor(i / rowsTogether)] = true;
    });
    return open;
  }
}

/** Returns all logits of a sequence. They must have been requested. */
export function logitsOf({ logits }: Ranking, sequence: number, { vocabulary }: Plan): Float32Array {
  return (logits as Float32Array).subarray(sequence * vocabulary, (sequence + 1) * vocabulary);
}

/** Returns log Σ e^logit of a sequence. Throws NonFiniteError if a logit is NaN or +∞. */
export function checkedLogSumExp(ranking: Ranking, sequence: number, input: number): number {
  const total = ranking.total(sequence);
  if (!(total < Number.POSITIVE_INFINITY)) throw notNumbers(input);
  return total;
}

/** True if at least one token is allowed. Throws NonFiniteError if a score is NaN or +∞. */
export function isAnyAllowed(scores: Float32Array, input: number): boolean {
  let any = false;
  for (let token = 0; token < scores.length; token++) {
    const score = scores[token] as number;
    if (!(score < Number.POSITIVE_INFINITY)) throw notNumbers(input);
    if (score !== Number.NEGATIVE_INFINITY) any = true;
  }
  return any;
}

export function noTokenAllowedError(input: number): SimdformerError {
  return new SimdformerError(`${noneFor(input)}: every token is forbidden`);
}

function notNumbers(input: number): NonFiniteError {
  return new NonFiniteError(`${noneFor(input)}: some scores are NaN or Infinity`);
}

const noneFor = (input: number) => `generate: no next token can be chosen for input ${input}`;

/** Number of tokens of a block in `draw`. */
const BLOCK = 256;
/** In float64, e to the power of this or less is 0. */
const MIN_EXPONENT = -746;

/**
 * Draws a token with probability proportional to exp(score). It first draws a block of tokens, then a token of that
 * block.
 */
export function draw(scores: Float32Array, random: Random): number {
  const greatest = scores[argmax(scores)] as number;
  const sums: number[] = [];
  let total = 0;
  let last = 0; // the last block with any probability
  for (let from = 0; from < scores.length; from += BLOCK) {
    const end = Math.min(from + BLOCK, scores.length);
    let sum = 0;
    for (let token = from; token < end; token++) {
      const below = (scores[token] as number) - greatest;
      if (below > MIN_EXPONENT) sum += Math.exp(below);
    }
    if (sum > 0) last = sums.length;
    sums.push(sum);
    total += sum;
  }
  let left = uniform48(random) * total;
  let block = 0;
  while (block < last && left >= (sums[block] as number)) left -= sums[block++] as number;
  let chosen = 0;
  for (let token = block * BLOCK; token < Math.min((block + 1) * BLOCK, scores.length); token++) {
    const weight = Math.exp((scores[token] as number) - greatest);
    if (weight === 0) continue;
    chosen = token;
    if (left < weight) break;
    left -= weight;
  }
  return chosen;
}

/**
 * Draws from the standard Gumbel distribution. The maximum of log p[i] + draw is at index i with probability p[i]. Only
 * draws above -log(rarity) are exact, because logarithms are slow; lower ones may be −∞.
 */
export function gumbel(random: Random, rarity: number): number {
  const uniform = uniform48(random);
  if (1 - uniform > rarity) return Number.NEGATIVE_INFINITY; // −log(−log u) is at most −log(1 − u)
  return -Math.log(-Math.log(Math.max(uniform, Number.MIN_VALUE)));
}

/** Returns a random number in [0, 1) with 48 bits, enough for rare tokens of large vocabularies. */
function uniform48(random: Random): number {
  return random.uniform() + random.uniform() * 2 ** -24;
}
