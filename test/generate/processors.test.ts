import { describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.js';
import type { ScoreProcessor } from '../../src/generate/logits-processor.js';
import {
  epsilonCutoff,
  etaCutoff,
  forbidBefore,
  frequencyPenalty,
  minP,
  noRepeatNgram,
  presencePenalty,
  repetitionPenalty,
  temperature,
  topH,
  topK,
  topP,
  typicalP,
} from '../../src/generate/processors.js';
import { draw, gumbel } from '../../src/generate/search.js';
import samplers from './samplers.json' with { type: 'json' };

/** Scores of tokens with these probabilities, up to a constant that no result may depend on. */
const scoresOf = (...probabilities: number[]) => Float32Array.from(probabilities, (p) => Math.log(p) + 3);

function kept(processor: ScoreProcessor, scores: Float32Array, tokens: number[] = []): number[] {
  const before = scores.slice();
  processor(scores, tokens);
  const left = [...scores.keys()].filter((token) => scores[token] !== Number.NEGATIVE_INFINITY);
  for (const token of left) expect(scores[token]).toBe(before[token]);
  return left;
}

describe('topK', () => {
  it('keeps the k best, and those equal to the last of them', () => {
    expect(kept(topK(2), scoresOf(0.1, 0.4, 0.2, 0.3))).toEqual([1, 3]);
    expect(kept(topK(2), scoresOf(0.2, 0.4, 0.2, 0.2))).toEqual([0, 1, 2, 3]);
    expect(kept(topK(9), scoresOf(0.5, 0.5))).toEqual([0, 1]);
  });
});

describe('topP', () => {
  it('keeps the fewest tokens that together have probability p', () => {
    const scores = () => scoresOf(0.1, 0.4, 0.2, 0.3);
    expect(kept(topP(0.01), scores())).toEqual([1]);
    expect(kept(topP(0.39), scores())).toEqual([1]);
    expect(kept(topP(0.41), scores())).toEqual([1, 3]);
    expect(kept(topP(0.69), scores())).toEqual([1, 3]);
    expect(kept(topP(0.71), scores())).toEqual([1, 2, 3]);
    expect(kept(topP(0.95), scores())).toEqual([0, 1, 2, 3]);
  });

  it('takes the first of equal scores', () => {
    expect(kept(topP(0.45), scoresOf(0.25, 0.25, 0.25, 0.25))).toEqual([0, 1]);
  });

  it('uses the scores that other processors left', () => {
    const scores = scoresOf(0.1, 0.4, 0.2, 0.3);
    scores[1] = Number.NEGATIVE_INFINITY;
    expect(kept(topP(0.49), scores)).toEqual([3]);
  });

  it('finds the nucleus of a large vocabulary', () => {
    const random = new Random(5);
    const scores = Float32Array.from({ length: 5000 }, () => 2 * random.normal());
    const total = scores.reduce((sum, score) => sum + Math.exp(score), 0);
    const sorted = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]!);
    let mass = 0;
    const nucleus = sorted.filter((token) => {
      const before = mass;
      mass += Math.exp(scores[token]!) / total;
      return before < 0.9;
    });
    expect(kept(topP(0.9), scores)).toEqual(nucleus.sort((a, b) => a - b));
  });
});

describe('topK and topP', () => {
  it('keep the same tokens as a complete sort, for any scores', () => {
    const random = new Random(7);
    for (let round = 0; round < 300; round++) {
      const spread = 10 ** (random.below(6) - 2);
      const step = random.below(2) === 0 ? 0 : spread / 8; // many equals
      const scores = Float32Array.from({ length: 1 + random.below(2000) }, () => {
        const score = spread * random.normal();
        return random.below(10) === 0 ? Number.NEGATIVE_INFINITY : step > 0 ? step * Math.round(score / step) : score;
      });
      const sorted = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b);
      const greatest = scores[sorted[0]!]!;
      if (greatest === Number.NEGATIVE_INFINITY) continue;
      const k = 1 + random.below(scores.length);
      const isAllowed = (token: number) => scores[token] !== Number.NEGATIVE_INFINITY;
      const best = [...scores.keys()].filter((token) => scores[token]! >= scores[sorted[k - 1]!]!);
      expect(kept(topK(k), scores.slice())).toEqual(best.filter(isAllowed));
      const p = Math.max(random.uniform(), 1e-3);
      const weights = sorted.map((token) => Math.exp(scores[token]! - greatest));
      const goal = p * weights.reduce((a, b) => a + b);
      let mass = 0;
      const before = weights.map((weight) => {
        mass += weight;
        return mass - weight;
      });
      if (before.some((sum) => Math.abs(sum - goal) < 1e-9 * goal)) continue; // rounding decides
      const nucleus = sorted.filter((_, i) => before[i]! < goal).filter(isAllowed);
      expect(kept(topP(p), scores.slice())).toEqual(nucleus.sort((a, b) => a - b));
    }
  });
});

describe('typicalP', () => {
  it('keeps the same tokens as a complete sort by distance, for any scores', () => {
    const random = new Random(9);
    for (let round = 0; round < 200; round++) {
      const spread = 10 ** (random.below(6) - 3);
      const scores = Float32Array.from({ length: 1 + random.below(2000) }, () =>
        random.below(10) === 0 ? Number.NEGATIVE_INFINITY : spread * random.normal(),
      );
      const greatest = scores.reduce((a, b) => Math.max(a, b));
      if (greatest === Number.NEGATIVE_INFINITY) continue;
      const total = greatest + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - greatest), 0));
      const isAllowed = (token: number) => scores[token] !== Number.NEGATIVE_INFINITY;
      const surprise = (token: number) => total - scores[token]!;
      const entropy = [...scores.keys()]
        .filter(isAllowed)
        .reduce((sum, i) => sum + Math.exp(-surprise(i)) * surprise(i), 0);
      const distance = (token: number) => Math.abs(surprise(token) - entropy);
      const sorted = [...scores.keys()].sort((a, b) => distance(a) - distance(b) || a - b);
      const mass = [0.1, 0.5, 0.9, 1][random.below(4)]!;
      let sum = 0;
      const last = sorted.findIndex((token) => {
        sum += Math.exp(-surprise(token));
        return sum >= mass;
      });
      const furthest = distance(sorted.at(last) as number);
      expect(kept(typicalP(mass), scores.slice())).toEqual(
        [...scores.keys()].filter((token) => isAllowed(token) && distance(token) <= furthest),
      );
    }
  });
});

describe('minP', () => {
  it('keeps tokens with a fraction of the greatest probability', () => {
    expect(kept(minP(0.5), scoresOf(0.1, 0.4, 0.21, 0.29))).toEqual([1, 2, 3]);
    expect(kept(minP(1), scoresOf(0.1, 0.4, 0.4, 0.1))).toEqual([1, 2]);
  });
});

describe('repetitionPenalty', () => {
  it('divides positive and multiplies negative scores, once for each token', () => {
    const scores = Float32Array.of(2, -2, 3, 0);
    repetitionPenalty(2)(scores, [0, 1, 0, 3]);
    expect([...scores]).toEqual([1, -4, 3, 0]);
  });
});

describe('noRepeatNgram', () => {
  const forbidden = (size: number, tokens: number[]) => {
    const left = kept(noRepeatNgram(size), new Float32Array(5), tokens);
    return [0, 1, 2, 3, 4].filter((token) => !left.includes(token));
  };

  it('forbids tokens that would repeat an n-gram', () => {
    expect(forbidden(3, [0, 1, 2, 3, 0, 1])).toEqual([2]);
    expect(forbidden(3, [0, 1, 2, 0, 1, 4, 0, 1])).toEqual([2, 4]);
    expect(forbidden(2, [1, 1])).toEqual([1]);
    expect(forbidden(1, [3, 1])).toEqual([1, 3]);
    expect(forbidden(3, [0, 1])).toEqual([]);
    expect(forbidden(3, [0])).toEqual([]);
  });
});

describe('temperature and forbidBefore', () => {
  it('change scores', () => {
    const scores = Float32Array.of(1, 2);
    temperature(0.5)(scores, []);
    expect([...scores]).toEqual([2, 4]);
    expect(kept(forbidBefore(2, [0]), new Float32Array(3), [1])).toEqual([1, 2]);
    expect(kept(forbidBefore(2, [0]), new Float32Array(3), [1, 1])).toEqual([0, 1, 2]);
  });
});

describe('draw', () => {
  it('follows the probabilities and never draws a forbidden token', () => {
    const probabilities = [0.5, 0, 0.3, 0.15, 0.05];
    const random = new Random(1);
    const counts = new Array(5).fill(0);
    const draws = 20_000;
    for (let i = 0; i < draws; i++) counts[draw(scoresOf(...probabilities), random)]++;
    expect(counts[1]).toBe(0);
    // 3 degrees of freedom: above 21.1 with probability 0.0001.
    const chiSquare = [0, 2, 3, 4].reduce((sum, token) => {
      const expected = probabilities[token]! * draws;
      return sum + (counts[token] - expected) ** 2 / expected;
    }, 0);
    expect(chiSquare).toBeLessThan(21.1);
  });
});

describe('gumbel', () => {
  it('drops only draws that are below its bound', () => {
    const [exact, quick] = [new Random(3), new Random(3)];
    let left = 0;
    for (let i = 0; i < 10_000; i++) {
      const min = (i % 100) / 10 - 3;
      const draw = gumbel(exact, Number.POSITIVE_INFINITY);
      const same = gumbel(quick, Math.exp(-min));
      if (same === Number.NEGATIVE_INFINITY) left++;
      expect(same === draw || (same === Number.NEGATIVE_INFINITY && draw <= min)).toBe(true);
    }
    expect(left).toBeGreaterThan(5000);
  });
});

describe('top-H, typical, epsilon and eta sampling', () => {
  const processors = { topH, typicalP, epsilonCutoff, etaCutoff };

  it.each(samplers.map((_, i) => i))("keep the tokens of transformers' warpers: %i", (i) => {
    const { scores, kept: wanted } = samplers[i]!;
    for (const [name, value, tokens] of wanted as [keyof typeof processors, number, number[]][]) {
      const given = Float32Array.from(scores, (score) => score ?? Number.NEGATIVE_INFINITY);
      expect(kept(processors[name](value), given), `${name} ${value}`).toEqual(tokens);
    }
  });
});

describe('frequency and presence penalties', () => {
  it('count generated tokens, not the prompt', () => {
    const scores = Float32Array.from([1, 1, 1, 1]);
    frequencyPenalty(0.5, 2)(scores, [3, 3, 0, 1, 0]);
    expect([...scores]).toEqual([0, 0.5, 1, 1]);
    presencePenalty(0.25, 2)(scores, [3, 3, 0, 1, 0]);
    expect([...scores]).toEqual([-0.25, 0.25, 1, 1]);
  });
});
