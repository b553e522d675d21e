// Processors that change scores before a token is chosen. Each works in place; −∞ forbids a token, +∞ forces it.

import { argmax } from '../core/argmax.js';
import {
  checkNumber,
  isCount,
  isFraction,
  isPositive,
  isPositiveShare,
  isShare,
  POSITIVE_SHARE,
  SHARE,
} from '../core/check.js';
import { sortedInParts, withParts } from '../core/slices.js';
import type { ScoreProcessor } from './logits-processor.js';

const NEVER = Number.NEGATIVE_INFINITY;

/**
 * Divides positive scores of tokens that have occurred by the penalty, and multiplies negative ones (CTRL, Keskar et
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
 * OpenAI's `frequency_penalty`: lowers the score of every generated token by `penalty` for each time it was generated.
 * The first `begin` tokens are the prompt and do not count.
 */
export function frequencyPenalty(penalty: number, begin: number): ScoreProcessor {
  return (scores, tokens) => {
    for (let i = begin; i < tokens.length; i++) {
      const token = tokens[i] as number;
      scores[token] = (scores[token] as number) - penalty;
    }
  };
}

/**
 * OpenAI's `presence_penalty`: lowers the score of every generated token by `penalty`, once. The first `begin` tokens
 * are the prompt.
 */
export function presencePenalty(penalty: number, begin: number): ScoreProcessor {
  return (scores, tokens) => {
    for (const token of new Set(tokens.slice(begin))) scores[token] = (scores[token] as number) - penalty;
  };
}

/**
 * Forbids tokens that would complete an n-gram of `size` tokens that has occurred. Throws ArgumentError unless the size
 * is a positive integer.
 */
export function noRepeatNgram(size: number): ScoreProcessor {
  checkNumber('noRepeatNgram', 'size', size, isCount, 'a positive integer');
  return (scores, tokens) => forbidNgrams(scores, size, tokens, tokens);
}

/**
 * Forbids tokens that would complete an n-gram of `size` tokens of `source`: the text that an encoder has read, or the
 * prompt. transformers calls it `encoder_no_repeat_ngram_size`.
 */
export function noSourceNgram(size: number, source: readonly number[]): ScoreProcessor {
  return (scores, tokens) => forbidNgrams(scores, size, source, tokens);
}

/** Forbids tokens that would, after the newest of `tokens`, complete an n-gram of `size` tokens of `text`. */
function forbidNgrams(scores: Float32Array, size: number, text: readonly number[], tokens: readonly number[]): void {
  const start = tokens.length - (size - 1); // the newest size - 1 tokens begin here
  if (start < 0) return;
  for (let offset = 0; offset + size <= text.length; offset++) {
    let same = 0;
    while (same < size - 1 && text[offset + same] === tokens[start + same]) same++;
    if (same === size - 1) scores[text[offset + same] as number] = NEVER;
  }
}

/**
 * Raises the scores of the tokens of `source` if `factor` is above 1: a negative score is divided by it, another one
 * multiplied. transformers calls it `encoder_repetition_penalty`.
 */
export function favorSource(factor: number, source: readonly number[]): ScoreProcessor {
  return (scores) => {
    for (const token of new Set(source)) {
      const score = scores[token] as number;
      scores[token] = score < 0 ? score / factor : score * factor;
    }
  };
}

/** Forbids tokens while the sequence has fewer than `length` tokens. */
export function forbidBefore(length: number, forbidden: Iterable<number>): ScoreProcessor {
  return (scores, tokens) => {
    if (tokens.length < length) for (const token of forbidden) scores[token] = NEVER;
  };
}

/**
 * Divides every score by `value`: above 1, the distribution becomes flatter. Throws ArgumentError unless `value` is
 * positive.
 */
export function temperature(value: number): ScoreProcessor {
  checkNumber('temperature', 'the temperature', value, isPositive, 'a positive number');
  return (scores) => {
    for (let token = 0; token < scores.length; token++) scores[token] = (scores[token] as number) / value;
  };
}

/**
 * Keeps the k best tokens, and more if others have the same score as the last one. Throws ArgumentError unless k is a
 * positive integer.
 */
export function topK(k: number): ScoreProcessor {
  checkNumber('topK', 'k', k, isCount, 'a positive integer');
  return withParts(function* (scores: Float32Array) {
    if (k >= scores.length) return;
    const { worst } = yield* greatestOf(scores, false, k);
    for (let token = 0; token < scores.length; token++) if ((scores[token] as number) < worst) scores[token] = NEVER;
  });
}

/**
 * Keeps the fewest tokens that together have probability p (nucleus sampling, Holtzman et al. 2020). Throws
 * ArgumentError unless p is above 0 and at most 1.
 */
export function topP(p: number): ScoreProcessor {
  checkNumber('topP', 'p', p, isPositiveShare, POSITIVE_SHARE);
  return withParts(function* (scores: Float32Array) {
    const nucleus = yield* greatestOf(scores, true, p);
    let { equals } = nucleus;
    for (let token = 0; token < scores.length; token++) {
      const score = scores[token] as number;
      if (score < nucleus.worst || (score === nucleus.worst && equals-- <= 0)) scores[token] = NEVER;
    }
  });
}

/** Maximum number of buckets by distance from the greatest score. Each is 1/16 wide; the last one has the rest. */
const PARTS = 512;

/**
 * Finds the fewest greatest scores whose weights together reach `enough`. A score weighs 1, or its probability with
 * `byProbability`. Returns the lowest of these scores, and how many scores equal to it are among them. Weights are
 * summed in buckets by distance from the greatest score. Only the bucket with the lowest score is sorted, because
 * sorting all scores takes ten times as long. Forbidden scores weigh nothing, so that the last bucket stays small. The
 * loops over all scores call no function values, so that V8 compiles them well.
 */
function* greatestOf(
  scores: Float32Array,
  byProbability: boolean,
  enough: number,
): Generator<undefined, { worst: number; equals: number }> {
  const greatest = scores[argmax(scores)] as number;
  const last = Math.min(PARTS, scores.length) - 1;
  const sums = new Float64Array(last + 1);
  for (let token = 0; token < scores.length; token++) {
    const score = scores[token] as number;
    if (score === NEVER) continue;
    const below = score - greatest;
    const part = Math.min(below * -16, last) | 0;
    sums[part] = (sums[part] as number) + (byProbability ? Math.exp(below) : 1);
  }
  yield;
  let total = 0;
  for (let part = 0; part <= last; part++) total += sums[part] as number;
  const goal = byProbability ? enough * total : enough;
  let sum = 0;
  let part = 0;
  while (part < last && sum + (sums[part] as number) < goal) sum += sums[part++] as number;
  const found: number[] = [];
  for (let token = 0; token < scores.length; token++) {
    const score = scores[token] as number;
    if (score !== NEVER && (Math.min((score - greatest) * -16, last) | 0) === part) found.push(score);
  }
  yield;
  const sorted = new Float32Array(found).sort();
  let from = sorted.length;
  while (from > 0 && sum < goal)
    sum += byProbability ? Math.exp((sorted[--from] as number) - greatest) : Number(--from >= 0);
  const worst = sorted[from] ?? NEVER;
  return { worst, equals: sorted.lastIndexOf(worst) - from + 1 };
}

/** Number of tokens that top-H sampling considers, as transformers does. */
const TOP_H_TOKENS = 100;

/**
 * Top-H sampling (https://arxiv.org/abs/2509.02510) of the 100 most probable tokens. A token's term of the entropy is
 * −p · log p. The first tokens whose terms add up to at most `share` of the entropy are kept, and always the best
 * token. Throws ArgumentError unless the share is above 0 and at most 1.
 */
export function topH(share: number): ScoreProcessor {
  checkNumber('topH', 'the share', share, isPositiveShare, POSITIVE_SHARE);
  return withParts(function* (scores: Float32Array) {
    let { worst, equals } = yield* greatestOf(scores, false, TOP_H_TOKENS);
    const best: number[] = [];
    for (let token = 0; token < scores.length; token++) {
      const score = scores[token] as number;
      if (score > worst || (score === worst && equals-- > 0)) best.push(token);
    }
    best.sort((a, b) => (scores[b] as number) - (scores[a] as number));
    const kept = Float32Array.from(best, (token) => scores[token] as number);
    const total = logSumExp(kept);
    const limit = share * entropyOf(kept, total);
    let entropy = 0;
    const count = kept.findIndex((score, i) => {
      entropy += Math.exp(score - total) * (total - score);
      return i > 0 && entropy > limit;
    });
    scores.fill(NEVER);
    kept.subarray(0, count === -1 ? kept.length : count).forEach((score, i) => {
      scores[best[i] as number] = score;
    });
  });
}

/**
 * Keeps tokens with at least `share` of the best token's probability. Throws ArgumentError unless it is from 0 to 1.
 */
export function minP(share: number): ScoreProcessor {
  checkNumber('minP', 'the share', share, isShare, SHARE);
  return (scores) => {
    const min = (scores[argmax(scores)] as number) + Math.log(share);
    for (let token = 0; token < scores.length; token++) if ((scores[token] as number) < min) scores[token] = NEVER;
  };
}

/**
 * Locally typical sampling (Meister et al. 2023): keeps the tokens whose log-probability is nearest to its mean, the
 * fewest that together have probability `mass`. Throws ArgumentError unless that is above 0 and at most 1.
 */
export function typicalP(mass: number): ScoreProcessor {
  checkNumber('typicalP', 'the mass', mass, isPositiveShare, POSITIVE_SHARE);
  return withParts(function* (scores: Float32Array) {
    const total = logSumExp(scores);
    yield;
    const entropy = entropyOf(scores, total);
    yield;
    const distances = new Float64Array(scores.length);
    for (let token = 0; token < scores.length; token++)
      distances[token] = Math.abs(total - (scores[token] as number) - entropy);
    const furthest = yield* distanceOfMass(scores, distances, total, mass);
    for (let token = 0; token < scores.length; token++)
      if ((distances[token] as number) > furthest) scores[token] = NEVER;
  });
}

/**
 * Returns the distance within which the tokens together have probability `mass`, or else the greatest distance. Tokens
 * are taken in the order of their distances. They are put into buckets first, and only the buckets that are reached are
 * sorted.
 */
function* distanceOfMass(
  scores: Float32Array,
  distances: Float64Array,
  total: number,
  mass: number,
): Generator<undefined, number> {
  const ends = new Int32Array(PARTS);
  for (let token = 0; token < distances.length; token++) {
    const part = bucketOf(distances[token] as number);
    ends[part] = (ends[part] as number) + 1;
  }
  for (let part = 1; part < PARTS; part++) ends[part] = (ends[part] as number) + (ends[part - 1] as number);
  yield;
  const order = new Int32Array(distances.length);
  for (let token = distances.length - 1; token >= 0; token--) {
    const part = bucketOf(distances[token] as number);
    const index = (ends[part] as number) - 1;
    ends[part] = index;
    order[index] = token;
  }
  const isBefore = (a: number, b: number) => (distances[a] as number) < (distances[b] as number);
  let furthest = 0;
  let sum = 0;
  for (let part = 0; part < PARTS; part++) {
    yield;
    const bucket = Array.from(order.subarray(ends[part], ends[part + 1])); // `ends` now has the beginnings
    for (const token of yield* sortedInParts(bucket, isBefore)) {
      furthest = distances[token] as number;
      sum += Math.exp((scores[token] as number) - total);
      if (sum >= mass) return furthest;
    }
  }
  return furthest;
}

const bucketOf = (distance: number): number => Math.min(distance * 16, PARTS - 1) | 0;

/**
 * Epsilon sampling (Hewitt et al. 2022): keeps the tokens with at least probability `cutoff`, or the most probable one.
 * Throws ArgumentError unless that is from 0 to below 1.
 */
export function epsilonCutoff(cutoff: number): ScoreProcessor {
  checkNumber('epsilonCutoff', 'the cutoff', cutoff, isFraction, 'a number from 0 to below 1');
  return (scores) => keepProbable(scores, logSumExp(scores), cutoff);
}

/**
 * Eta sampling (Hewitt et al. 2022): keeps the tokens with at least probability min(cutoff, √cutoff · e^−entropy), or
 * the most probable one. Throws ArgumentError unless the cutoff is from 0 to below 1.
 */
export function etaCutoff(cutoff: number): ScoreProcessor {
  checkNumber('etaCutoff', 'the cutoff', cutoff, isFraction, 'a number from 0 to below 1');
  return (scores) => {
    const total = logSumExp(scores);
    const min = Math.min(cutoff, Math.sqrt(cutoff) * Math.exp(-entropyOf(scores, total)));
    keepProbable(scores, total, min);
  };
}

/** Forbids tokens below a probability, except the most probable ones. `total` is log Σ e^score. */
function keepProbable(scores: Float32Array, total: number, probability: number): void {
  const min = Math.min(total + Math.log(probability), scores[argmax(scores)] as number);
  for (let token = 0; token < scores.length; token++) if ((scores[token] as number) < min) scores[token] = NEVER;
}

/** log Σ e^score. */
function logSumExp(scores: Float32Array): number {
  const greatest = scores[argmax(scores)] as number;
  return greatest + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - greatest), 0));
}

/** Returns the entropy of the next token in nats. `total` is log Σ e^score. */
function entropyOf(scores: Float32Array, total: number): number {
  let entropy = 0;
  for (const score of scores) if (score !== NEVER) entropy += Math.exp(score - total) * (total - score);
  return entropy;
}
