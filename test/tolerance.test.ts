import { describe, expect, it } from 'vitest';
import { Random } from './random.js';
import { allowedError, assertClose, conditionOf } from './tolerance.js';

describe('assertClose', () => {
  const within = (allowed: number) => () => allowed;

  it('accepts values within the tolerance, and equal infinities and NaNs', () => {
    assertClose('y', [1, 2 + 1e-7], [1, 2], within(1e-6));
    assertClose('y', [Infinity, -Infinity, NaN], [Infinity, -Infinity, NaN], within(0));
  });

  it('refuses everything else, and shows the worst', () => {
    expect(() => assertClose('y', [1, 2.1, 3.5], [1, 2, 3], within(0.01))).toThrow(
      /y: 2 of 3 .* at 2 got 3.5, expected 3/,
    );
    expect(() => assertClose('y', [NaN], [1], within(1))).toThrow(/got NaN/);
    expect(() => assertClose('y', [1], [NaN], within(1))).toThrow(/expected NaN/);
    expect(() => assertClose('y', [Infinity], [1], within(1))).toThrow(/got Infinity/);
    expect(() => assertClose('y', [1], [1], within(NaN))).not.toThrow();
    expect(() => assertClose('y', [1, 2], [1], within(1))).toThrow(/2 values, expected 1/);
  });
});

describe('the tolerance of a dot product', () => {
  const random = new Random('tolerance');
  const exact = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

  it.each([1, 7, 64, 1000, 20000])(
    'of %i terms holds a float32 sum, and nothing with a term too few or too small',
    (n) => {
      const [a, b] = [0, 1].map(() => Float64Array.from(random.normal([n]).data)) as [Float64Array, Float64Array];
      const sum = exact(a, b);
      const dot = (jitter: () => number) => {
        const moved = a.map((x) => x * jitter());
        return Float64Array.of(exact(moved, b));
      };
      const allowed = allowedError(n, Math.abs(sum) + conditionOf(dot, () => random.sign())[0]!);
      let rounded = 0;
      for (let i = 0; i < n; i++) rounded = Math.fround(rounded + Math.fround(a[i]! * b[i]!));
      assertClose('sum', [rounded], [sum], () => allowed);
      const typical = Math.sqrt(2 / Math.PI); // E|x|, and so |a b| is 2/π
      expect(allowed).toBeLessThan((typical ** 2 * (1 + Math.sqrt(n))) / 100);
      expect(() => assertClose('sum', [rounded - typical ** 2], [sum], () => allowed)).toThrow(/wrong/);
    },
  );
});
