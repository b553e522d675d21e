import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/core/errors.js';
import { constant, cosine, inverseSquareRoot, linearDecay, noam } from '../../src/train/schedule.js';

describe('schedules', () => {
  it('follow the paper', () => {
    const schedule = noam(512, { warmup: 4000 });
    for (const step of [1, 100, 4000, 4001, 100000]) {
      const paper = 512 ** -0.5 * Math.min(step ** -0.5, step * 4000 ** -1.5);
      expect(schedule(step)).toBeCloseTo(paper, 12);
    }
    expect(inverseSquareRoot(0.5, { warmup: 10 })(10)).toBe(0.5);
  });

  it('rise to the peak and fall to the end', () => {
    for (const make of [linearDecay, cosine]) {
      const schedule = make(2, { steps: 110, warmup: 10, final: 0.5 });
      expect(schedule(5)).toBe(1);
      expect(schedule(10)).toBe(2);
      expect(schedule(60)).toBeCloseTo(1.25, 12);
      expect(schedule(110)).toBeCloseTo(0.5, 12);
      expect(schedule(1000)).toBeCloseTo(0.5, 12);
    }
    expect(constant(3)(1)).toBe(3);
    expect(constant(3, { warmup: 4 })(1)).toBe(0.75);
  });

  it('refuse invalid values', () => {
    expect(() => cosine(1, { steps: 10, warmup: 10 })).toThrow(ArgumentError);
    for (const final of [Number.NaN, -1, Infinity]) {
      expect(() => cosine(1, { steps: 10, final })).toThrow(`cosine: final is ${final}, expected a number, 0 or more`);
    }
    expect(() => constant(Number.NaN)).toThrow(ArgumentError);
    expect(() => inverseSquareRoot(1, { warmup: -1 })).toThrow(ArgumentError);
    expect(() => noam(0)).toThrow('noam: dModel is 0, expected a positive integer');
    expect(() => noam(512, { factor: -1 })).toThrow('noam: factor is -1, expected a positive number');
  });
});
