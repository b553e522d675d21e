// What changes scores before a token is chosen. Each works in place; −∞ forbids a token, +∞ forces it.

import { checkNumber, checkSynchronous, isCount, isPositive } from '../core/check.js';
import type { Plan } from './options.js';

/**
 * Changes the scores of the next token in place, one for each of the vocabulary: logits, or log-probabilities with
 * beams. What it returns is ignored, but a promise is refused. `tokens` is what the decoder has read so far, the start
 * or the prompt included.
 *
 * -Infinity forbids a token. +Infinity forces it: after the last of `logitsProcessors` it counts as 0, and all that are
 * not +Infinity as -Infinity. Greedily that is Hugging Face's choice, the first of those with +Infinity; its beams and
 * samples, whose softmax of +Infinity is NaN, end in an error or go astray. SimdformerError ends the generation if a
 * score is NaN, or if every token is forbidden: with beams if that is so of every beam of an input, and none has
 * finished yet.
 */
export type LogitsProcessor = (scores: Float32Array, tokens: readonly number[]) => void;

const NEVER = Number.NEGATIVE_INFINITY;

/** Those that the options ask for, in Hugging Face's order. `promptLength` is what comes before new tokens. */
export function processorsOf(plan: Plan, promptLength: number): LogitsProcessor[] {
  const { repetitionPenalty: penalty, noRepeatNgramSize, minNewTokens, doSample, temperature: heat } = plan;
  const list: (LogitsProcessor | null)[] = [
    penalty !== 1 ? repetitionPenalty(penalty) : null,
    noRepeatNgramSize > 0 ? noRepeatNgram(noRepeatNgramSize) : null,
    minNewTokens > 0 ? forbidBefore(promptLength + minNewTokens, plan.stopTokens) : null,
    ...plan.logitsProcessors.map(own),
    plan.logitsProcessors.length > 0 ? force : null,
    doSample && heat !== 1 ? temperature(heat) : null,
    plan.topK > 0 ? topK(plan.topK) : null,
    plan.topP < 1 ? topP(plan.topP) : null,
    plan.minP > 0 ? minP(plan.minP) : null,
  ];
  return list.filter((processor) => processor !== null);
}

/** One that is awaited by nobody would change scores when the choice is made. */
function own(processor: LogitsProcessor): LogitsProcessor {
  return (scores, tokens) => checkSynchronous('generate: a processor of logitsProcessors', processor(scores, tokens));
}

/**
 * Every token that is there already: positive scores divided by the penalty, negative ones multiplied (CTRL, Keskar et
 * al. 2019). Throws ArgumentError unless the penalty is positive.
 */
export function repetitionPenalty(penalty: number): LogitsProcessor {
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
export function noRepeatNgram(size: number): LogitsProcessor {
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
export function forbidBefore(length: number, forbidden: Iterable<number>): LogitsProcessor {
  return (scores, tokens) => {
    if (tokens.length < length) for (const token of forbidden) scores[token] = NEVER;
  };
}

/** Scores that say the same without +∞: 0 for what has it, −∞ for all else. NaN stays, to be refused. */
export const force: LogitsProcessor = (scores) => {
  if (!scores.includes(Number.POSITIVE_INFINITY)) return;
  for (let token = 0; token < scores.length; token++) {
    const score = scores[token] as number;
    if (score === Number.POSITIVE_INFINITY) scores[token] = 0;
    else if (!Number.isNaN(score)) scores[token] = NEVER;
  }
};

/** Divides every score: above 1 choices get more even, below 1 less. Throws ArgumentError unless it is positive. */
export function temperature(value: number): LogitsProcessor {
  checkNumber('temperature', 'the temperature', value, isPositive, 'a positive number');
  return (scores) => {
    for (let token = 0; token < scores.length; token++) scores[token] = (scores[token] as number) / value;
  };
}

/** The k best; more if several are equal to the last of them. Throws ArgumentError unless k is a positive integer. */
export function topK(k: number): LogitsProcessor {
  checkNumber('topK', 'k', k, isCount, 'a positive integer');
  return (scores) => {
    if (k >= scores.length) return;
    const worst = Float32Array.from(scores).sort()[scores.length - k] as number;
    for (let token = 0; token < scores.length; token++) if ((scores[token] as number) < worst) scores[token] = NEVER;
  };
}

/**
 * The fewest tokens that together have probability p (nucleus sampling, Holtzman et al. 2020). Throws ArgumentError
 * unless p is above 0 and at most 1.
 */
export function topP(p: number): LogitsProcessor {
  checkNumber('topP', 'p', p, (part) => part > 0 && part <= 1, 'a number above 0, at most 1');
  return (scores) => {
    const total = logSumExp(scores);
    // Those that are rarer than this have less than 1 - p all together: the others contain the nucleus.
    const least = total + Math.log((1 - p) / scores.length);
    const likely = scores.filter((score) => score >= least).sort();
    let mass = 0;
    let from = likely.length;
    while (from > 0 && mass < p) mass += Math.exp((likely[--from] as number) - total);
    const worst = likely[from] as number;
    let equals = likely.lastIndexOf(worst) - from + 1; // of those that are as bad, the first ones
    for (let token = 0; token < scores.length; token++) {
      const score = scores[token] as number;
      if (score < worst || (score === worst && equals-- <= 0)) scores[token] = NEVER;
    }
  };
}

/** Those with at least `share` of the best one's probability. Throws ArgumentError unless that is from 0 to 1. */
export function minP(share: number): LogitsProcessor {
  checkNumber('minP', 'the share', share, (part) => part >= 0 && part <= 1, 'a number from 0 to 1');
  return (scores) => {
    const least = (scores[argmax(scores)] as number) + Math.log(share);
    for (let token = 0; token < scores.length; token++) if ((scores[token] as number) < least) scores[token] = NEVER;
  };
}

/** The place of the greatest, the first of equals. */
export function argmax(scores: Float32Array): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if ((scores[i] as number) > (scores[best] as number)) best = i;
  return best;
}

/** log Σ exp(score), NaN if there is no probability in the scores. */
export function logSumExp(scores: Float32Array): number {
  const greatest = scores[argmax(scores)] as number;
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum += Math.exp((scores[i] as number) - greatest);
  return greatest + Math.log(sum);
}
