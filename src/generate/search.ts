import { SimdformerError } from '../core/errors.js';
import { Random } from '../core/random.js';
import type { FinishReason, Hypothesis, Plan, TokenEvent } from './options.js';
import { argmax, type LogitsProcessor, logSumExp, processorsOf } from './processors.js';

/** Chooses tokens, given logits. The sequences of all unfinished inputs, and some finished ones, are its batch. */
export interface Search {
  /** Takes the logits of the next token of every sequence of the batch, [sequences, vocabulary]; returns what is decided. */
  choose(logits: Float32Array): TokenEvent[];
  /** What the decoder reads next. */
  readonly tokens: Int32Array;
  /** Which sequence each one goes on from; null if all from themselves. */
  readonly order: Int32Array | null;
  /** All that each sequence has read with `tokens`, the start or the prompt included. */
  readonly contexts: readonly (readonly number[])[];
  /** Groups of `plan.group` sequences that are not finished. */
  readonly open: number;
  readonly done: boolean;
  /** Takes finished groups out of the batch, between `choose` and the use of `tokens` and `order`. */
  compact(): void;
  /** For each input: the beams, best first, or the samples in order. */
  hypotheses(): Hypothesis[][];
}

interface Track {
  readonly input: number;
  /** Its place in the result. */
  readonly sequence: number;
  /** What the decoder has read, the start or the prompt included. */
  readonly read: number[];
  readonly tokens: number[];
  readonly logProbabilities: number[];
  readonly prefix: readonly number[];
  readonly processors: readonly LogitsProcessor[];
  readonly random: Random;
  reason: FinishReason | null;
}

/** One token after the other: the most probable, or drawn. */
export class TokenSearch implements Search {
  tokens: Int32Array;
  order: Int32Array | null = null;
  readonly #all: readonly Track[];
  #batch: readonly Track[];

  constructor(private readonly plan: Plan) {
    const { inputs, width, seed } = plan;
    this.#all = inputs.flatMap(({ index, prompt, prefix }) =>
      Array.from({ length: width }, (_, i) => ({
        input: index,
        sequence: index * width + i,
        read: [...prompt],
        tokens: [],
        logProbabilities: [],
        prefix,
        processors: processorsOf(plan, prompt.length),
        random: new Random(seed, index * width + i),
        reason: null,
      })),
    );
    this.#batch = this.#all;
    this.tokens = new Int32Array(this.#all.length);
  }

  get open(): number {
    return this.#goingOn().filter(Boolean).length;
  }

  get done(): boolean {
    return this.#batch.every(({ reason }) => reason !== null);
  }

  get contexts(): readonly (readonly number[])[] {
    return this.#batch.map(({ read }) => read);
  }

  choose(logits: Float32Array): TokenEvent[] {
    const { vocabulary } = this.plan;
    const events: TokenEvent[] = [];
    this.order = null;
    this.#batch.forEach((track, i) => {
      if (track.reason !== null) return;
      const { sequence } = track;
      const row = logits.subarray(i * vocabulary, (i + 1) * vocabulary);
      const total = checkedLogSumExp(row, track.input);
      const token = track.prefix[track.tokens.length] ?? this.#pick(row, track);
      const logProbability = (row[token] as number) - total;
      track.logProbabilities.push(logProbability);
      if (this.#isEnd(track, token)) track.reason = 'stop';
      else {
        track.tokens.push(token);
        track.read.push(token);
        this.tokens[i] = token;
        events.push({ sequence, token, logProbability });
        if (this.plan.stop?.(track.tokens)) track.reason = 'stop';
        else if (track.tokens.length >= this.plan.maxNewTokens) track.reason = 'length';
      }
    });
    return events;
  }

  compact(): void {
    const goingOn = this.#goingOn();
    const kept = this.#batch.flatMap((_, i) => (goingOn[Math.floor(i / this.plan.group)] ? [i] : []));
    this.#batch = kept.map((i) => this.#batch[i] as Track);
    this.tokens = Int32Array.from(kept, (i) => this.tokens[i] as number);
    this.order = Int32Array.from(kept);
  }

  hypotheses(): Hypothesis[][] {
    const { width, lengthPenalty } = this.plan;
    const all = this.#all.map(({ tokens, logProbabilities, reason }) => {
      const sum = logProbabilities.reduce((total, value) => total + value, 0);
      const score = sum / logProbabilities.length ** lengthPenalty;
      return { tokens, logProbabilities, score, reason: reason as FinishReason };
    });
    return this.plan.inputs.map((_, i) => all.slice(i * width, (i + 1) * width));
  }

  #pick(row: Float32Array, { input, read, processors, random }: Track): number {
    const scores = processors.length > 0 ? row.slice() : row;
    for (const process of processors) process(scores, read);
    if (processors.length > 0) checkedLogSumExp(scores, input);
    return this.plan.doSample ? draw(scores, random) : argmax(scores);
  }

  /** A forced token never ends a sequence. */
  #isEnd({ tokens, prefix }: Track, token: number): boolean {
    return this.plan.stopTokens.has(token) && tokens.length >= prefix.length;
  }

  /** Of each group of the batch, whether one of its sequences is unfinished. */
  #goingOn(): boolean[] {
    const { group } = this.plan;
    const goingOn = new Array<boolean>(this.#batch.length / group).fill(false);
    this.#batch.forEach(({ reason }, i) => {
      if (reason === null) goingOn[Math.floor(i / group)] = true;
    });
    return goingOn;
  }
}

/** As `logSumExp`; throws if there is nothing to choose from. */
export function checkedLogSumExp(scores: Float32Array, input: number): number {
  const total = logSumExp(scores);
  if (Number.isFinite(total)) return total;
  const reason = scores.every((score) => score === Number.NEGATIVE_INFINITY)
    ? 'every token is forbidden'
    : 'not all are numbers';
  throw new SimdformerError(`generate: no next token can be chosen for input ${input}: ${reason}`);
}

/** A token with probability proportional to exp(score). */
export function draw(scores: Float32Array, random: Random): number {
  const total = logSumExp(scores);
  const uniform = uniform48(random);
  let mass = 0;
  let last = 0;
  for (let token = 0; token < scores.length; token++) {
    const probability = Math.exp((scores[token] as number) - total);
    if (probability === 0) continue;
    mass += probability;
    if (mass > uniform) return token;
    last = token;
  }
  return last;
}

/** A draw from the standard Gumbel distribution: the greatest of log p + draw is at each place with probability p. */
export function gumbel(random: Random): number {
  return -Math.log(-Math.log(Math.max(uniform48(random), Number.MIN_VALUE)));
}

/** From 0 to below 1 in 48 bits, so that rare tokens of large vocabularies count, too. */
function uniform48(random: Random): number {
  return random.uniform() + random.uniform() * 2 ** -24;
}
