import { expect, it } from 'vitest';
import { ArgumentError } from '../../src/index.js';
import { Random } from '../../src/nn/index.js';

it('Random.below draws each integer equally often, and refuses invalid limits', () => {
  const random = new Random(1);
  const counts = [0, 0, 0];
  for (let i = 0; i < 3000; i++) (counts[random.below(3)] as number)++;
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(130); // 5 standard deviations
  expect(random.below(1)).toBe(0);
  expect(random.below(2 ** 32)).toBeLessThan(2 ** 32);
  for (const limit of [0, -1, 2.5, Number.NaN, 2 ** 32 + 1]) expect(() => random.below(limit)).toThrow(ArgumentError);
});

it('the numbers depend on every bit of the seed and of the stream', () => {
  const first = (seed: number, stream = 0) => new Random(seed, stream).uint32();
  const all = [first(1), first(1 + 2 ** 31), first(1 + 2 ** 32), first(1 + 2 ** 52), first(1, 1), first(1, 2 ** 32)];
  expect(new Set(all).size).toBe(all.length);
});
