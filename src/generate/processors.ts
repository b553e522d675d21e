// What changes scores before a token is chosen. Each works in place; −∞ forbids a token, +∞ forces it.

import { checkNumber, checkSynchronous, isCount, isPositive } from '../core/check.js';
import { forbidWords } from './bad-words.js';
import { forceTokens } from './forced-tokens.js';
import type { LogitsProcessor, ScoreProcessor, TokenPlace } from './logits-processor.js';
import { suppressTokens, suppressTokensAtBegin } from './suppress.js';

const NEVER = Number.NEGATIVE_INFINITY;

/** The options of `generate` that change scores. */
export interface Choosing {
  readonly repetitionPenalty: number;
  readonly noRepeatNgramSize: number;
  readonly badWordsIds: readonly (readonly number[])[];
  readonly maxNewTokens: number;
  readonly minNewTokens: number;
  readonly forcedBosTokenId: number | null;
  readonly forcedEosTokenId: readonly number[];
  readonly suppressTokens: readonly number[] | Int32Array;
  readonly beginSuppressTokens: readonly number[] | Int32Array;
  readonly stopTokens: ReadonlySet<number>;
  readonly logitsProcessors: readonly LogitsProcessor[];
  readonly doSample: boolean;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  /** Of each source, where sources are features: of sound; else null. */
  readonly sourceShape: readonly number[] | null;
}

/**
 * How much is read before the model chooses its first token: the start or prompt, and what is forced after it; as in
 * transformers, where Whisper's `forcedBosTokenId` does not count.
 */
export function beginOf(plan: Choosing, promptLength: number, prefixLength: number): number {
  const length = promptLength + prefixLength;
  return length === 1 && plan.forcedBosTokenId !== null && plan.sourceShape === null ? 2 : length;
}

/**
 * Those that the options ask for, in Hugging Face's order. `promptLength` is what comes before new tokens, of which
 * `prefixLength` are given.
 */
export function processorsOf(plan: Choosing, promptLength: number, prefixLength: number): ScoreProcessor[] {
  const { repetitionPenalty: penalty, noRepeatNgramSize, minNewTokens, doSample, temperature: heat } = plan;
  const { badWordsIds, forcedBosTokenId: first, forcedEosTokenId: last, beginSuppressTokens } = plan;
  const place = { begin: promptLength, maxLength: promptLength + plan.maxNewTokens };
  const list: (ScoreProcessor | null)[] = [
    penalty !== 1 ? repetitionPenalty(penalty) : null,
    noRepeatNgramSize > 0 ? noRepeatNgram(noRepeatNgramSize) : null,
    badWordsIds.length > 0 ? forbidWords(badWordsIds, plan.stopTokens) : null,
    minNewTokens > 0 ? forbidBefore(promptLength + minNewTokens, plan.stopTokens) : null,
    first !== null ? forceTokens([first], 1) : null,
    last.length > 0 ? forceTokens(last, promptLength + plan.maxNewTokens - 1) : null,
    plan.suppressTokens.length > 0 ? suppressTokens(plan.suppressTokens) : null,
    beginSuppressTokens.length > 0
      ? suppressTokensAtBegin(beginSuppressTokens, beginOf(plan, promptLength, prefixLength))
      : null,
    ...plan.logitsProcessors.map((processor) => synchronous(processor, place)),
    plan.logitsProcessors.length > 0 ? force : null,
    doSample && heat !== 1 ? temperature(heat) : null,
    plan.topK > 0 ? topK(plan.topK) : null,
    plan.topP < 1 ? topP(plan.topP) : null,
    plan.minP > 0 ? minP(plan.minP) : null,
  ];
  return list.filter((processor) => processor !== null);
}

/** Nobody awaits a processor: one that is asynchronous would change the scores after the choice, so it is refused. */
function synchronous(processor: LogitsProcessor, place: TokenPlace): ScoreProcessor {
  return (scores, tokens) =>
    checkSynchronous('generate: a processor of logitsProcessors', processor(scores, tokens, place));
}

/**
 * Every token that is there already: positive scores divided by the penalty, negative ones multiplied (CTRL, Keskar et
 * al. 2019). Throws ArgumentError unless the penalty is positive.
 */
export function repetitionPenalty(penalty: number): ScoreProcessor {
  checkNumber('repetitionPenalty', 'penalty', penalty, isPositive, 'a positive number');
  return (scores, tokens) => {
    for (const token of new Set(tokens)) {
      const score = scores[token] as number;
      scores[token] = score > 0 ? score / penalty : score * penalty;
    }
  };
}

/**
 * Forbids what would complete a sequence of `size` tokens that is there already. Throws ArgumentError unless that is a
 * positive integer.
 */
export function noRepeatNgram(size: number): ScoreProcessor {
  checkNumber('noRepeatNgram', 'size', size, isCount, 'a positive integer');
  return (scores, tokens) => {
    const start = tokens.length - (size - 1); // of the newest size - 1 tokens
    if (start < 0) return;
    for (let at = 0; at + size - 1 < tokens.length; at++) {
      let same = 0;
      while (same < size - 1 && tokens[at + same] === tokens[start + same]) same++;
      if (same === size - 1) scores[tokens[at + same] as number] = NEVER;
    }
  };
}

/** Forbids tokens as long as there are fewer than `length`. */
export function forbidBefore(length: number, forbidden: Iterable<number>): ScoreProcessor {
  return (scores, tokens) => {
    if (tokens.length < length) for (const token of forbidden) scores[token] = NEVER;
  };
}

/** Scores that say the same without +∞: 0 for what has it, −∞ for all else. NaN stays, to be refused. */
const force: ScoreProcessor = (scores) => {
  if (!scores.includes(Number.POSITIVE_INFINITY)) return;
  for (let token = 0; token < scores.length; token++) {
    const score = scores[token] as number;
    if (score === Number.POSITIVE_INFINITY) scores[token] = 0;
    else if (!Number.isNaN(score)) scores[token] = NEVER;
  }
};

/**
 * Divides every score: above 1 choices become more even, below 1 less so. Throws ArgumentError unless `value` is
 * positive.
 */
export function temperature(value: number): ScoreProcessor {
  checkNumber('temperature', 'the temperature', value, isPositive, 'a positive number');
  return (scores) => {
    for (let token = 0; token < scores.length; token++) scores[token] = (scores[token] as number) / value;
  };
}

/** The k best; more if several are equal to the last of them. Throws ArgumentError unless k is a positive integer. */
export function topK(k: number): ScoreProcessor {
  checkNumber('topK', 'k', k, isCount, 'a positive integer');
  return (scores) => {
    if (k >= scores.length) return;
    const { worst } = greatestOf(scores, false, k);
    for (let token = 0; token < scores.length; token++) if ((scores[token] as number) < worst) scores[token] = NEVER;
  };
}

/**
 * The fewest tokens that together have probability p (nucleus sampling, Holtzman et al. 2020). Throws ArgumentError
 * unless p is above 0 and at most 1.
 */
export function topP(p: number): ScoreProcessor {
  checkNumber('topP', 'p', p, (part) => part > 0 && part <= 1, 'a number above 0, at most 1');
  return (scores) => {
    const nucleus = greatestOf(scores, true, p);
    let { equals } = nucleus;
    for (let token = 0; token < scores.length; token++) {
      const score = scores[token] as number;
      if (score < nucleus.worst || (score === nucleus.worst && equals-- <= 0)) scores[token] = NEVER;
    }
  };
}

/** Parts at most, by distance from the greatest score: each is a sixteenth wide, and the last has all the rest. */
const PARTS = 512;

/**
 * As many of the greatest scores as together weigh `enough`, all if they never do: the worst of them, and how many that
 * equal it are among them. Each weighs 1, or with `byProbability` its probability. Sorting all would take ten times as
 * long: weights are summed by distance from the greatest, and only the part in which the worst lies is sorted. The loops
 * over all scores call nothing that differs between calls, so that they are compiled well.
 */
function greatestOf(scores: Float32Array, byProbability: boolean, enough: number): { worst: number; equals: number } {
  const greatest = scores[argmax(scores)] as number;
  const last = Math.min(PARTS, scores.length) - 1;
  const sums = new Float64Array(last + 1);
  for (let token = 0; token < scores.length; token++) {
    const below = (scores[token] as number) - greatest;
    const part = Math.min(below * -16, last) | 0;
    sums[part] = (sums[part] as number) + (byProbability ? Math.exp(below) : 1);
  }
  let total = 0;
  for (let part = 0; part <= last; part++) total += sums[part] as number;
  const goal = byProbability ? enough * total : enough;
  let sum = 0;
  let part = 0;
  while (part < last && sum + (sums[part] as number) < goal) sum += sums[part++] as number;
  const found: number[] = [];
  for (let token = 0; token < scores.length; token++) {
    const score = scores[token] as number;
    if ((Math.min((score - greatest) * -16, last) | 0) === part) found.push(score);
  }
  const sorted = new Float32Array(found).sort();
  let from = sorted.length;
  while (from > 0 && sum < goal)
    sum += byProbability ? Math.exp((sorted[--from] as number) - greatest) : Number(--from >= 0);
  const worst = sorted[from] ?? NEVER;
  return { worst, equals: sorted.lastIndexOf(worst) - from + 1 };
}

/** Those with at least `share` of the best one's probability. Throws ArgumentError unless that is from 0 to 1. */
export function minP(share: number): ScoreProcessor {
  checkNumber('minP', 'the share', share, (part) => part >= 0 && part <= 1, 'a number from 0 to 1');
  return (scores) => {
    const least = (scores[argmax(scores)] as number) + Math.log(share);
    for (let token = 0; token < scores.length; token++) if ((scores[token] as number) < least) scores[token] = NEVER;
  };
}

/** The place of the greatest, the first of equals. */
export function argmax(scores: Float32Array): number {
  let best = 0;
  let most = scores[0] as number;
  for (let i = 1; i < scores.length; i++) {
    const score = scores[i] as number;
    if (score > most) [best, most] = [i, score];
  }
  return best;
}
