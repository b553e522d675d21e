// SpecAugment hides as many spans as transformers' _compute_mask_indices does.
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.js';
import { hiddenSpans } from '../../src/models/spec-augment.js';

/** Start and end of each run of ones. */
function runs(marks: ArrayLike<number>): [number, number][] {
  const found: [number, number][] = [];
  for (let i = 0; i < marks.length; i++) {
    if (marks[i] !== 1) continue;
    if (i > 0 && marks[i - 1] === 1) (found.at(-1) as [number, number])[1] = i + 1;
    else found.push([i, i + 1]);
  }
  return found;
}

describe('hiddenSpans', () => {
  it('masks whole spans within each row', () => {
    for (let seed = 0; seed < 50; seed++) {
      const marks = hiddenSpans(new Random(seed), 100, [100, 40], { share: 0.3, length: 10, min: 2 });
      const [first, second] = [marks.subarray(0, 100), marks.subarray(100)];
      for (const [start, end] of [...runs(first), ...runs(second)]) expect(end - start).toBeGreaterThanOrEqual(10);
      expect(first.reduce((a, b) => a + b)).toBeLessThanOrEqual(30 + 10);
      expect(first.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(12); // three spans overlap by 9 places at most
      expect(second.subarray(40).every((mark) => mark === 0)).toBe(true);
      expect(second.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(11);
    }
  });

  it('masks at least `least` spans, at most as many as fit, and different ones for each seed', () => {
    const spans = { share: 0, length: 5, min: 2 };
    const marks = hiddenSpans(new Random(1), 20, [20, 5, 3], spans);
    expect(runs(marks.subarray(0, 20)).length).toBeGreaterThanOrEqual(1);
    expect(Array.from(marks.subarray(20, 25))).toEqual([1, 1, 1, 1, 1]); // one place for a span
    expect(marks.subarray(40).every((mark) => mark === 0)).toBe(true); // no place
    expect(hiddenSpans(new Random(2), 20, [20, 5, 3], spans)).not.toEqual(marks);
    expect(() => hiddenSpans(new Random(1), 4, [4], spans)).toThrow(/longer than the 4 elements/);
  });

  it('rounds the number of spans up with the probability of its fraction', () => {
    let rows = 0;
    for (let seed = 0; seed < 400; seed++) {
      const marks = hiddenSpans(new Random(seed), 100, [100], { share: 0.25, length: 50, min: 0 });
      rows += marks.includes(1) ? 1 : 0;
    }
    expect(rows / 400).toBeGreaterThan(0.5 - 4 * Math.sqrt(0.25 / 400)); // 0.25 · 100 / 50 = 0.5 spans
    expect(rows / 400).toBeLessThan(0.5 + 4 * Math.sqrt(0.25 / 400));
  });
});
