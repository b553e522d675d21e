import { SimdformerError } from '../core/errors.js';
import { Random } from '../core/random.js';
import type { FinishReason, Hypothesis, Plan, TokenEvent } from './options.js';
import { argmax, type LogitsProcessor, logSumExp, processorsOf } from './processors.js';

/** Chooses tokens, given logits. */
export interface Search {
  /** Takes the logits of the next token of every sequence, [sequences, vocabulary]; returns what is decided. */
  choose(logits: Float32Array): TokenEvent[];
  /** What the decoder reads next. */
  readonly tokens: Int32Array;
  /** Which sequence each one goes on from; null if all from themselves. */
  readonly order: Int32Array | null;
  readonly done: boolean;
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
  readonly tokens: Int32Array;
  readonly order = null;
  readonly #tracks: Track[];
  #open: number;

  constructor(private readonly plan: Plan) {
    const { inputs, width, seed } = plan;
    this.#tracks = inputs.flatMap(({ index, prompt, prefix }) =>
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
    this.#open = this.#tracks.length;
    this.tokens = new Int32Array(this.#open);
  }

  get done(): boolean {
    return this.#open === 0;
  }

  choose(logits: Float32Array): TokenEvent[] {
    const vocabulary = logits.length / this.#tracks.length;
    const events: TokenEvent[] = [];
    this.#tracks.forEach((track, i) => {
      if (track.reason !== null) return;
      const { sequence } = track;
      const row = logits.subarray(i * vocabulary, (i + 1) * vocabulary);
      const total = checkedLogSumExp(row, track.input);
      const token = track.prefix[track.tokens.length] ?? this.#pick(row, track);
      const logProbability = (row[token] as number) - total;
      track.logProbabilities.push(logProbability);
      if (this.#isEnd(track, token)) this.#end(track, 'stop');
      else {
        track.tokens.push(token);
        track.read.push(token);
        this.tokens[i] = token;
        events.push({ sequence, token, logProbability });
        if (this.plan.stop?.(track.tokens)) this.#end(track, 'stop');
        else if (track.tokens.length >= this.plan.maxNewTokens) this.#end(track, 'length');
      }
    });
    return events;
  }

  hypotheses(): Hypothesis[][] {
    const { width, lengthPenalty } = this.plan;
    const all = this.#tracks.map(({ tokens, logProbabilities, reason }) => {
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

  #end(track: Track, reason: FinishReason): void {
    track.reason = reason;
    this.#open--;
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
  const uniform = random.uniform() + random.uniform() * 2 ** -24; // 48 bits: rare tokens of large vocabularies count, too
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
